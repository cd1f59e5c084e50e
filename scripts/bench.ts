/** The measurements of scripts/bench. Runs alternate, and the minimum of several counts. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { configOf } from '../wizard/answers/config.ts';
import { resolve } from '../wizard/answers/resolve.ts';
import { renderSite } from '../wizard/render/site.ts';
import { makeRoot } from '../wizard/secrets/openssl.ts';
import { Store } from '../wizard/secrets/store.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'fedi-bench-'));
const NAME = 'fedi-bench';
const BIND = '127.0.0.31';
const IMAGES = {
  FEDI_IMAGES_CADDY: 'fedi-setup/caddy:trixie',
  FEDI_IMAGES_MAIL: 'fedi-setup/mail:trixie',
  FEDI_IMAGES_SNAC: 'fedi-setup/snac:trixie',
};
const env: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FEDI_'))),
  ...IMAGES,
  FEDI_NAME: NAME,
  FEDI_BIND: BIND,
};

interface Row {
  what: string;
  ours: string;
  theirs: string;
  ratio: string;
  goal: string;
}
const rows: Row[] = [];

const ms = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;

/** Returns the milliseconds of one run. Throws if it fails. */
function time(program: string, argv: string[], cwd: string, runEnv: NodeJS.ProcessEnv = env): number {
  const since = performance.now();
  const { status, stderr } = spawnSync(program, argv, { cwd, env: runEnv, encoding: 'utf8' });
  const took = performance.now() - since;
  if (status !== 0) throw new Error(`${program} ${argv.join(' ')} ended with ${String(status)}: ${stderr}`);
  return took;
}

/** Runs both alternately and records the minima and their ratio. */
function pair(what: string, goal: string, runs: number, ours: () => number, theirs: () => number): void {
  let [best, other] = [Infinity, Infinity];
  for (let i = 0; i < runs; i++) {
    best = Math.min(best, ours());
    other = Math.min(other, theirs());
  }
  rows.push({ what, ours: ms(best), theirs: ms(other), ratio: (best / other).toFixed(2), goal });
}

const single = (what: string, ours: string, goal: string): void => {
  rows.push({ what, ours, theirs: '', ratio: '', goal });
};

// Install the packed tool.
execFileSync('npm', ['pack', '--silent', '--pack-destination', work], {
  cwd: root,
  stdio: ['ignore', 'ignore', 'inherit'],
});
const tarball = join(work, readdirSync(work).find((name) => name.endsWith('.tgz')) ?? '');
execFileSync('npm', [
  'install',
  '--silent',
  '--global',
  '--offline',
  '--prefix',
  join(work, 'installed'),
  tarball,
]);
const tool = join(work, 'installed/lib/node_modules/fedi-setup/dist/fedi-setup.js');
const node = process.execPath;

pair(
  'fedi-setup --version : node -e 0',
  '≤ 1.6',
  15,
  () => time(node, [tool, '--version'], work),
  () => time(node, ['-e', '0'], work),
);

// Rendering in process; the first run loads all modules.
{
  const folder = join(work, 'render');
  mkdirSync(folder);
  const texts = {
    apps: 'snac',
    'apps.snac.domain': 'snac.example.org',
    'apps.snac.admin': 'anna',
    'apps.snac.email': 'anna@example.org',
    'tls.mode': 'internal',
  };
  const { answers } = await resolve([
    new Map(Object.entries(texts).map(([key, text]) => [key, { text, from: 'bench' }])),
  ]);
  const store = await Store.open(folder);
  await store.ensure(
    [
      { name: 'site.key', class: 'free', about: '', make: () => 'x' },
      { name: 'snac.seal', class: 'forever', about: '', make: () => 'y' },
      { name: 'tls.root', class: 'steps', about: '', make: () => makeRoot('bench') },
    ],
    new Date(),
  );
  const entry = (tag: string) => ({ tag, id: 'sha256:0', source: 'loaded' as const });
  const lock = { caddy: entry('caddy:2'), snac: entry('snac:2') };
  let best = Infinity;
  for (let i = 0; i < 30; i++) {
    const since = performance.now();
    await renderSite({ config: configOf(answers), store, lock, answersText: '', customCaddy: '' });
    best = Math.min(best, performance.now() - since);
  }
  single('render a site, in process', ms(best), '');
}

// First run, compared with the same commands in a plain shell, each on empty volumes.
const site = join(work, 'site');
const answers = [
  '--apps',
  'snac',
  '--domain',
  'bench.fedi.test',
  '--admin',
  'anna',
  '--email',
  'anna@fedi.test',
  '--tls-mode',
  'internal',
];
const wipe = (): void => {
  spawnSync('docker', ['compose', 'down', '--volumes', '--timeout', '2'], { cwd: site });
};
/** Start, wait and create the account, with all files ready. */
const BARE = `
set -e
docker compose up --detach --wait --quiet-pull
docker compose exec -T snac snac adduser /data anna
`;
try {
  // Write the files for the plain shell first.
  time(node, [tool, 'apply', '--dir', site, ...answers], work);
  const first = (): number => {
    wipe();
    rmSync(site, { recursive: true, force: true });
    return time(node, [tool, 'apply', '--dir', site, ...answers], work);
  };
  const bare = (): number => {
    wipe();
    return time('bash', ['-c', BARE], site);
  };
  pair('first run with receipt : bare shell sequence without one', '≤ 1.10', 3, first, bare);

  time('bash', ['-c', 'docker compose up -d'], site);
  time(node, [tool, 'apply', '--dir', site], work);
  const ids = execFileSync('docker', ['compose', 'ps', '--quiet'], { cwd: site, encoding: 'utf8' });
  pair(
    'no-op re-run : no-op docker compose up -d',
    '≤ 1.0',
    15,
    () => time(node, [tool, 'apply', '--dir', site], work),
    () => time('docker', ['compose', 'up', '-d'], site),
  );
  const touched =
    execFileSync('docker', ['compose', 'ps', '--quiet'], { cwd: site, encoding: 'utf8' }) === ids ? 0 : 1;
  single('containers touched by the no-op', String(touched), '0');
} finally {
  wipe();
}

// What npx downloads.
const unpacked = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' })
  .split('\n')
  .filter(Boolean).length;
single('tarball', `${Math.round(statSync(tarball).size / 1000)} kB, ${unpacked} files`, '≤ 350 kB');
{
  const folder = join(work, 'npx');
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  const cold = join(work, 'cache');
  const npx = (): number =>
    time('npx', ['--yes', '--offline', `--package=${tarball}`, 'fedi-setup', '--version'], folder, {
      ...env,
      npm_config_cache: cold,
    });
  single('npx of the tarball, cold', ms(npx()), '');
  single('npx of the tarball, warm', ms(Math.min(npx(), npx(), npx())), '');
  execFileSync('npm', ['install', '--silent', '--offline', tarball], { cwd: folder });
  const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, unknown>;
  };
  single('packages installed', String(Object.keys(lock.packages).filter(Boolean).length), '1');
}

const columns = ['what', 'ours', 'theirs', 'ratio', 'goal'] as const;
const width = (column: keyof Row): number =>
  Math.max(column.length, ...rows.map((row) => row[column].length));
const line = (row: Row): string =>
  columns
    .map((column) => row[column].padEnd(width(column)))
    .join('  ')
    .trimEnd();
console.log(line({ what: 'what', ours: 'ours', theirs: 'theirs', ratio: 'ratio', goal: 'goal' }));
for (const row of rows) console.log(line(row));
rmSync(work, { recursive: true, force: true });
