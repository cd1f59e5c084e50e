/** Hosts on which a first run cannot succeed, and unusual ones on which it must. */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import {
  applyIn,
  asNobody,
  behind,
  leftovers,
  logsIn,
  programs,
  readOnly,
  remount,
  script,
  secretsOf,
  snapshot,
  tmpfs,
  unmount,
  unmountAll,
  until,
} from '../support/faults.ts';
import { docker, environment, testSite, tool, wipe } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const ADDRESS = 65;
const site = testSite('host', ADDRESS);
const parent = dirname(site.folder);
chmodSync(parent, 0o755);
const scratch = mkdtempSync(join(tmpdir(), 'fedi-host-'));
chmodSync(scratch, 0o755);

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => {
  unmountAll();
  site.remove();
  rmSync(scratch, { recursive: true, force: true });
});

/** Text that must not be in the message of an expected error. */
const expectError = (run: Run, code: number, words: RegExp): void => {
  expect(run.stderr).toMatch(words);
  expect(run.stderr).not.toMatch(/Internal error in fedi-setup \d|\n {4}at /);
  expect(run.stderr).toMatch(/Next: /);
  expect(run.code).toBe(code);
};

/** Files, not directories. */
const filesIn = (folder: string): string[] =>
  Object.entries(snapshot(folder))
    .filter(([, text]) => text.includes(' '))
    .map(([path]) => path);

const expectNothing = (folder = site.folder): void => {
  expect(filesIn(folder)).toEqual([]);
  expect(site.containers()).toEqual({});
  expect(docker('volume', 'ls', '--quiet', '--filter', `name=${site.name}_`)).toBe('');
};

/** Programs that the tool needs, in a separate directory; its shebang needs `node`. */
const PROGRAMS = ['node', 'docker', 'openssl', 'flock'];
const without = (name: string): NodeJS.ProcessEnv => ({
  ...site.env,
  PATH: programs(
    join(scratch, `without-${name}`),
    PROGRAMS.filter((one) => one !== name),
  ),
});
/** A `docker` with another `compose`. */
const withCompose = (name: string, answer: string): NodeJS.ProcessEnv => {
  const folder = programs(join(scratch, name), ['node', 'openssl', 'flock']);
  const real = execFileSync('which', ['docker'], { encoding: 'utf8' }).trim();
  script(join(folder, 'docker'), `if [ "$1" = compose ]; then ${answer}; fi\nexec ${real} "$@"`);
  return { ...site.env, PATH: folder };
};

const removeFolder = (): void => rmSync(site.folder, { recursive: true, force: true });

