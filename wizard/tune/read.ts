/** Reads the figures of a running site: counters since the start of each container, and a sample of some seconds. */
import { readFile } from 'node:fs/promises';
import { freemem, totalmem } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { appQuestion } from '../answers/questions.ts';
import type { App } from '../apps/app.ts';
import { appOf } from '../apps/index.ts';
import { shellProgram } from '../assets.ts';
import type { AppConfig, Config } from '../config/config.ts';
import type { Container, Engine } from '../docker/engine.ts';
import { isOf } from '../stack/compose.ts';
import type { AppFigures, ContainerFigures, DatabaseFigures, Figures, ValkeyFigures } from './figures.ts';

const LOOKS = 5;
const EVERY_MS = 1000;
/** Of one command in a container. */
const LIMIT_MS = 10_000;
/** Above it a limit of cgroup v1 means none. */
const NO_LIMIT = 2 ** 60;

/** Name → the last number with that name; the titles of processes apart. */
export interface Printed {
  readonly numbers: ReadonlyMap<string, number>;
  readonly titles: readonly string[];
}

/** Parses lines `name value`, `name: value` and `title …`. */
export function parsePrinted(text: string): Printed {
  const numbers = new Map<string, number>();
  const titles: string[] = [];
  for (const line of text.split('\n')) {
    const [, name = '', value = ''] = /^([\w.]+)[:\s]\s*(.*?)\s*$/.exec(line) ?? [];
    if (name === 'title') titles.push(value);
    // The queue of a socket is in hexadecimal.
    else if (name.startsWith('listen.'))
      numbers.set('backlog', Math.max(numbers.get('backlog') ?? 0, Number.parseInt(value, 16)));
    else if (/^-?\d+$/.test(value)) numbers.set(name, Number(value));
  }
  return { numbers, titles };
}

/** `sidekiq 7.3.9 app [3 of 25 busy]` */
export function sidekiqIn(titles: readonly string[]): { busy: number; threads: number } | undefined {
  const found = titles.flatMap((title) => {
    const [, busy, threads] = /^sidekiq .*\[(\d+) of (\d+) busy\]/.exec(title) ?? [];
    return threads === undefined ? [] : [{ busy: Number(busy), threads: Number(threads) }];
  });
  return found.length === 0
    ? undefined
    : { busy: found.reduce((sum, one) => sum + one.busy, 0), threads: found.reduce((sum, one) => sum + one.threads, 0) }; // prettier-ignore
}

interface Look {
  readonly at: number;
  readonly printed: Printed;
}

const cpuSeconds = ({ printed: { numbers } }: Look): number | undefined => {
  const [micro, nano] = [numbers.get('cpu.microseconds'), numbers.get('cpu.nanoseconds')];
  return micro !== undefined ? micro / 1e6 : nano === undefined ? undefined : nano / 1e9;
};

