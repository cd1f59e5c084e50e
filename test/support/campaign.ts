/**
 * A campaign of kills: runs of every kind end with SIGKILL at a random moment, half of them while `docker compose up` works, and
 * exactly one more run, started at once, must complete the site.
 */
import { expect } from 'vitest';
import { accountsOf, foreverOf, leftovers, oneShots, random, until } from './faults.ts';
import { docker, environment, tool } from './site.ts';
import type { Run, RunOptions, TestSite } from './site.ts';

/** A kind of run to kill. */
export interface Kind {
  readonly name: string;
  readonly run: (options: RunOptions) => Promise<Run>;
  /** Needs a new site. */
  readonly fresh?: boolean;
}

export interface Campaign {
  readonly site: TestSite;
  readonly kinds: readonly Kind[];
  /** Names of the accounts of each app on the site. */
  readonly accounts?: (site: TestSite) => string[];
  readonly seed: number;
  /** Called for every kill. */
  readonly note?: (line: string) => void;
}

interface Kill {
  /** Whether the kill aims at `docker compose up` or at the whole run. */
  readonly atUp: boolean;
  /** Fraction of the time that such a run, or its `up`, took before. */
  readonly share: number;
}

/** Runs one kind and kills it at that moment. */
async function killed({ run }: Kind, { atUp, share }: Kill, took: Took): Promise<Run> {
  let timer: NodeJS.Timeout | undefined;
  let upSince: number | undefined;
  const since = Date.now();
  const result = await run({
    onEvent: ({ event, id, state }, child) => {
      const isUp = event === 'step' && id === 'up';
      if (isUp && state === 'start') upSince = Date.now();
      if (isUp && state === 'done' && upSince !== undefined) took.up = Date.now() - upSince;
      if (timer === undefined && (!atUp || (isUp && state === 'start'))) {
        const left = atUp ? took.up : took.all;
        timer = setTimeout(() => child.kill('SIGKILL'), share * left);
      }
    },
  });
  clearTimeout(timer);
  if (result.signal === null) took.all = Date.now() - since;
  return result;
}

interface Took {
  all: number;
  up: number;
}

/** Checks a site after the run that follows a kill. */
async function expectWhole(
  { site, accounts = accountsOf }: Campaign,
  forever: Record<string, string>,
  again: () => Promise<Run>,
): Promise<void> {
  const run = await again();
  // In full, since it is needed to understand a rare failure.
  if (run.code !== 0 || run.stderr !== '')
    throw new Error(
      `the next run ended with ${run.code}:\n${run.stderr}\n${run.events.map((event) => JSON.stringify(event)).join('\n')}`,
    );
  expect(run.events.at(-1)).toMatchObject(
    run.events.some(({ event }) => event === 'unchanged') ? {} : { event: 'end', proven: true },
  );
  expect(foreverOf(site.folder)).toMatchObject(forever);
  expect(accounts(site)).toEqual(['anna']);
  expect(leftovers(site.folder)).toEqual([]);
  const names = docker(
    'ps',
    '--all',
    '--filter',
    `label=com.docker.compose.project=${site.name}`,
    '--format',
    '{{.Names}}',
  ).split('\n');
  expect(names.filter((name) => !name.startsWith(`${site.name}-`))).toEqual([]);
  await until('one-shot containers are gone', () => oneShots(site).length === 0);
  const check = await tool(['plan', '--check', '--dir', site.folder], { env: environment() });
  expect([check.code, check.stdout]).toEqual([0, 'Nothing to change.\n']);
}

/** Runs a campaign of `kills` kills; resolves to the number of killed runs by kind. A failure names the kill. */
export async function campaign(options: Campaign, kills: number): Promise<Record<string, number>> {
  const { site, kinds, seed } = options;
  const next = random(seed);
  const counts: Record<string, number> = {};
  const took = new Map<string, Took>();
  const fresh = kinds.find((kind) => kind.fresh) as Kind;
  const start = async (): Promise<void> => {
    const run = await fresh.run({});
    expect([run.code, run.stderr]).toEqual([0, '']);
  };
  site.remove();
  await start();
  for (let number = 1; number <= kills; number++) {
    const kind = kinds[Math.floor(next() * kinds.length)] as Kind;
    const kill = { atUp: next() < 0.5, share: next() };
    if (kind.fresh) site.remove();
    const before = kind.fresh ? {} : foreverOf(site.folder);
    let times = took.get(kind.name);
    if (times === undefined) took.set(kind.name, (times = { all: 8000, up: 4000 }));
    const run = await killed(kind, kill, times);
    const isKilled = run.signal === 'SIGKILL';
    const what = `kill ${number} of ${kind.name}, ${kill.atUp ? 'up' : 'all'} at ${kill.share.toFixed(3)}`;
    options.note?.(`${what}: ${isKilled ? 'killed' : 'ended before'}`);
    if (isKilled) counts[kind.name] = (counts[kind.name] ?? 0) + 1;
    try {
      if (!isKilled) expect([run.code, run.stderr]).toEqual([0, '']);
      const forever = foreverOf(site.folder);
      expect(forever).toMatchObject(before);
      // A first run that was killed before it wrote anything left no answers.
      const again = kind.fresh ? () => kind.run({}) : () => site.apply([], { env: environment() });
      await expectWhole(options, forever, again);
    } catch (error) {
      throw new Error(`${what} (seed ${seed}): ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }
  return counts;
}

const rotate = (site: TestSite, name: string): Kind => ({
  name: `secrets rotate ${name}`,
  run: (options) =>
    tool(['secrets', 'rotate', name, '--confirm', name, '--dir', site.folder, '--json'], {
      ...options,
      env: environment(),
    }),
});

const first = (site: TestSite): Kind => ({
  name: 'first run',
  fresh: true,
  run: (options) => site.apply([], options),
});

/** Switches mail on and off. */
function change(site: TestSite): Kind {
  let mode = 'none';
  return {
    name: 'change',
    // Only this answer: the apps of the site may have changed since the first run.
    run: (options) =>
      site.apply([], {
        ...options,
        env: environment({ FEDI_MAIL_MODE: (mode = mode === 'none' ? 'catcher' : 'none') }),
      }),
  };
}

export const snacKinds = (site: TestSite): Kind[] => [first(site), change(site), rotate(site, 'site.key')];

/** For a site with Mastodon: its databases, and snac added and removed. */
export function mastodonKinds(site: TestSite, snac: NodeJS.ProcessEnv): Kind[] {
  const has = (): boolean => /^ {2}snac:/m.test(site.read('fedi.yaml'));
  return [
    first(site),
    change(site),
    rotate(site, 'mastodon.db'),
    rotate(site, 'mastodon.valkey'),
    {
      name: 'add or remove snac',
      run: (options) =>
        tool(
          [
            has() ? 'remove' : 'add',
            'snac',
            ...(has() ? ['--confirm', 'snac'] : []),
            '--dir',
            site.folder,
            '--json',
          ],
          {
            ...options,
            env: environment(snac),
          },
        ),
    },
  ];
}
