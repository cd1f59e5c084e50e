/** Tries the outgoing mail from each app's network, up to the log-in. No mail is sent. */
import { appOf } from '../apps/index.ts';
import { climb } from '../mail/ladder.ts';
import type { Rung } from '../mail/rung.ts';
import { climbFor } from '../mail/site.ts';
import { Problem } from '../problem.ts';
import { Store } from '../secrets/store.ts';
import { readOwnCas } from '../trust.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';

/** Applies to sites with a mail server. */
export async function checkMail({
  config,
  engine,
  folder,
  host,
  info,
  caddy,
  exists,
}: CheckContext): Promise<CheckResult | undefined> {
  const { server } = config.mail;
  if (info instanceof Problem || !exists || caddy === undefined || server === undefined) return undefined;
  const containers = await engine.containers(config.name);
  const store = await Store.open(folder);
  const ownCas = await readOwnCas(folder, config);
  const tries = config.apps.map(async (app): Promise<{ seen: string; short?: Rung }> => {
    const { name, mailClients } = appOf(app.id);
    if (!containers.some(({ service, state }) => mailClients.includes(service) && state === 'running'))
      return { seen: `${name}: not checked, since ${mailClients.join(' or ')} is not running` };
    const input = await climbFor({
      config: { ...config, apps: [app] },
      engine,
      secret: (key) => store.find(key),
      image: caddy,
      ownCas,
      addressRecords: host.addressRecords,
    });
    const rungs = input === undefined ? [] : await climb({ ...input, untilLogIn: true });
    const short = rungs.find(({ state }) => state !== 'passed');
    if (short !== undefined) return { seen: `${name}: ${short.seen}`, short };
    return {
      seen: `${name}: ${server.host}:${server.port} ${server.user === undefined ? 'answers' : `accepts the log-in of ${server.user}`}`,
    };
  });
  const results = await Promise.all(tries);
  const short = new Map(
    results.flatMap(({ short: rung }) => (rung === undefined ? [] : [[rung.seen, rung]])),
  );
  return {
    seen: results.map(({ seen }) => seen).join('; '),
    found: [...short.values()].map(({ title, state, seen, next }): Finding => ({
      level: state === 'failed' ? 'blocker' : 'warning',
      what: server.isCatcher
        ? 'Mail cannot be sent: the mail catcher does not answer.'
        : `Mail cannot be sent. ${title}: ${seen}.`,
      means: 'Nobody gets mails about new accounts, lost passwords and notifications.',
      next: server.isCatcher
        ? '`fedi-setup start mail` starts the mail catcher.'
        : `${next}\n\`fedi-setup mail test\` tries it again.`,
    })),
  };
}
