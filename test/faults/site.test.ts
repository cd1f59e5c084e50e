/** Everything that can happen to the files, containers and directory of a running site. One site, proven once, broken many times. */
import { execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  accountsOf,
  applyIn,
  asNobody,
  fastClock,
  foreverOf,
  headerOf,
  leftovers,
  logsIn,
  readOnly,
  secretsOf,
  snapshot,
  unmountAll,
  until,
} from '../support/faults.ts';
import { docker, environment, testSite, tool, wipe } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const site = testSite('faults', 66);
const parent = dirname(site.folder);
const scratch = mkdtempSync(join(tmpdir(), 'fedi-faults-scratch-'));
afterAll(() => {
  unmountAll();
  site.remove();
  rmSync(scratch, { recursive: true, force: true });
});

/** As an administrator runs it on an existing site: with the directory only. */
const again = (...words: string[]): Promise<Run> =>
  tool(['apply', '--dir', site.folder, '--json', ...words], { env: environment() });
const inSite = (path: string): string => join(site.folder, path);
const put = (path: string, text: string): void => {
  mkdirSync(dirname(inSite(path)), { recursive: true });
  writeFileSync(inSite(path), text);
};
const inspect = (service: string, format: string): string =>
  docker('inspect', '--format', format, site.containers()[service] ?? `no ${service}`);
const environmentOf = (service: string): string[] =>
  JSON.parse(inspect(service, '{{json .Config.Env}}')) as string[];
const compose = (...argv: string[]): void =>
  void execFileSync('docker', ['compose', ...argv], { cwd: site.folder, stdio: 'ignore' });

/** Stopping takes ten seconds, in which Caddy finishes open requests. */
const down = (): void => {
  compose('kill');
  compose('down');
};

const expectProven = (run: Run): void => {
  expect(run.stderr).toBe('');
  expect(run.code).toBe(0);
  expect(run.events.at(-1)).toMatchObject({ event: 'end', proven: true });
};
const expectUnchanged = (run: Run): void =>
  expect([run.stderr, run.events.map(({ event }) => event)]).toEqual(['', ['begin', 'unchanged', 'end']]);

/** Expects a refusal with an explanation, and unchanged files and containers. */
async function expectRefused(run: () => Promise<Run>, code: number, words: RegExp): Promise<void> {
  const before = [snapshot(site.folder), site.containers()];
  const { code: found, stderr } = await run();
  expect(stderr).toMatch(words);
  expect(stderr).not.toMatch(/Internal error in fedi-setup \d|\n {4}at /);
  expect(stderr).toMatch(/Next: /);
  expect(found).toBe(code);
  expect([snapshot(site.folder), site.containers()]).toEqual(before);
}

/** Restores a file after a test that damages it. */
async function withFile(path: string, text: string | undefined, work: () => Promise<void>): Promise<void> {
  const before = existsSync(inSite(path)) ? readFileSync(inSite(path)) : undefined;
  if (text === undefined) rmSync(inSite(path), { force: true });
  else put(path, text);
  try {
    await work();
  } finally {
    if (before === undefined) rmSync(inSite(path), { force: true });
    else writeFileSync(inSite(path), before);
  }
}

beforeAll(async () => {
  // The answers come from standard input, as env.example describes.
  const answers = Object.entries(site.env).filter(([name]) => name.startsWith('FEDI_'));
  const run = await tool(['apply', '--dir', site.folder, '--json', '--answers', '-'], {
    env: environment(),
    stdin: answers.map(([name, value]) => `${name}=${value}\n`).join(''),
  });
  expectProven(run);
});

describe.sequential('read-only runs', () => {
  test('plan and --dry-run change no byte; --check reports changes by its exit code', async () => {
    const before = snapshot(site.folder);
    const change = { env: { ...environment(), FEDI_MAIL_MODE: 'catcher' } };
    for (const [words, env, code] of [
      [['plan'], {}, 0],
      [['plan', '--check'], {}, 0],
      [['plan', '--check', '--json'], change, 1],
      [['plan', '--check'], change, 1],
      [['apply', '--dry-run'], change, 0],
    ] as const) {
      const run = await tool(['--dir', site.folder, ...words], { env: environment(), ...env });
      expect([words, run.code]).toEqual([words, code]);
      if (code === 1) expect(run.stdout).toContain('compose.yaml');
    }
    expect(snapshot(site.folder)).toEqual(before);
  });

  test('a read-only directory: a run without changes succeeds, a change is refused', async () => {
    readOnly(site.folder);
    try {
      expectUnchanged(await again());
      await expectRefused(
        () => again('--mail-mode', 'catcher'),
        4,
        /cannot be written: the file system is read-only/,
      );
    } finally {
      unmountAll();
    }
  });
});