describe('without a requirement: reports it with exit 4 and writes nothing', () => {
  afterEach(removeFolder);
  const plainFile = join(scratch, 'no-socket');
  writeFileSync(plainFile, '');
  const rows: { name: string; env: () => NodeJS.ProcessEnv; words: RegExp }[] = [
    { name: 'no docker', env: () => without('docker'), words: /Docker is not installed/ },
    {
      name: 'no docker, but DOCKER_HOST',
      env: () => ({ ...without('docker'), DOCKER_HOST: 'unix:///var/run/docker.sock' }),
      words: /Docker is not installed/,
    },
    { name: 'no openssl', env: () => without('openssl'), words: /`openssl` is not installed/ },
    {
      name: 'no Compose plugin',
      env: () => withCompose('no-compose', `echo "docker: 'compose' is not a docker command." >&2; exit 1`),
      words: /`docker compose` is missing/,
    },
    {
      name: 'an old Compose',
      env: () => withCompose('old-compose', 'echo 2.20.3; exit 0'),
      words: /Docker Compose 2\.20\.3 is too old/,
    },
    {
      name: 'no engine at the socket',
      env: () => ({ ...site.env, DOCKER_HOST: `unix://${scratch}/none.sock` }),
      words: /No Docker engine answers at .*none\.sock.*DOCKER_HOST/s,
    },
    {
      name: 'a path that is no socket',
      env: () => ({ ...site.env, DOCKER_HOST: `unix://${plainFile}` }),
      words: /No Docker engine answers at .*no-socket/,
    },
    {
      name: 'tcp://',
      env: () => ({ ...site.env, DOCKER_HOST: 'tcp://127.0.0.65:2375' }),
      words: /DOCKER_HOST is tcp:.*another machine/,
    },
    {
      name: 'ssh://',
      env: () => ({ ...site.env, DOCKER_HOST: 'ssh://nobody@example.org' }),
      words: /DOCKER_HOST is ssh:.*another machine/,
    },
    {
      name: 'an image that does not exist',
      env: () => ({ ...site.env, FEDI_IMAGES_SNAC: '127.0.0.1:9/none:1' }),
      words: /The image 127\.0\.0\.1:9\/none:1 could not be pulled/,
    },
  ];
  for (const { name, env, words } of rows) {
    test(name, async () => {
      expectError(await applyIn(site.folder, env()), 4, words);
      expectNothing();
    });
  }

  test('an engine that answers every request with an error', async () => {
    const socket = join(scratch, 'failing.sock');
    const engine = createServer((_, reply) =>
      reply
        .writeHead(500, { 'Content-Type': 'application/json' })
        .end('{"message":"the disk of the engine is gone"}'),
    );
    await new Promise<void>((done) => engine.listen(socket, done));
    try {
      expectError(
        await applyIn(site.folder, { ...site.env, DOCKER_HOST: `unix://${socket}` }),
        4,
        /the disk of the engine is gone/,
      );
    } finally {
      engine.close();
    }
    expectNothing();
  });

  for (const { words } of [
    { words: ['apply'] },
    { words: ['plan'] },
    { words: ['status'] },
    { words: ['prove'] },
    { words: ['doctor'] },
    { words: ['uninstall', '--confirm', site.name] },
    { words: ['snac', 'state'] },
  ])
    test(`no engine, on a site that exists: ${words.join(' ')}`, async () => {
      mkdirSync(site.folder);
      writeFileSync(
        join(site.folder, 'fedi.yaml'),
        `version: 1\nname: ${site.name}\napps:\n  snac: { domain: a.fedi.test, admin: anna, email: anna@fedi.test }\n`,
      );
      const before = snapshot(site.folder);
      const env = { ...environment(), DOCKER_HOST: `unix://${scratch}/none.sock` };
      expectError(await tool(['--dir', site.folder, ...words], { env }), 4, /No Docker engine answers/);
      expect(snapshot(site.folder)).toEqual(before);
    });
});

describe('as another user', () => {
  afterEach(removeFolder);
  const as = (group: 'docker' | 'none'): Promise<Run> =>
    asNobody(scratch, group, ['apply', '--dir', site.folder], site.env);

  test('without access to Docker', async () => {
    expectError(await as('none'), 4, /You do not have permission to use the Docker socket/);
    expectNothing();
  });

  test('with access to Docker, but not to the directory', async () => {
    mkdirSync(site.folder);
    expectError(await as('docker'), 4, /cannot be written: permission was denied/);
    expectNothing();
    removeFolder();
    // Nor its parent directory.
    expectError(await as('docker'), 4, /cannot be written: permission was denied/);
    expect(existsSync(site.folder)).toBe(false);
  });
});

