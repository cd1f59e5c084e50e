/** Checks live updates as a browser gets them: a WebSocket on the public name, without a log-in. */
import { allNamesOf, appOf, namesOf } from '../apps/index.ts';
import { ingressAddress } from '../config/config.ts';
import { Problem, messageOf } from '../problem.ts';
import { LIMITS, client } from '../prove/http.ts';
import type { Client } from '../prove/http.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';
import { rootsOf } from './site.ts';

/** Caddy waits 10 s for a service that is down. */
const LIMIT_MS = 15_000;

/** What is wrong, as a sentence; undefined: the server of live updates refuses a WebSocket without a log-in. */
async function wrong(http: Client, host: string, path: string): Promise<string | undefined> {
  const answer = await http.socket(`wss://${host}${path}`, {}).then(
    ({ socket }) => {
      socket.destroy();
      return 'opened a WebSocket without a log-in';
    },
    (error: unknown) => messageOf(error),
  );
  if (!/\banswered 401\b/.test(answer)) return `wss://${host}${path}: ${answer}.`;
  // A proxy in front that requires a log-in refuses every request.
  const plain = await http(`https://${host}${path}`).catch(() => undefined);
  return plain?.status === 401
    ? `a server in front of it requires a log-in for https://${host}${path}.`
    : undefined;
}

/** Applies to apps with live updates. */
export async function checkStreaming({
  config,
  folder,
  info,
  exists,
}: CheckContext): Promise<CheckResult | undefined> {
  if (info instanceof Problem || !exists) return undefined;
  const { proxy, isLab } = config.tls;
  // By the DNS, as a browser finds it; a trial's names need not be there.
  const http = client(
    isLab ? ingressAddress(config) : undefined,
    await rootsOf(folder, config),
    allNamesOf(config),
    {
      ...LIMITS,
      idleMs: LIMIT_MS,
      wholeMs: LIMIT_MS,
    },
  );
  const seen: string[] = [];
  const found: Finding[] = [];
  for (const app of config.apps) {
    const { name, webSockets } = appOf(app.id);
    if (webSockets === undefined) continue;
    const host = namesOf(app).at(-1) ?? app.domain;
    const what = await wrong(http, host, webSockets.path);
    seen.push(what ?? `wss://${host}${webSockets.path} is reached`);
    if (what !== undefined)
      found.push({
        level: 'blocker',
        what: `Browsers and apps get no live updates of ${name}: ${what}`,
        means: 'Timelines change only after a reload, and apps poll the server instead.',
        next:
          proxy === undefined
            ? `\`fedi-setup logs ${webSockets.service} caddy\` shows why.`
            : 'Your proxy must forward the headers Upgrade and Connection; front/nginx.conf in the site directory is an example.',
      });
  }
  return seen.length === 0 ? undefined : { seen: seen.join('; '), found };
}