describe.sequential('fedi.yaml', () => {
  const replace = (from: string, to: string) => (text: string) => text.replace(from, to);
  test.for<[string, (text: string) => string, RegExp]>([
    [
      'an unknown section',
      (text) => `${text}mial:\n  mode: none\n`,
      /fedi\.yaml line \d+: there is no key mial\. Did you mean mail\?/,
    ],
    [
      'an unknown key',
      replace('domain:', 'domian:'),
      /fedi\.yaml line \d+: there is no key apps\.snac\.domian\. Did you mean apps\.snac\.domain\?/,
    ],
    [
      'an unknown app',
      replace('snac:\n', 'snak:\n'),
      /fedi\.yaml line \d+: there is no key apps\.snak\. Did you mean apps\.snac\?/,
    ],
    [
      'a secret',
      (text) => text.replace('mode: none', 'mode: none\n  password: hunter2'),
      /fedi\.yaml line \d+: there is no key mail\.password/,
    ],
    ['broken YAML', (text) => `${text}mail: {mode: none\n`, /fedi\.yaml line \d+: /],
    ['a tab', (text) => text.replace('  mode: none', '\tmode: none'), /fedi\.yaml line \d+: /],
    ['a key twice', (text) => `${text}bind: 127.0.0.99\n`, /fedi\.yaml line \d+: .*(duplicate|twice)/i],
    ['an unresolved merge', (text) => `<<<<<<< HEAD\n${text}=======\n>>>>>>> b\n`, /fedi\.yaml line \d+: /],
    ['a list', () => '- snac\n', /fedi\.yaml is not a list of keys and values/],
    ['another version', replace('version: 1', 'version: 0'), /fedi\.yaml line \d+: version must be 1/],
    [
      'an invalid choice',
      replace('mode: none', 'mode: non'),
      /fedi\.yaml line \d+ \(mail\.mode\): Choose one of none, smtp, catcher\. Did you mean none\?/,
    ],
    [
      'an invalid value',
      replace('domain: faults.fedi.test', 'domain: faults'),
      /fedi\.yaml line \d+ \(apps\.snac\.domain\): A domain name has at least one dot/,
    ],
    [
      'a mapping for a value',
      replace('bind: 127.0.0.66', 'bind: { address: 127.0.0.66 }'),
      /fedi\.yaml line \d+: .*bind/,
    ],
    ['nothing', () => '', /Domain of snac is missing/],
    ['only comments', () => '# later\n', /Domain of snac is missing/],
  ])('%s: exit 2, unchanged', async ([, edit, words]) => {
    const text = site.read('fedi.yaml');
    expect(edit(text)).not.toBe(text);
    await withFile('fedi.yaml', edit(text), () => expectRefused(() => again(), 2, words));
  });

  test.for([
    ['CRLF line ends', (text: string) => text.replaceAll('\n', '\r\n')],
    ['a byte order mark', (text: string) => `\uFEFF${text}`],
  ] as const)('%s: understood', async ([, edit]) => {
    await withFile('fedi.yaml', edit(site.read('fedi.yaml')), async () => {
      const run = await tool(['plan', '--json', '--dir', site.folder], { env: environment() });
      expect([run.code, run.stderr]).toEqual([0, '']);
      expect(run.events[0]).toMatchObject({
        event: 'plan',
        files: [],
        containers: { create: [], recreate: [], remove: [] },
      });
    });
  });

  test('emptied, with the answers by flag: written again', async () => {
    const text = site.read('fedi.yaml');
    put('fedi.yaml', '');
    expectProven(await site.apply());
    expect(site.read('fedi.yaml')).toBe(text);
  });
});

