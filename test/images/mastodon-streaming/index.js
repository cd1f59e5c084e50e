// Live updates over WebSockets and server-sent events, from Redis to whoever holds a token.
// Debian's libraries are for require().
const http = require('node:http');
const { Pool } = require('pg');
const { createClient } = require('redis');
const { WebSocketServer } = require('ws');

const env = process.env;
const port = Number(env.DB_PORT || 5432);
if (!Number.isInteger(port)) throw new Error(`Invalid DB_PORT environment variable: ${env.DB_PORT}`);

const database = new Pool({
  host: env.DB_HOST || 'localhost',
  port,
  database: env.DB_NAME || 'mastodon_production',
  user: env.DB_USER || 'mastodon',
  password: env.DB_PASS,
  max: Number(env.DB_POOL || 10),
  ssl:
    env.DB_SSLMODE && env.DB_SSLMODE !== 'disable'
      ? { rejectUnauthorized: env.DB_SSLMODE !== 'no-verify' }
      : false,
});
database.on('error', (error) => console.error(error.message));

const redisOptions = {
  url:
    env.REDIS_URL ||
    `redis://${env.REDIS_HOST || '127.0.0.1'}:${env.REDIS_PORT || 6379}/${env.REDIS_DB || 0}`,
  username: env.REDIS_USER || undefined,
  password: env.REDIS_PASSWORD || undefined,
};
const redis = createClient(redisOptions);
const subscriber = createClient(redisOptions);
for (const client of [redis, subscriber]) client.on('error', (error) => console.error(error.message));

const BY_TYPE = ['websocket', 'eventsource'].map((type) => `{type="${type}"}`);
const [WEBSOCKET, EVENTSOURCE] = BY_TYPE;
/** By their names in the metrics. */
const counts = { redis_messages_received_total: 0 };
for (const name of ['connected_clients', 'messages_sent_total'])
  for (const type of BY_TYPE) counts[`${name}${type}`] = 0;
const CHANNELS = ['user', 'user:notification', 'public', 'public:local', 'direct', 'hashtag', 'list'];
const HEARTBEAT_S = 6 * 60;

const refusal = (status, message) => Object.assign(new Error(message), { status });

async function accountOf(request) {
  const query = new URL(request.url, 'http://./').searchParams;
  const token =
    request.headers.authorization?.replace(/^Bearer /, '') ||
    query.get('access_token') ||
    request.headers['sec-websocket-protocol'];
  if (!token) throw refusal(401, 'Missing access token');
  const { rows } = await database.query(
    `SELECT t.id, t.scopes, u.account_id FROM oauth_access_tokens t
     JOIN users u ON u.id = t.resource_owner_id JOIN accounts a ON a.id = u.account_id
     WHERE t.token = $1 AND t.revoked_at IS NULL AND u.disabled IS FALSE AND a.suspended_at IS NULL`,
    [token],
  );
  if (rows.length === 0) throw refusal(401, 'Invalid access token');
  return rows[0];
}

function redisChannels(name, account) {
  if (!CHANNELS.includes(name)) throw refusal(400, 'Unknown stream type');
  if (!account.scopes.split(' ').some((scope) => scope === 'read' || scope === 'read:statuses'))
    throw refusal(401, 'Access token does not have the required scopes');
  if (name === 'user')
    return [`timeline:${account.account_id}`, `timeline:${account.account_id}:notifications`];
  if (name === 'user:notification') return [`timeline:${account.account_id}:notifications`];
  return [`timeline:${name}`];
}

/** Hands every message of a channel to `send` until the returned function is called. */
async function listen(name, account, type, send) {
  const channels = redisChannels(name, account);
  const tell = (message) => {
    counts.redis_messages_received_total += 1;
    const { event, payload } = JSON.parse(message);
    if (event === undefined || payload === undefined) return;
    counts[`messages_sent_total${type}`] += 1;
    send(event, typeof payload === 'object' ? JSON.stringify(payload) : payload);
  };
  // The app publishes to a person's own channel only while somebody listens.
  const mark = () =>
    channels.forEach((channel) =>
      redis.set(`subscribed:${channel}`, '1', { EX: HEARTBEAT_S * 3 }).catch(() => {}),
    );
  mark();
  const heartbeat = setInterval(mark, HEARTBEAT_S * 1000);
  await Promise.all(channels.map((channel) => subscriber.subscribe(channel, tell)));
  return () => {
    clearInterval(heartbeat);
    channels.forEach((channel) => subscriber.unsubscribe(channel, tell).catch(() => {}));
  };
}

