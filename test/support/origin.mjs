/**
 * Stands in for an app behind a cache: answers as it was told and remembers what reached it. Ports 3000, 4000 and 8080 are the
 * app's; on 9000 a test says what it answers (`PUT`, with a list) and asks what it received (`GET /?PATH`).
 */
import { createServer } from 'node:http';

/** Path, with the query → the answer. */
const answers = new Map();
const received = [];

const app = (req, res) => {
  const answer = answers.get(req.url) ?? { headers: [['Cache-Control', 'private, no-store']] };
  const { status = 200, headers = [], body, size, delay = 0, crash = false, chunked = false } = answer;
  const mine = { path: req.url, method: req.method, headers: req.headers };
  received.push(mine);
  const number = received.filter(({ path }) => path === req.url).length;
  const text = size ? 'x'.repeat(size) : (body ?? JSON.stringify({ number, ...mine }));
  setTimeout(() => {
    if (crash) return void req.socket.destroy();
    res.writeHead(status, [
      ...headers.flat(),
      ...(chunked ? [] : ['Content-Length', String(Buffer.byteLength(text))]),
    ]);
    res.end(req.method === 'HEAD' ? undefined : text);
  }, delay);
};
for (const port of [3000, 4000, 8080]) createServer(app).listen(port, '0.0.0.0');

createServer((req, res) => {
  if (req.method === 'GET')
    return void res.end(JSON.stringify(received.filter(({ path }) => path === req.url.slice(2))));
  let text = '';
  req.on('data', (chunk) => (text += chunk));
  req.on('end', () => {
    for (const { path, ...answer } of JSON.parse(text)) answers.set(path, answer);
    res.end();
  });
}).listen(9000, '0.0.0.0');