describe.sequential('secrets.json', () => {
  const edited = (edit: (secrets: Record<string, unknown>) => void): string => {
    const file = JSON.parse(site.read('secrets.json')) as { secrets: Record<string, unknown> };
    edit(file.secrets);
    return JSON.stringify(file);
  };
  const other = {
    class: 'forever',
    created: '2026-01-01T00:00:00.000Z',
    fingerprint: '0000000000000000',
    value: 'of-another-site',
  };
  const damaged = /secrets\.json is damaged/;
  const foreign = /secrets\.json does not belong to the data in the volume test-faults_snac_data/;
  const rows: { name: string; text: () => string | undefined; words: RegExp }[] = [
    { name: 'cut short', text: () => site.read('secrets.json').slice(0, 200), words: damaged },
    { name: 'empty', text: () => '', words: damaged },
    { name: 'zeros', text: () => '\0'.repeat(1660), words: damaged },
    { name: 'null', text: () => 'null', words: damaged },
    { name: 'a list', text: () => '[]', words: damaged },
    { name: 'of a later version', text: () => '{"version":2,"secrets":{}}', words: damaged },
    { name: 'without its secrets', text: () => '{"version":1}', words: damaged },
    {
      name: 'with null for its secrets',
      text: () => '{"version":1,"secrets":null}',
      words: damaged,
    },
    { name: 'with none', text: () => '{"version":1,"secrets":{}}', words: foreign },
    {
      name: 'of another site',
      text: () => edited((secrets) => Object.assign(secrets, { 'snac.seal': other, 'site.key': other })),
      words: foreign,
    },
    {
      name: 'with another identity secret',
      text: () => edited((secrets) => (secrets['snac.seal'] = other)),
      words: foreign,
    },
    {
      name: 'without the identity secret',
      text: () => edited((secrets) => delete secrets['snac.seal']),
      words: foreign,
    },
    {
      name: 'with an invalid identity secret',
      text: () => edited((secrets) => (secrets['snac.seal'] = 'x')),
      words: /damaged|does not belong/,
    },
    { name: 'missing', text: () => undefined, words: foreign },
  ];
  for (const { name, text, words } of rows)
    test(`${name}: exit 3, nothing changed`, async () => {
      await withFile('secrets.json', text(), async () => {
        await expectRefused(() => again(), 3, words);
        if (text() === undefined) expect(existsSync(inSite('secrets.json'))).toBe(false);
      });
    });

  test('missing while the containers are stopped: exit 3, no new secrets', async () => {
    compose('kill');
    await withFile('secrets.json', undefined, async () => {
      await expectRefused(() => again(), 3, foreign);
      expect(existsSync(inSite('secrets.json'))).toBe(false);
    });
    expectProven(await again());
  });

  test('missing: prove and secrets report it', async () => {
    await withFile('secrets.json', undefined, async () => {
      await expectRefused(
        () => tool(['prove', '--dir', site.folder], { env: environment() }),
        3,
        /secrets\.json/,
      );
    });
  });

  test('restored: nothing to do', async () => expectUnchanged(await again()));
});