/** Ends a connection when its token is revoked or its account locked out. */
async function untilKilled(account, end) {
  const channels = [`timeline:access_token:${account.id}`, `timeline:system:${account.account_id}`];
  const tell = (message) => JSON.parse(message).event === 'kill' && end();
  await Promise.all(channels.map((channel) => subscriber.subscribe(channel, tell)));
  return () => channels.forEach((channel) => subscriber.unsubscribe(channel, tell).catch(() => {}));
}

const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://./');
  const answer = (status, type, body) => {
    response.writeHead(status, { 'Content-Type': type, 'Access-Control-Allow-Origin': '*' });
    response.end(body);
  };
  if (pathname === '/api/v1/streaming/health') return answer(200, 'text/plain', 'OK');
  if (pathname === '/favicon.ico') return answer(404, 'text/plain', '');
  if (pathname === '/metrics')
    return answer(
      200,
      'text/plain; version=0.0.4; charset=utf-8',
      Object.entries(counts)
        .map(([name, value]) => `${name} ${value}\n`)
        .join(''),
    );
  const name = /^\/api\/v1\/streaming\/(.+)$/.exec(pathname)?.[1].replaceAll('/', ':');
  try {
    if (!CHANNELS.includes(name)) throw refusal(400, 'Unknown channel requested');
    const account = await accountOf(request);
    const stop = await listen(name, account, EVENTSOURCE, (event, data) =>
      response.write(`event: ${event}\ndata: ${data}\n\n`),
    );
    const forget = await untilKilled(account, () => response.end());
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'private, no-store' });
    response.write(':)\n');
    counts[`connected_clients${EVENTSOURCE}`] += 1;
    request.on('close', () => {
      counts[`connected_clients${EVENTSOURCE}`] -= 1;
      stop();
      forget();
    });
  } catch (error) {
    answer(
      error.status || 500,
      'application/json',
      JSON.stringify({ error: error.status ? error.message : 'An unexpected error occurred' }),
    );
  }
});

const sockets = new WebSocketServer({ noServer: true });
server.on('upgrade', async (request, socket, head) => {
  socket.on('error', () => socket.destroy());
  let account;
  try {
    account = await accountOf(request);
  } catch (error) {
    const status = error.status || 500;
    return socket.end(
      `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nX-Error-Message: ${error.status ? error.message : 'An unexpected error occurred'}\r\n\r\n`,
    );
  }
  sockets.handleUpgrade(request, socket, head, async (client) => {
    counts[`connected_clients${WEBSOCKET}`] += 1;
    const stops = new Map();
    const send = (message) => client.readyState === client.OPEN && client.send(JSON.stringify(message));
    const join = async (name) => {
      try {
        if (!stops.has(name))
          stops.set(
            name,
            await listen(name, account, WEBSOCKET, (event, payload) =>
              send({ stream: [name], event, payload }),
            ),
          );
      } catch (error) {
        send({ error: error.message, status: error.status || 500 });
      }
    };
    const leave = (name) => (stops.get(name)?.(), stops.delete(name));
    client.on('close', () => {
      counts[`connected_clients${WEBSOCKET}`] -= 1;
      for (const stop of stops.values()) stop();
    });
    client.on('message', (data) => {
      const { type, stream } = JSON.parse(data);
      if (type === 'subscribe') join(stream);
      if (type === 'unsubscribe') leave(stream);
    });
    const forget = await untilKilled(account, () => client.close());
    client.on('close', forget);
    const wanted = new URL(request.url, 'http://./').searchParams.get('stream');
    if (wanted) join(wanted);
  });
});

// 15 s without a sign of life, and a proxy in between might give up.
setInterval(() => sockets.clients.forEach((client) => client.ping()), 15_000).unref();

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
Promise.all([redis.connect(), subscriber.connect()])
  .then(() =>
    server.listen(Number(env.PORT || 4000), env.BIND || '127.0.0.1', () =>
      console.log('Streaming API now listening'),
    ),
  )
  .catch((error) => {
    console.error(error.message);
    process.exit(1);
  });
