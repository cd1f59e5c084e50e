/** The measurements of scripts/bench. Runs alternate, and the minimum of several counts. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configOf } from '../wizard/answers/config.ts';
import { resolve } from '../wizard/answers/resolve.ts';
import { renderSite } from '../wizard/render/site.ts';
import { makeRoot } from '../wizard/secrets/openssl.ts';
import { Store } from '../wizard/secrets/store.ts';
import { install, ms, pair, printTable, single, time as timeWith, withAnswers } from './bench-table.ts';

const work = mkdtempSync(join(tmpdir(), 'fedi-bench-'));
const NAME = 'fedi-bench';
const BIND = '127.0.0.31';
const env = withAnswers({
  FEDI_IMAGES_CADDY: 'fedi-setup/caddy:trixie',
  FEDI_IMAGES_MAIL: 'fedi-setup/mail:trixie',
  FEDI_IMAGES_SNAC: 'fedi-setup/snac:trixie',
  FEDI_NAME: NAME,
  FEDI_BIND: BIND,
});
const time = (program: string, argv: string[], cwd: string, runEnv = env): number =>
  timeWith(program, argv, cwd, runEnv);

const { tarball, tool } = install(work);
const node = process.execPath;

await pair(
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
  await pair('first run with receipt : bare shell sequence without one', '≤ 1.10', 3, first, bare);

  time('bash', ['-c', 'docker compose up -d'], site);
  time(node, [tool, 'apply', '--dir', site], work);
  const ids = execFileSync('docker', ['compose', 'ps', '--quiet'], { cwd: site, encoding: 'utf8' });
  await pair(
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
single('tarball', `${Math.round(statSync(tarball).size / 1000)} kB, ${unpacked} files`, '≤ 450 kB');
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

printTable();
rmSync(work, { recursive: true, force: true });