describe.sequential('one run at a time', () => {
  const proves = (): Promise<Run> => tool(['prove', '--dir', site.folder, '--json'], { env: environment() });
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const since = '2026-01-01T00:00:00.000Z';
  const startOf = (pid: number): string =>
    readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19] ?? '';
  const rows: { name: string; lock: string }[] = [
    { name: 'of a dead process', lock: JSON.stringify({ pid: 4_190_000, boot, start: '1', since }) },
    {
      name: 'of an earlier boot',
      lock: JSON.stringify({ pid: process.pid, boot: 'another', start: startOf(process.pid), since }),
    },
    {
      name: 'of a process whose PID was reused',
      lock: JSON.stringify({ pid: process.pid, boot, start: '1', since }),
    },
    { name: 'cut short', lock: '{"pid":1' },
    { name: 'empty', lock: '' },
    { name: 'null', lock: 'null' },
  ];
  for (const { name, lock } of rows)
    test(`takes over a lock ${name}`, async () => {
      await withFile('.fedi/lock', lock, async () => {
        const run = await proves();
        expect([run.stderr, run.code]).toEqual(['', 0]);
        expect(leftovers(site.folder)).toEqual([]);
      });
    });

  test('a lock of a live process: exit 6, and the process keeps it', async () => {
    const child = spawn('sleep', ['600']);
    const pid = child.pid as number;
    try {
      const lock = JSON.stringify({ pid, boot, start: startOf(pid), since });
      await withFile('.fedi/lock', lock, async () => {
        await expectRefused(proves, 6, new RegExp(`process ${pid}`));
        await expectRefused(() => again('--mail-mode', 'catcher'), 6, new RegExp(`process ${pid}`));
        expect(site.read('.fedi/lock')).toBe(lock);
      });
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('two at once: the second ends with exit 6, the first completes', async () => {
    let second: Promise<Run> | undefined;
    const first = await site.apply(['--mail-mode', 'catcher'], {
      onEvent: ({ id, state }) => {
        if (id === 'verify' && state === 'start') second = again('--snac-email', 'other@fedi.test');
      },
    });
    expectProven(first);
    expect((await second)?.code).toBe(6);
    expect((await second)?.stderr).toMatch(/Another run is working on this site: process \d+/);
    expect(site.read('fedi.yaml')).toContain('mode: catcher');
  });
});

describe.sequential('images', () => {
  test('an image lock with an id that the tag no longer has: exit 3', async () => {
    const lock = site.read('images.lock.yaml').replace(/sha256:[0-9a-f]{64}/, `sha256:${'0'.repeat(64)}`);
    await withFile('images.lock.yaml', lock, () =>
      expectRefused(() => again(), 3, /now names another image than the one this site runs/),
    );
  });

  test('an image lock that is no YAML: refused with an explanation', async () => {
    await withFile('images.lock.yaml', 'caddy: {', () =>
      expectRefused(() => again(), 1, /images\.lock\.yaml is damaged/),
    );
  });

  test('a missing image, and no registry: exit 4, the site unchanged', async () => {
    await expectRefused(
      () => again('--images-snac', '127.0.0.1:9/none:1'),
      4,
      /The image 127\.0\.0\.1:9\/none:1 could not be pulled/,
    );
  });

  test('a missing image lock is created again, and nothing restarts', async () => {
    const [before, text] = [site.containers(), site.read('images.lock.yaml')];
    rmSync(inSite('images.lock.yaml'));
    expectProven(await again());
    expect([site.containers(), site.read('images.lock.yaml')]).toEqual([before, text]);
  });
});

describe.sequential('the directory', () => {
  test('copied while the first one runs: exit 3', async () => {
    const copy = join(parent, 'copy');
    cpSync(site.folder, copy, { recursive: true });
    try {
      await expectRefused(() => applyIn(copy, environment()), 3, new RegExp(`belongs to ${site.folder}`));
      // Nor with a change, which would recreate containers.
      await expectRefused(
        () => applyIn(copy, environment(), ['--mail-mode', 'none']),
        3,
        new RegExp(`belongs to ${site.folder}`),
      );
    } finally {
      rmSync(copy, { recursive: true });
    }
  });

  test('renamed: the same volumes, the same data, proven', async () => {
    const renamed = join(parent, 'renamed');
    const [volumes, secrets] = [
      docker('volume', 'ls', '--quiet', '--filter', `name=${site.name}_`),
      foreverOf(site.folder),
    ];
    renameSync(site.folder, renamed);
    try {
      expectProven(await applyIn(renamed, environment()));
      expect(docker('volume', 'ls', '--quiet', '--filter', `name=${site.name}_`)).toBe(volumes);
      expect(foreverOf(renamed)).toEqual(secrets);
      expect(accountsOf(site)).toEqual(['anna']);
      expect(existsSync(site.folder)).toBe(false);
    } finally {
      if (!existsSync(site.folder)) renameSync(renamed, site.folder);
    }
    expectProven(await again());
  });

  test('renamed and back: then there is nothing to do', async () => expectUnchanged(await again()));
});

describe.sequential('generated files edited by hand', () => {
  const composeFile = 'compose.yaml';
  const caddy = 'caddy/sites/snac.caddy';
  const byHand: Record<string, (text: string) => string> = {
    [composeFile]: (text) =>
      text.replace('  snac:\n    image:', '  snac:\n    hostname: by-hand\n    image:'),
    [caddy]: (text) => text.replace('encode', 'header X-By-Hand yes\n\tencode'),
  };
  const ours: Record<string, string> = {};

  for (const path of [composeFile, caddy]) {
    test(`${path}: unattended exit 3`, async () => {
      ours[path] = site.read(path);
      const edited = byHand[path]?.(site.read(path)) ?? '';
      expect(edited).not.toBe(ours[path]);
      put(path, edited);
      await expectRefused(() => again(), 3, new RegExp(`You edited generated files: ${path}`));
      await expectRefused(() => again('--edited', 'abort'), 3, new RegExp(path));
    });

    test(`${path}: --edited keep keeps it, and does not ask again`, async () => {
      expectProven(await again('--edited', 'keep'));
      expect(site.read(path)).toBe(byHand[path]?.(ours[path] ?? ''));
      const run = await again();
      expect([run.code, run.stderr]).toEqual([0, '']);
      expect(site.read(path)).toBe(byHand[path]?.(ours[path] ?? ''));
    });

    test(`${path}: the kept version runs`, async () => {
      if (path === caddy) expect(await headerOf(site, 'x-by-hand')).toBe('yes');
      else expect(inspect('snac', '{{.Config.Hostname}}')).toBe('by-hand');
    });

    test(`${path}: --edited replace overwrites it`, async () => {
      appendFileSync(inSite(path), '# more\n');
      expectProven(await again('--edited', 'replace'));
      expect(site.read(path)).toBe(ours[path]);
      expectUnchanged(await again());
    });
  }

  test('removed ones are restored', async () => {
    rmSync(inSite(caddy));
    rmSync(inSite('env/snac.env'));
    const before = site.containers();
    expectProven(await again());
    expect(site.read(caddy)).toBe(ours[caddy]);
    expect(site.containers()).toEqual(before);
  });
});

describe.sequential('the administrator’s own files', () => {
  const broken: { path: string; text: string; words: RegExp }[] = [
    { path: 'compose.override.yaml', text: 'services: [\n', words: /compose\.override\.yaml/ },
    {
      path: 'compose.override.yaml',
      text: 'services: { snac: { networks: [nowhere] } }\n',
      words: /compose\.override\.yaml/,
    },
    { path: 'env/snac.local.env', text: "SNAC_TITLE='never closed\n", words: /snac\.local\.env/ },
    {
      path: 'caddy/custom/x.caddy',
      text: 'x.fedi.test {\n\tno_such_directive\n}\n',
      words: /caddy\/custom|x\.caddy/,
    },
  ];
  for (const { path, text, words } of broken)
    test(`broken ${path} (${text.slice(0, 20).trim()}…) is refused before anything changes`, async () => {
      const before = foreverOf(site.folder);
      await withFile(path, text, () => expectRefused(() => again(), 1, words));
      expect(foreverOf(site.folder)).toEqual(before);
    });

  test('a Caddy snippet is applied by a reload, without a new container', async () => {
    const before = site.containers();
    put('caddy/custom/x.caddy', 'http://127.0.0.1:2022 {\n\tbind 127.0.0.1\n\trespond mine\n}\n');
    const run = await again();
    expectProven(run);
    expect(run.events.filter(({ id, state }) => id === 'reload' && state === 'done')).toHaveLength(1);
    expect(site.containers()).toEqual(before);
    expect(docker('exec', before['caddy'] ?? '', 'curl', '--silent', 'http://127.0.0.1:2022/')).toBe('mine');
    expectUnchanged(await again());
  });

  test('an override and variables are applied, and stay', async () => {
    const before = site.containers();
    put('compose.override.yaml', 'services: { snac: { labels: { mine: "yes" } } }\n');
    put('env/snac.local.env', "SNAC_TITLE='My $place'\n");
    const own = ['compose.override.yaml', 'env/snac.local.env', 'caddy/custom/x.caddy'];
    const texts = own.map((path) => site.read(path));
    expectProven(await again());
    expect(inspect('snac', '{{.Config.Labels.mine}}')).toBe('yes');
    expect(environmentOf('snac')).toContain('SNAC_TITLE=My $place');
    expect(site.containers()['caddy']).toBe(before['caddy']);
    expectProven(await again('--mail-mode', 'none'));
    expect(own.map((path) => site.read(path))).toEqual(texts);
    expect(inspect('snac', '{{.Config.Labels.mine}}')).toBe('yes');
    expectUnchanged(await again());
  });

  test('removed ones have no effect any more', async () => {
    for (const path of ['compose.override.yaml', 'env/snac.local.env', 'caddy/custom/x.caddy'])
      rmSync(inSite(path));
    expectProven(await again());
    expect(inspect('snac', '{{.Config.Labels.mine}}')).toBe('<no value>');
    expect(environmentOf('snac').filter((line) => line.startsWith('SNAC_TITLE'))).toEqual([]);
  });

  test('an override may refer to other files', async () => {
    put('mine.env', 'MINE=1\n');
    await withFile('compose.override.yaml', 'services: { snac: { env_file: [mine.env] } }\n', async () => {
      try {
        expectProven(await again());
        expect(environmentOf('snac')).toContain('MINE=1');
      } finally {
        rmSync(inSite('mine.env'));
      }
    });
  });
});

describe.sequential('containers', () => {
  // Changes of earlier tests may recreate a container.
  beforeAll(async () => expectProven(await again()));
  afterEach(() => {
    rmSync(inSite('env/snac.local.env'), { force: true });
    rmSync(inSite('compose.override.yaml'), { force: true });
  });

  const rows: {
    name: string;
    harm: (ids: Record<string, string>) => void;
    same: string[];
  }[] = [
    { name: 'snac killed', harm: ({ snac = '' }) => docker('kill', snac), same: ['caddy', 'snac'] },
    { name: 'snac stopped', harm: ({ snac = '' }) => docker('stop', snac), same: ['caddy', 'snac'] },
    { name: 'snac removed', harm: ({ snac = '' }) => docker('rm', '--force', snac), same: ['caddy'] },
    { name: 'caddy removed', harm: ({ caddy = '' }) => docker('rm', '--force', caddy), same: ['snac'] },
    { name: 'all taken down', harm: down, same: [] },
  ];
  for (const { name, harm, same } of rows)
    test(`${name}: started again`, async () => {
      const before = site.containers();
      harm(before);
      expectProven(await again());
      const after = site.containers();
      expect(Object.keys(after).toSorted()).toEqual(['caddy', 'snac']);
      for (const service of same) expect([service, after[service]]).toEqual([service, before[service]]);
      expect(accountsOf(site)).toEqual(['anna']);
    });

  test('snac paused: reported', async () => {
    docker('pause', site.containers()['snac'] ?? '');
    const run = await again();
    expect([run.code, run.stderr]).toEqual([1, expect.stringMatching(/paused/)]);
    docker('unpause', site.containers()['snac'] ?? '');
    await until('snac is healthy', () => inspect('snac', '{{.State.Health.Status}}') === 'healthy');
    expectProven(await again());
  });

  test('snac hangs until it is unhealthy: restarted', async () => {
    const stopAll =
      'for p in /proc/[0-9]*; do [ "$(cat "$p/comm")" != snac ] || kill -STOP "${p#/proc/}"; done';
    docker('exec', site.containers()['snac'] ?? '', 'sh', '-c', stopAll);
    // Found within 80 s on an idle host.
    const isUnhealthy = (): boolean => inspect('snac', '{{.State.Health.Status}}') === 'unhealthy';
    await until('snac is unhealthy', isUnhealthy, 5 * 60_000);
    try {
      expectProven(await again());
    } finally {
      docker('kill', site.containers()['snac'] ?? '');
      expectProven(await again());
    }
  });

  test('one that never becomes healthy: exit 1 with its last lines; once fixed, the run completes', async () => {
    put('env/snac.local.env', 'SNAC_PORT=1\n');
    put('compose.override.yaml', 'services: { snac: { healthcheck: { interval: 1s, start_period: 1s } } }\n');
    const run = await tool(['apply', '--dir', site.folder, '--json'], { env: fastClock(environment()) });
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/The container snac is still unhealthy/);
    // The output of its health check, and the last output of snac.
    expect(run.stderr).toMatch(/\n {2}\| health check, exit code \d+: /);
    expect(run.stderr).toMatch(/\n {2}\| .*snac/);
    rmSync(inSite('env/snac.local.env'));
    rmSync(inSite('compose.override.yaml'));
    expectProven(await again());
  });

  test('one that keeps restarting: exit 1 with its last lines', async () => {
    put('env/snac.local.env', 'SNAC_PORT=banana\n');
    const run = await again();
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/The container snac keeps restarting, with exit code 78/);
    expect(run.stderr).toMatch(/\| snac: SNAC_PORT is "banana", which is not a port/);
    rmSync(inSite('env/snac.local.env'));
    expectProven(await again());
  });

  test('killed during a step and during the proofs: reported, and the next run completes', async () => {
    for (const [id, service] of [
      ['snac.account', 'snac'],
      ['prove.snac.webfinger', 'snac'],
      ['prove.snac.login', 'caddy'],
    ] as const) {
      // A change, so that the run reaches that point.
      compose('kill');
      const run = await tool(['apply', '--dir', site.folder, '--json'], {
        env: environment(),
        onEvent: (event) => {
          if (event['id'] === id && event['state'] === 'start')
            docker('kill', site.containers()[service] ?? '');
        },
      });
      expect([id, [1, 5].includes(run.code), run.stderr.includes('Internal error in')]).toEqual([
        id,
        true,
        false,
      ]);
      expectProven(await again());
    }
  });

  test('killed while the run waits for it: started again', async () => {
    // It listens on another port, so it never becomes healthy.
    put('env/snac.local.env', 'SNAC_PORT=8002\n');
    const before = site.containers()['snac'];
    const started = (): string =>
      site.containers()['snac'] === before || inspect('snac', '{{.State.Running}}') !== 'true'
        ? ''
        : inspect('snac', '{{.State.StartedAt}}');
    let stop = (): void => undefined;
    const run = site.apply([], { onEvent: (_, child) => (stop = () => void child.kill('SIGTERM')) });
    try {
      await until('a new snac runs', () => started() !== '');
      const first = started();
      docker('kill', site.containers()['snac'] ?? '');
      await until('snac runs again', () => !['', first].includes(started()));
    } finally {
      stop();
      expect((await run).code).toBe(143);
      rmSync(inSite('env/snac.local.env'));
      expectProven(await again());
    }
  });

  test('the data volume removed: refused; after `reset` a new server, whose password is shown', async () => {
    const before = secretsOf(site.folder)['snac.admin']?.value;
    down();
    docker('volume', 'rm', `${site.name}_snac_data`);
    await expectRefused(again, 3, /The data of snac are gone: the volume \S+_snac_data is missing or empty/);
    expect(
      (await tool(['reset', '--dir', site.folder, '--confirm', site.name], { env: environment() })).code,
    ).toBe(0);
    const run = await again();
    expectProven(run);
    const printed = run.events.find(({ event }) => event === 'admin')?.['password'];
    expect(printed).toBe(secretsOf(site.folder)['snac.admin']?.value);
    expect(printed).not.toBe(before);
    expect(await logsIn(site, String(printed))).toBe(true);
    expect(accountsOf(site)).toEqual(['anna']);
  });

  test('the volumes of Caddy removed: new certificates, the same root', async () => {
    down();
    docker('volume', 'rm', `${site.name}_caddy_data`, `${site.name}_caddy_config`);
    expectProven(await again());
    expect(accountsOf(site)).toEqual(['anna']);
  });
});