describe('ports', () => {
  afterEach(removeFolder);
  test('used by a process: names it with its PID', async () => {
    const child = spawn(
      process.execPath,
      ['-e', `require('net').createServer().listen(443, '${site.bind}', () => console.log('up'))`],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    children.push(child);
    await new Promise((done) => child.stdout?.once('data', done));
    const name = readFileSync(`/proc/${child.pid}/comm`, 'utf8').trim();
    const run = await applyIn(site.folder, site.env);
    expectError(run, 4, new RegExp(`tcp 443: ${name} \\(process ${child.pid}\\)`));
    expect(existsSync(site.folder)).toBe(false);
  });

  test('used by a container: names its service and project', async () => {
    const project = 'test-host-other';
    const id = docker(
      'run',
      '--detach',
      '--label',
      `com.docker.compose.project=${project}`,
      '--label',
      'com.docker.compose.service=web',
      '--publish',
      `${site.bind}:80:80`,
      '--entrypoint',
      'sleep',
      'fedi-setup/caddy:trixie',
      '600',
    );
    try {
      expectError(
        await applyIn(site.folder, site.env),
        4,
        /tcp 80: the container web of the Compose project test-host-other/,
      );
      expect(existsSync(site.folder)).toBe(false);
    } finally {
      docker('rm', '--force', '--volumes', id);
    }
  });
});

describe('directories without write access', () => {
  afterEach(() => {
    unmountAll();
    removeFolder();
  });

  test('read-only', async () => {
    mkdirSync(site.folder);
    readOnly(site.folder);
    expectError(await applyIn(site.folder, site.env), 4, /cannot be written: the file system is read-only/);
    expectNothing();
  });

  test('a file where the directory should be', async () => {
    writeFileSync(site.folder, 'mine');
    const run = await applyIn(site.folder, site.env);
    expectError(run, 1, /cannot be read: a part of the path is a file/);
    expect(readFileSync(site.folder, 'utf8')).toBe('mine');
  });

  test('detects low disk space and few inodes before it writes anything', async () => {
    tmpfs(site.folder, 'size=1m');
    expectError(await applyIn(site.folder, site.env), 4, /Only 1 MB free for the site directory/);
    expectNothing();
    unmount(site.folder);
    tmpfs(site.folder, 'size=64m,nr_inodes=20');
    expectError(await applyIn(site.folder, site.env), 4, /Only \d+ inodes free for the site directory/);
    expectNothing();
  });

  test('a path that exceeds the limit', async () => {
    expectError(
      await applyIn(join(parent, ...Array.from({ length: 30 }, () => 'x'.repeat(200))), site.env),
      1,
      /the path is too long/,
    );
    expect(readdirSync(parent)).toEqual([]);
  });

  test('keeps a foreign compose.yaml', async () => {
    mkdirSync(site.folder);
    writeFileSync(join(site.folder, 'compose.yaml'), 'services: { mine: { image: mine } }\n');
    expectError(
      await applyIn(site.folder, site.env),
      3,
      /already has a compose\.yaml that fedi-setup did not write/,
    );
    expect(filesIn(site.folder)).toEqual(['compose.yaml']);
    expect(readFileSync(join(site.folder, 'compose.yaml'), 'utf8')).toBe(
      'services: { mine: { image: mine } }\n',
    );
  });
});

/** Fills a small file system until `pages` of 4 kB are free. */
function fill(folder: string, pages: number): void {
  const free = Number(
    execFileSync('df', ['--output=avail', '-k', folder], { encoding: 'utf8' }).split('\n')[1],
  );
  writeFileSync(join(folder, 'mine.bin'), Buffer.alloc(Math.max(0, (free - 4 * pages) * 1024)));
}

describe.sequential('a full disk', () => {
  const SKIP = ['--skip-check', 'disk'];
  const WHOLE = [
    'caddy/Caddyfile',
    'caddy/sites/snac.caddy',
    'caddy/tls/global.caddy',
    'caddy/tls/known.caddy',
    'caddy/tls/site.caddy',
    'compose.yaml',
    'env/snac.env',
    'fedi.yaml',
    'images.lock.yaml',
    'trust/root.crt',
  ];
  const clear = (): void => {
    wipe(site.name);
    unmountAll();
    removeFolder();
  };
  afterAll(clear);

  for (const { options } of [
    { options: 'size=16k' },
    { options: 'size=64k' },
    { options: 'size=96k' },
    { options: 'size=256k,nr_inodes=8' },
    { options: 'size=256k,nr_inodes=20' },
    { options: 'size=256k,nr_inodes=40' },
  ])
    test(`from the start: ${options}`, async () => {
      clear();
      tmpfs(site.folder, options);
      const run = await applyIn(site.folder, site.env, SKIP);
      expectError(run, 1, /the disk is full/);
      expect(leftovers(site.folder)).toEqual([]);
      // All files of the site or none; secrets are written first and may be complete.
      const files = filesIn(site.folder).filter(
        (path) => !path.startsWith('.fedi/') && path !== 'secrets.json',
      );
      if (files.length > 0) expect(files).toEqual(WHOLE);
      if (existsSync(join(site.folder, 'secrets.json')))
        expect(Object.keys(secretsOf(site.folder))).toContain('snac.seal');
      // A disk with room for the whole set may be full only after the start, at the receipt.
      if (files.length === 0) expect(site.containers()).toEqual({});
    });

  test('at every page of a first run, on the same disk, until it fits', async () => {
    clear();
    tmpfs(site.folder, 'size=512k');
    const secrets: string[] = [];
    let run: Run;
    let pages = 0;
    do {
      rmSync(join(site.folder, 'mine.bin'), { force: true });
      fill(site.folder, pages);
      run = await applyIn(site.folder, site.env, SKIP);
      if (run.code === 0) break;
      expect([pages, run.stderr]).toEqual([pages, expect.stringMatching(/the disk is full/)]);
      expect(run.code).toBe(1);
      expectError(run, 1, /the disk is full/);
      expect(leftovers(site.folder)).toEqual([]);
      if (existsSync(join(site.folder, 'secrets.json')))
        secrets.push(secretsOf(site.folder)['snac.seal']?.value ?? 'half-written');
      pages += 3;
    } while (pages < 120);
    expect(run.code).toBe(0);
    expect(run.events.at(-1)).toMatchObject({ proven: true });
    // The first marker written to the disk must stay.
    expect(new Set([...secrets, secretsOf(site.folder)['snac.seal']?.value]).size).toBe(1);
    expect(await logsIn(site, secretsOf(site.folder)['snac.admin']?.value ?? '')).toBe(true);
  });

  test('during a change: the old files stay, and with free space it completes', async () => {
    const settled = (): Record<string, string> =>
      snapshot(site.folder, (path) => path === 'mine.bin' || path.startsWith('.fedi'));
    const before = settled();
    const containers = site.containers();
    const change = { ...site.env, FEDI_SNAC_EMAIL: 'anna@other.test' };
    for (const pages of [0, 4, 8, 12]) {
      rmSync(join(site.folder, 'mine.bin'), { force: true });
      fill(site.folder, pages);
      const run = await applyIn(site.folder, change, SKIP);
      expect([pages, run.code, run.stderr]).toEqual([pages, 1, expect.stringMatching(/the disk is full/)]);
      expect(settled()).toEqual(before);
      expect(leftovers(site.folder)).toEqual([]);
      expect(site.containers()).toEqual(containers);
    }
    remount(site.folder, 'size=64m');
    const run = await applyIn(site.folder, change);
    expect(run.stderr).toBe('');
    expect(run.code).toBe(0);
    expect(site.read('fedi.yaml')).toContain('anna@other.test');
  });
});

test('a failed write of the lock leaves no file', async () => {
  tmpfs(site.folder, 'size=16k');
  try {
    mkdirSync(join(site.folder, '.fedi'));
    fill(site.folder, 0);
    expect((await applyIn(site.folder, site.env, ['--skip-check', 'disk'])).code).toBe(1);
    expect(leftovers(site.folder)).toEqual([]);
  } finally {
    unmountAll();
    removeFolder();
  }
});

describe.sequential('unusual hosts on which a first run succeeds', () => {
  afterEach(() => {
    wipe(site.name);
    for (const name of readdirSync(parent)) rmSync(join(parent, name), { recursive: true, force: true });
  });

  const expectProven = (run: Run): void => {
    expect(run.stderr).toBe('');
    expect(run.code).toBe(0);
    expect(run.events.at(-1)).toMatchObject({ event: 'end', proven: true });
  };
  const withUmask = (umask: string, folder: string): Promise<Run> =>
    behind(['sh', '-c', `umask ${umask}; exec "$@"`, 'sh'], ['apply', '--dir', folder, '--json'], {
      env: site.env,
    });
  const expectModes = (): void => {
    for (const path of filesIn(site.folder)) {
      const mode = (lstatSync(join(site.folder, path)).mode & 0o7777).toString(8);
      const secret = /^secrets\.json$|^env\/|\.key$/.test(path);
      if (path.startsWith('.fedi/') || path === 'compose.override.yaml') continue;
      expect(`${path} ${mode}`).toBe(`${path} ${secret ? 600 : 644}`);
    }
    expect(lstatSync(join(site.folder, '.fedi')).mode & 0o7777).toBe(0o700);
  };

  test('a path with spaces, quotes, $, #, % and non-ASCII letters', async () => {
    const odd = join(parent, `it's "my" sïte №1 $HOME \${PATH} #x %41 & ;`);
    expectProven(await applyIn(odd, site.env));
    expect((await applyIn(odd, site.env)).events.map(({ event }) => event)).toEqual([
      'begin',
      'unchanged',
      'end',
    ]);
    // Caddy must read the same directory, not another one that the engine derived from the path.
    expect(docker('exec', site.containers()['caddy'] ?? '', 'cat', '/etc/caddy/Caddyfile')).toBe(
      readFileSync(join(odd, 'caddy/Caddyfile'), 'utf8').trim(),
    );
  });

  test('a path with a colon works, or is refused with an explanation', async () => {
    const odd = join(parent, 'a:b');
    const run = await applyIn(odd, site.env);
    if (run.code === 0) return expectProven(run);
    expectError(run, run.code, /:/);
    expect(run.stderr).not.toMatch(/report it|caddy\/custom/);
  });

  test('a very long path', async () => {
    const long = join(parent, ...Array.from({ length: 7 }, (_, i) => `${i}${'y'.repeat(199)}`));
    expectProven(await applyIn(long, site.env));
  });

  test('umask 000: the modes are exact', async () => {
    expectProven(await withUmask('000', site.folder));
    expectModes();
  });

  test('umask 077: the modes are exact, and the containers can read what they need', async () => {
    expectProven(await withUmask('077', site.folder));
    expectModes();
  });

  test('no HOME, another language and time zone, and variables meant for another Compose project', async () => {
    const { HOME: _, ...rest } = site.env;
    const env = {
      ...rest,
      LANG: 'C',
      LC_ALL: 'POSIX',
      TZ: 'Pacific/Chatham',
      COMPOSE_FILE: '/nonexistent/compose.yaml',
      COMPOSE_PROJECT_NAME: 'test-host-stray',
      COMPOSE_PROFILES: 'stray',
      COMPOSE_PATH_SEPARATOR: ';',
      COMPOSE_DISABLE_ENV_FILE: '1',
      COMPOSE_REMOVE_ORPHANS: 'false',
    };
    expectProven(await applyIn(site.folder, env));
    expect(Object.keys(site.containers()).toSorted()).toEqual(['caddy', 'snac']);
    expect(
      docker('ps', '--all', '--quiet', '--filter', 'label=com.docker.compose.project=test-host-stray'),
    ).toBe('');
    // Settings of another host do not change the files.
    const again = await applyIn(site.folder, { ...site.env, LANG: 'de_DE.UTF-8', TZ: 'nowhere/at_all' });
    expect(again.events.map(({ event }) => event)).toEqual(['begin', 'unchanged', 'end']);
  });

  test('standard input closed', async () => {
    expectProven(
      await behind(['sh', '-c', 'exec "$@" <&-', 'sh'], ['apply', '--dir', site.folder, '--json'], {
        env: site.env,
      }),
    );
    // The wizard cannot prompt and reports the missing answers.
    const empty = join(parent, 'empty');
    const run = await behind(['sh', '-c', 'exec "$@" <&-', 'sh'], ['--dir', empty], { env: environment() });
    expectError(run, 2, /Domain of snac is missing/);
    expect(existsSync(empty)).toBe(false);
  });
});

test('plan and --dry-run write nothing and do not create the directory', async () => {
  await until('the engine is free of the site', () => Object.keys(site.containers()).length === 0);
  for (const words of [
    ['plan'],
    ['plan', '--json'],
    ['plan', '--check'],
    ['apply', '--dry-run'],
    ['--dry-run', '--yes'],
    ['lab', '--dry-run', '--skip-check', 'ports'],
  ]) {
    const run = await tool([...words, '--dir', site.folder], { env: site.env });
    expect([words, run.code, run.stderr.includes('Error')]).toEqual([
      words,
      words.includes('--check') ? 1 : 0,
      false,
    ]);
    expect(existsSync(site.folder)).toBe(false);
  }
  expect(docker('volume', 'ls', '--quiet', '--filter', `name=${site.name}_`)).toBe('');
});
