/** Checks of an existing site: container health and certificates. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { allNamesOf } from '../apps/index.ts';
import { hasOwnDirectory, ingressAddress } from '../config/config.ts';
import type { Config } from '../config/config.ts';
import { arrivedIn, caddyRunsOn, knownPath } from '../docker/caddy.ts';
import type { Container } from '../docker/engine.ts';
import { healthLines, isYoung } from '../docker/health.ts';
import { runtimeOf } from '../docker/runtime.ts';
import { Problem, messageOf } from '../problem.ts';
import { readOwnCas, withPublic } from '../trust.ts';
import { isAboutTime } from '../prove/date.ts';
import { client } from '../prove/http.ts';
import type { Client } from '../prove/http.ts';
import { attemptsIn, explain, served } from '../prove/tls.ts';
import type { Attempt, Served } from '../prove/tls.ts';
import { timeText } from '../time.ts';
import { parseYaml } from '../yaml.ts';
import type { CheckContext, Finding, CheckResult } from './check.ts';

const LOG_LINES = 10;
/** More restarts than updates cause. */
const RESTARTS = 3;

/** Service → whether it is a one-shot job. Undefined: no compose.yaml yet. */
export async function servicesOf(folder: string): Promise<ReadonlyMap<string, boolean> | undefined> {
  try {
    const compose = parseYaml(await readFile(join(folder, 'compose.yaml'), 'utf8')) as {
      services?: Record<string, { restart?: string }>;
    } | null;
    return new Map(
      Object.entries(compose?.services ?? {}).map(([name, { restart }]) => [name, restart === 'no']),
    );
  } catch {
    return undefined;
  }
}

/** What is wrong with a container, and how bad it is; undefined: nothing. */
export function containerTrouble(
  container: Container | undefined,
  oneShot: boolean,
  now: Date,
): [Finding['level'], string] | undefined {
  // A one-shot that completed is needed no more: `docker system prune` removes its container.
  if (container === undefined) return oneShot ? undefined : ['blocker', 'does not exist'];
  const { state, health, exitCode, oomKilled, restarts } = container;
  if (oomKilled && state !== 'running') return ['blocker', 'was stopped by the kernel: out of memory'];
  if (state === 'restarting') return ['blocker', `stops again and again, with exit code ${exitCode}`];
  if (oneShot && state === 'exited' && exitCode === 0) return undefined;
  if (state === 'created') return ['blocker', 'was created but has not started'];
  if (state === 'exited') return ['blocker', `has stopped, with exit code ${exitCode}`];
  if (state !== 'running') return ['blocker', `is ${state}`];
  if (health === 'unhealthy')
    return isYoung(container, now)
      ? ['warning', 'started a short time ago and is not healthy yet']
      : ['blocker', 'is unhealthy'];
  return restarts >= RESTARTS ? ['warning', `was restarted ${restarts} times`] : undefined;
}

