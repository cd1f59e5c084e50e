/** What only a site that exists can have: containers that are not well, certificates that run out. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { allNamesOf } from '../apps/index.ts';
import { doorOf } from '../config/config.ts';
import type { Container } from '../docker/engine.ts';
import { healthLines, isYoung } from '../docker/health.ts';
import { Problem, messageOf } from '../problem.ts';
import { parseYaml } from '../yaml.ts';
import type { CheckContext, Finding, Looked } from './check.ts';

const LOG_LINES = 10;
/** A container that came back this often did not do so for an update. */
const RESTARTS = 3;

/** Service → whether it does its work and ends. Undefined: nothing was written yet. */
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

function unwell(
  container: Container | undefined,
  oneShot: boolean,
  now: Date,
): [Finding['level'], string] | undefined {
  if (container === undefined) return ['blocker', 'does not exist'];
  const { state, health, exitCode, oomKilled, restarts } = container;
  if (oomKilled && state !== 'running') return ['blocker', 'was stopped by the kernel: out of memory'];
  if (state === 'restarting') return ['blocker', `stops again and again, with exit code ${exitCode}`];
  if (oneShot && state === 'exited' && exitCode === 0) return undefined;
  if (state !== 'running') return ['blocker', `is ${state}, with exit code ${exitCode}`];
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
}: CheckContext): Promise<Looked | undefined> {
  const services = await servicesOf(folder);
  if (info instanceof Problem || services === undefined) return undefined;
  const containers = await engine.containers(config.name);
  const found: Finding[] = [];
  const seen: string[] = [];
  for (const [name, oneShot] of services) {
    const container = containers.find(({ service }) => service === name);
    const trouble = unwell(container, oneShot, now());
    const { state = 'missing', health } = container ?? {};
    const isDone = state === 'exited' && trouble === undefined;
    seen.push(`${name} ${isDone ? 'done' : state === 'running' ? (health ?? state) : state}`);
    if (trouble === undefined) continue;
    const log =
      container === undefined
        ? ''
        : [...healthLines(container), await engine.logs(container.id, LOG_LINES)].filter(Boolean).join('\n');
    found.push({
      level: trouble[0],
      what: `The container ${name} ${trouble[1]}.`,
      means: 'The site is not complete.',
      next:
        container === undefined
          ? 'Run `fedi-setup apply`.'
          : 'Fix what its last lines show, then run `fedi-setup apply`.',
      ...(log === '' ? {} : { log }),
    });
  }
  return { seen: seen.join(', '), found };
}

interface Served {
  readonly from: Date;
  readonly to: Date;
}

const HANDSHAKE_MS = 10_000;

/** The validity of what is served for a name, whoever issued it. */
function served(address: string, port: number, name: string): Promise<Served> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      { host: address, port, servername: name, rejectUnauthorized: false, timeout: HANDSHAKE_MS },
      () => {
        const { valid_from: from, valid_to: to } = socket.getPeerCertificate();
        socket.destroy();
        resolve({ from: new Date(from), to: new Date(to) });
      },
    );
    socket.on('timeout', () => socket.destroy(new Error(`no answer within ${HANDSHAKE_MS / 1000} s`)));
    socket.on('error', reject);
  });
}

const day = (date: Date): string => date.toISOString().slice(0, 16).replace('T', ' ');

/** Caddy renews when a third of the time is left. */
const LATE = 0.2;

const LOOK = '`docker compose logs caddy` says why; `fedi-setup prove` has Caddy try again.';

/** @param port where HTTPS is */
export async function checkCertificates(
  { config, info, exists, now }: CheckContext,
  port = 443,
): Promise<Looked | undefined> {
  if (info instanceof Problem || config.tls.mode === 'proxy' || !exists) return undefined;
  const found: Finding[] = [];
  const seen: string[] = [];
  for (const name of allNamesOf(config)) {
    try {
      const { from, to } = await served(doorOf(config), port, name);
      seen.push(`${name} until ${day(to)}`);
      const left = to.getTime() - now().getTime();
      if (left <= 0) {
        found.push({
          level: 'blocker',
          what: `The certificate of ${name} ran out on ${day(to)}.`,
          means: 'Browsers and other servers refuse to talk to it.',
          next: LOOK,
        });
      } else if (left < LATE * (to.getTime() - from.getTime())) {
        found.push({
          level: 'warning',
          what: `The certificate of ${name} runs out on ${day(to)}, and Caddy has not renewed it.`,
          means: 'After that, browsers and other servers refuse to talk to it.',
          next: LOOK,
        });
      }
    } catch (error) {
      seen.push(`${name}: ${messageOf(error)}`);
      found.push({
        level: 'blocker',
        what: `Caddy serves no certificate for ${name}.`,
        means: 'Nobody reaches it by HTTPS.',
        next: LOOK,
      });
    }
  }
  return { seen: seen.join('; '), found };
}