/** Figures of a container from its looks, oldest first. */
export function containerFigures(
  service: string,
  looks: readonly Look[],
  memory: number | undefined,
): ContainerFigures | undefined {
  const [first, last] = [looks[0], looks.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const { numbers, titles } = last.printed;
  const [before, after] = [cpuSeconds(first), cpuSeconds(last)];
  const seconds = (last.at - first.at) / 1000;
  const [limit, periods = 0] = [numbers.get('memory.limit'), numbers.get('cpu.periods')];
  const waited = looks.flatMap(({ printed }) => printed.numbers.get('backlog') ?? []);
  const busy = looks.flatMap(({ printed }) => sidekiqIn(printed.titles) ?? []);
  return {
    service,
    memory,
    limit: limit === undefined || limit > NO_LIMIT ? undefined : limit,
    kills: numbers.get('memory.kills'),
    cores:
      before === undefined || after === undefined || seconds <= 0 ? undefined : (after - before) / seconds,
    throttled: periods === 0 ? undefined : (numbers.get('cpu.throttled') ?? 0) / periods,
    backlog:
      waited.length === 0
        ? undefined
        : { seen: waited.filter((one) => one > 0).length, of: waited.length, most: Math.max(...waited) },
    sidekiq:
      busy.length === 0
        ? undefined
        : {
            busy: busy.reduce((sum, one) => sum + one.busy, 0) / busy.length,
            threads: busy.at(-1)?.threads ?? 0,
          },
    puma: titles.filter((title) => title === 'puma').length,
    horizon: titles.filter((title) => title === 'horizon').length,
  };
}

/** What a server prints, as figures; undefined: not what it should print. */
export function databaseFigures(
  service: string,
  kind: DatabaseFigures['kind'],
  { numbers }: Printed,
): DatabaseFigures | undefined {
  // prettier-ignore
  const names =
    kind === 'PostgreSQL'
      ? ['connections', 'connections.most', 'blocks.hit', 'blocks.read']
      : ['Threads_connected', 'max_connections', 'Innodb_buffer_pool_read_requests', 'Innodb_buffer_pool_reads'];
  const [connections, most, requests, misses] = names.map((name) => numbers.get(name));
  if (connections === undefined || most === undefined || requests === undefined || misses === undefined)
    return undefined;
  // MariaDB counts every request, also those that its cache did not answer.
  return { service, kind, connections, most, misses, hits: kind === 'PostgreSQL' ? requests : Math.max(0, requests - misses) }; // prettier-ignore
}

export function valkeyFigures(service: string, { numbers }: Printed): ValkeyFigures | undefined {
  const [used, most, evicted] = ['used_memory', 'maxmemory', 'evicted_keys'].map((name) => numbers.get(name));
  return used === undefined || most === undefined || evicted === undefined ? undefined : { service, used, most, evicted }; // prettier-ignore
}

export interface ReadOptions {
  readonly config: Config;
  readonly engine: Engine;
  readonly now: () => Date;
  /** Called before each look, with its number and how many there are. */
  readonly onLook: (number: number, of: number) => void;
}

/** Throws a Problem if the engine cannot be used. */
export async function readFigures(options: ReadOptions): Promise<Figures> {
  const { config, engine, now } = options;
  const { cpus } = await engine.info();
  const running = (await engine.containers(config.name)).filter(({ state }) => state === 'running');
  const ask = async (id: string, program: string): Promise<Printed | undefined> =>
    engine
      .exec(id, { argv: shellProgram(`tune/programs/${program}`) }, { timeoutMs: LIMIT_MS })
      .then(({ code, stdout }) => (code === 0 ? parsePrinted(stdout) : undefined))
      .catch(() => undefined);

  const looks = new Map<string, Look[]>(running.map(({ id }) => [id, []]));
  for (let number = 1; number <= LOOKS; number++) {
    options.onLook(number, LOOKS);
    if (number > 1) await delay(EVERY_MS);
    await Promise.all(
      running.map(async ({ id }) => {
        const printed = await ask(id, 'read-container.sh');
        if (printed !== undefined) looks.get(id)?.push({ at: Date.now(), printed });
      }),
    );
  }
  const apps = await Promise.all(
    config.apps.map((app) => appFigures(app, { config, engine, now: now(), running, looks, ask })),
  );
  const blind = running.filter(({ id }) => looks.get(id)?.length === 0).map(({ service }) => service);
  const pressure = /some avg10=\S+ avg60=([\d.]+)/.exec(await readFile('/proc/pressure/cpu', 'utf8').catch(() => ''))?.[1]; // prettier-ignore
  return {
    memory: totalmem(),
    available: freemem(),
    cores: cpus,
    pressure: pressure === undefined ? undefined : Number(pressure) / 100,
    apps: apps.map(({ figures }) => figures),
    unseen: [
      ...(running.length === 0 ? ['No container of the site runs.'] : []),
      ...blind.map((service) => `${service} has no shell, or does not answer.`),
      ...(pressure === undefined ? ['The kernel does not report how often processes wait for a core.'] : []),
      ...apps.flatMap(({ unseen }) => unseen),
      'Busy threads of Puma and PHP are not visible from outside; requests that wait before them are.',
    ],
  };
}

interface Seen {
  readonly config: Config;
  readonly engine: Engine;
  readonly now: Date;
  readonly running: readonly Container[];
  readonly looks: ReadonlyMap<string, readonly Look[]>;
  readonly ask: (id: string, program: string) => Promise<Printed | undefined>;
}

async function appFigures(
  config: AppConfig,
  { engine, now, running, looks, ask }: Seen,
): Promise<{ figures: AppFigures; unseen: string[] }> {
  const { id, options, size } = config;
  const app: App = appOf(id);
  const own = running.filter(({ service }) => isOf(id, service));
  const unseen: string[] = [];
  const containers: ContainerFigures[] = [];
  const databases: DatabaseFigures[] = [];
  const valkeys: ValkeyFigures[] = [];
  for (const { id: container, service } of own) {
    const all = looks.get(container) ?? [];
    const titles = all.at(-1)?.printed.titles ?? [];
    const memory = await engine.memoryOf(container).catch(() => undefined);
    containers.push(...[containerFigures(service, all, memory) ?? []].flat());
    const kind = (['PostgreSQL', 'MariaDB'] as const).find((one) => titles.some((title) => one.toLowerCase().startsWith(title))); // prettier-ignore
    const isValkey = titles.includes('valkey');
    if (kind === undefined && !isValkey) continue;
    const printed = await ask(container, isValkey ? 'read-valkey.sh' : kind === 'MariaDB' ? 'read-mariadb.sh' : 'read-postgres.sh'); // prettier-ignore
    const database = printed && kind && databaseFigures(service, kind, printed);
    const valkey = printed && isValkey ? valkeyFigures(service, printed) : undefined;
    if (database !== undefined) databases.push(database);
    else if (valkey !== undefined) valkeys.push(valkey);
    else unseen.push(`The server in ${service} does not answer.`);
  }
  for (const { service } of app.servers?.(options) ?? [])
    if (!own.some((one) => one.service === service)) unseen.push(`${service} does not run.`);
  const jobs = app.jobs?.(options);
  const asked = jobs && own.find(({ service }) => service === jobs.service);
  const seen =
    jobs &&
    asked &&
    (await engine
      .exec(asked.id, jobs.look, { timeoutMs: LIMIT_MS })
      .then(({ stdout }) => jobs.parse(stdout, now))
      .catch(() => undefined));
  if (jobs !== undefined && seen === undefined) unseen.push(`The jobs of ${app.name} are unknown.`);
  const sizes = size === undefined ? [] : (appQuestion(id, 'size').choices ?? []).map(({ value }) => value);
  const larger = size === undefined ? undefined : sizes[sizes.indexOf(size) + 1];
  return {
    unseen,
    figures: {
      id,
      name: app.name,
      size,
      larger,
      largerMiB:
        larger === undefined ? undefined : app.load?.({ ...options, size: larger } as never).memoryMiB,
      waiting: seen?.waiting,
      oldest: seen?.oldest === undefined ? undefined : Math.max(0, (now.getTime() - seen.oldest) / 1000),
      containers,
      databases,
      valkeys,
    },
  };
}