export async function checkContainers({
  config,
  engine,
  folder,
  info,
  now,
}: CheckContext): Promise<CheckResult | undefined> {
  const services = await servicesOf(folder);
  if (info instanceof Problem || services === undefined) return undefined;
  const containers = await engine.containers(config.name);
  if (![...services.keys()].some((name) => containers.some(({ service }) => service === name)))
    return {
      seen: 'none',
      found: [
        {
          level: 'blocker',
          what: 'The site has no containers.',
          means: 'It is not running.',
          next: 'Run `fedi-setup apply`.',
        },
      ],
    };
  const found: Finding[] = [];
  const seen: string[] = [];
  for (const [name, oneShot] of services) {
    const container = containers.find(({ service }) => service === name);
    const trouble = containerTrouble(container, oneShot, now());
    const { state = 'missing', health } = container ?? {};
    const isDone = trouble === undefined && (state === 'exited' || state === 'missing');
    seen.push(`${name} ${isDone ? 'done' : state === 'running' ? (health ?? state) : state}`);
    if (trouble === undefined) continue;
    const log =
      container === undefined
        ? ''
        : [...healthLines(container), await engine.logs(container.id, LOG_LINES)].filter(Boolean).join('\n');
    found.push({
      level: trouble[0],
      what: `The container ${name} ${trouble[1]}.`,
      means: 'A part of the site may not work.',
      next:
        container === undefined
          ? 'Run `fedi-setup apply`.'
          : container.state === 'exited'
            ? `Its last log lines show the cause. If you stopped it, run \`fedi-setup start ${name}\`.`
            : 'Fix the cause that its last log lines show, then run `fedi-setup apply`.',
      ...(log === '' ? {} : { log }),
    });
  }
  return { seen: seen.join(', '), found };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Checks whether data volumes and secrets are still there. */
export async function checkData({ folder, engine, info }: CheckContext): Promise<CheckResult | undefined> {
  if (info instanceof Problem || (await servicesOf(folder)) === undefined) return undefined;
  const compose = parseYaml(await readFile(join(folder, 'compose.yaml'), 'utf8')) as {
    'x-data'?: Record<string, string>;
    volumes?: Record<string, { name?: string; driver_opts?: object }>;
  };
  const found: Finding[] = [];
  const names = Object.values(compose['x-data'] ?? {}).flatMap(
    (place) => /^the volume (\S+)$/.exec(place)?.[1] ?? [],
  );
  for (const name of names) {
    const isDirectory = Object.values(compose.volumes ?? {}).some(
      (one) => one.name === name && one.driver_opts !== undefined,
    );
    // The volume of a data directory only points to it.
    if (isDirectory || (await engine.volume(name)) !== undefined) continue;
    found.push({
      level: 'blocker',
      what: `The volume ${name} does not exist.`,
      means: 'The data of the site were in it.',
      next: 'Restore it before you run `fedi-setup apply`.',
    });
  }
  const secrets = await readFile(join(folder, 'secrets.json'), 'utf8').catch(() => undefined);
  if (secrets === undefined || !isJson(secrets))
    found.push({
      level: 'blocker',
      what: `The file secrets.json is ${secrets === undefined ? 'missing' : 'damaged'}.`,
      means: 'The data cannot be read without the secrets in it.',
      next: 'Restore it from a backup or a recovery file.',
    });
  return { seen: [...names, 'secrets.json'].join(', '), found };
}

/** Remaining share of the lifetime: Caddy renews at a third, or when the CA says so, and that takes a while if the CA is busy. */
const DUE = 1 / 3;
const LATE = 0.3;
/** Lines of Caddy's log that are searched for its attempts. */
const CADDY_LINES = 5000;

const LOOK = '`docker compose logs caddy` shows why; `fedi-setup prove` makes Caddy try again.';

/** PEM of the CA certificates that visitors trust; undefined: the public ones. */
export async function rootsOf(folder: string, config: Config): Promise<string | undefined> {
  const { tls } = config;
  if (hasOwnDirectory(config)) {
    const own = await readOwnCas(folder, config);
    return own === undefined ? undefined : withPublic(own);
  }
  const file = tls.isLab
    ? join(folder, 'trust/root.crt')
    : tls.ca?.root === undefined
      ? undefined
      : join(folder, 'caddy/custom', tls.ca.root);
  return file === undefined ? undefined : readFile(file, 'utf8').catch(() => undefined);
}

/** Whether this site's Caddy answers there; undefined: Caddy does not run. */
async function isOurs(
  { config: { name: project }, engine }: CheckContext,
  url: string,
  http: Client,
): Promise<boolean | undefined> {
  const id = await caddyRunsOn(runtimeOf(engine, project));
  if (id === undefined) return undefined;
  const reply = await http(`${url}${knownPath(id)}`).catch(() => undefined);
  return reply?.status === 200 && arrivedIn(reply.text()) !== undefined;
}

/** Caddy's failed attempts to get a certificate, by name; none if its log cannot be read. */
async function failedAttempts({ engine, config }: CheckContext): Promise<ReadonlyMap<string, Attempt>> {
  const log = await runtimeOf(engine, config.name)
    .logs('caddy', CADDY_LINES)
    .catch(() => '');
  return new Map([...attemptsIn(log)].filter(([, { failed }]) => failed));
}

/** Returns the finding about one certificate; undefined if it is fine. @param failed Caddy's last attempt to renew it, if it failed */
export function wrongWith(
  name: string,
  where: string,
  { issuer, names, from, to, trouble }: Served,
  now: number,
  failed?: Attempt,
): Finding | undefined {
  const remaining = to.getTime() - now;
  const why = failed === undefined ? LOOK : explain(failed);
  if (remaining <= 0)
    return {
      level: 'blocker',
      what: `The certificate of ${name} expired on ${timeText(to)}.`,
      means: 'Browsers and other servers refuse to connect.',
      next: why,
    };
  if (from.getTime() > now)
    return {
      level: 'blocker',
      what: `The certificate of ${name} is not valid before ${timeText(from)}.`,
      means: 'Browsers and other servers refuse to connect until then, or the clock of this host is wrong.',
      next: 'See the clock check; `timedatectl set-ntp true` sets the clock.',
    };
  if (trouble === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return {
      level: 'blocker',
      what: `The certificate that ${where} serves for ${name} is for ${names || 'no name'}.`,
      means: 'Browsers and other servers refuse to connect.',
      next: `Does a program other than this site’s Caddy listen on ${where}? ${LOOK}`,
    };
  // The validity period was checked above.
  if (trouble !== undefined && !isAboutTime(trouble))
    return {
      level: 'blocker',
      what: `The certificate of ${name} was issued by ${issuer || 'an unnamed CA'}, which browsers do not trust (${trouble}).`,
      means: 'Browsers show a warning, and other servers refuse to connect.',
      next: `Does a program other than this site’s Caddy listen on ${where}? ${LOOK}`,
    };
  const lifetime = to.getTime() - from.getTime();
  if (remaining < (failed === undefined ? LATE : DUE) * lifetime)
    return {
      level: 'warning',
      what: `The certificate of ${name} expires on ${timeText(to)}, and Caddy has not renewed it.`,
      means: 'After that, browsers and other servers refuse to connect.',
      next: why,
    };
  return undefined;
}

/** Checks the served certificates: issuer, names, validity, and whether this site's Caddy serves them. @param port HTTPS port */
export async function checkCertificates(context: CheckContext, port = 443): Promise<CheckResult | undefined> {
  const { config, folder, info, exists, now } = context;
  if (info instanceof Problem || config.tls.proxy !== undefined || !exists) return undefined;
  const address = ingressAddress(config);
  const where = `${address.includes(':') ? `[${address}]` : address}:${port}`;
  const ca = await rootsOf(folder, config);
  const http = client(address, ca);
  const failed = await failedAttempts(context);
  const found: Finding[] = [];
  const seen: string[] = [];
  for (const name of allNamesOf(config)) {
    try {
      const one = await served({ address, port, ca }, name);
      seen.push(`${name} until ${timeText(one.to)}, issued by ${one.issuer || 'an unnamed CA'}`);
      const wrong = wrongWith(name, where, one, now().getTime(), failed.get(name));
      if (wrong !== undefined) found.push(wrong);
      if (wrong?.level === 'blocker' || one.trouble !== undefined) continue;
      if ((await isOurs(context, `https://${name}:${port}`, http)) === false)
        found.push({
          level: 'blocker',
          what: `A server other than this site’s Caddy answers for ${name} on ${where}.`,
          means: 'Visitors do not reach this site.',
          next: `\`ss -ltnp\` names the program that listens there: stop it, then run \`fedi-setup apply\`.`,
        });
    } catch (error) {
      seen.push(`${name}: ${messageOf(error)}`);
      found.push({
        level: 'blocker',
        what: `No certificate is served for ${name} on ${where}.`,
        means: 'HTTPS does not work.',
        next: failed.has(name) ? explain(failed.get(name) as Attempt) : LOOK,
      });
    }
  }
  return { seen: seen.join('; '), found };
}