describe.sequential('variables of Compose', () => {
  test('in the environment have no influence on a change', async () => {
    const env = {
      ...environment(),
      COMPOSE_FILE: '/nonexistent.yaml',
      COMPOSE_PROJECT_NAME: 'test-faults-stray',
      COMPOSE_PROFILES: 'stray',
      COMPOSE_ENV_FILES: '/nonexistent.env',
    };
    expectProven(await applyIn(site.folder, env, ['--mail-mode', 'catcher']));
    expect(Object.keys(site.containers()).toSorted()).toEqual(['caddy', 'mail', 'snac']);
  });

  test('in a .env of the directory: no influence either, or refused', async () => {
    put('.env', 'COMPOSE_PROJECT_NAME=test-faults-stray\n');
    try {
      const run = await again('--snac-email', 'changed@fedi.test');
      expect(
        docker('ps', '--all', '--quiet', '--filter', 'label=com.docker.compose.project=test-faults-stray'),
      ).toBe('');
      expect([0, 3]).toContain(run.code);
    } finally {
      rmSync(inSite('.env'));
      wipe('test-faults-stray');
    }
  });
});

test('without read access to secrets.json: exit 4, with an explanation', async () => {
  for (const folder of [parent, scratch]) chmodSync(folder, 0o755);
  await expectRefused(
    () => asNobody(scratch, 'docker', ['plan', '--dir', site.folder], environment()),
    4,
    /secrets\.json cannot be read: .*permission denied/,
  );
});
