/**
 * Backup and restore, compared with bare pg_dump, restic and pg_restore: the same steps on the same data, in containers of the same
 * images, and restic with the same low priority. Runs alternate, and the minimum counts.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { install, pair, printTable, single, time, withAnswers } from './bench-table.ts';

const NAME = 'fedi-bench-backup';
const RUNS = Number(process.env['BENCH_RUNS'] ?? 3);
/** Of the data; 1: 2 GB of media, and posts that make a database of about 570 MB. */
const PART = Number(process.env['BENCH_PART'] ?? 1);
const FILES = 8000 * PART;
const FILE_BYTES = 250_000;
const POSTS = 1_300_000 * PART;

const work = mkdtempSync(join(tmpdir(), 'fedi-bench-'));
const site = join(work, 'site');
const repository = join(work, 'repository');
const bareRepository = join(work, 'bare');
const sheet = join(work, 'sheet.yaml');
const env = withAnswers({
  FEDI_NAME: NAME,
  FEDI_BIND: process.env['BENCH_BIND'] ?? '127.0.0.32',
  FEDI_APPS: 'mastodon',
  FEDI_MASTODON_DOMAIN: 'bench.fedi.test',
  FEDI_MASTODON_ADMIN: 'anna',
  FEDI_MASTODON_EMAIL: 'anna@fedi.test',
  FEDI_MASTODON_SIZE: '2gb',
  FEDI_TLS_MODE: 'internal',
  FEDI_MAIL_MODE: 'none',
  FEDI_IMAGES_NGINX: 'fedi-setup/nginx-cache:trixie',
  ...Object.fromEntries(
    ['caddy', 'mail', 'mastodon', 'mastodon-streaming', 'postgres', 'restic', 'valkey'].map((name) => [
      `FEDI_IMAGES_${name.toUpperCase().replaceAll('-', '_')}`,
      `fedi-setup/${name}:trixie`,
    ]),
  ),
});
const docker = (...argv: string[]): string => execFileSync('docker', argv, { encoding: 'utf8' }).trim();
const { tool } = install(work);
const ours = (...argv: string[]): number => time(process.execPath, [tool, ...argv, '--dir', site], work, env);
const bare = (program: string): number =>
  time('bash', ['-euo', 'pipefail', '-c', `${BARE}${program}`], work, env);

/** Removes containers, volumes and networks of a Compose project. */
function wipe(project: string): void {
  const label = `label=com.docker.compose.project=${project}`;
  for (const [kind, list] of [
    ['container', ['ps', '--all', '--quiet']],
    ['volume', ['volume', 'ls', '--quiet']],
    ['network', ['network', 'ls', '--quiet']],
  ] as const) {
    const ids = docker(...list, '--filter', label)
      .split('\n')
      .filter(Boolean);
    if (ids.length > 0) docker(kind, 'rm', '--force', ...ids);
  }
}

/** Removes what containers made in the working directory. */
const remove = (...names: string[]): string =>
  docker(
    ...'run --rm --entrypoint rm'.split(' '),
    `--volume=${work}:/work`,
    'fedi-setup/restic:trixie',
    '-rf',
    ...names.map((name) => `/work/${name}`),
  );
const removeVolume = (name: string): string => docker('volume', 'rm', '--force', `${NAME}${name}`);

const query = (sql: string): string =>
  docker(
    ...`exec ${NAME}-mastodon_db-1 psql --username=mastodon --dbname=mastodon --quiet --no-align --tuples-only --command`.split(
      ' ',
    ),
    sql,
  );

/** What the bare commands share. */
const BARE = `
IMAGE=fedi-setup/restic:trixie
label=com.docker.compose.project=${NAME}-bare
restic() { # MOUNTS… -- COMMANDS
  local mounts=()
  while [ "$1" != -- ]; do mounts+=(--volume "$1"); shift; done
  docker run --rm --network none --env RESTIC_PASSWORD=bare --env RESTIC_REPOSITORY=/repository \\
    --volume ${bareRepository}:/repository --volume ${NAME}-bare-cache:/cache "\${mounts[@]}" \\
    --entrypoint sh "$IMAGE" -euc "$2"
}
`;
const VOLUMES = ['mastodon_system', 'caddy_data'];
const RESTIC = 'restic --cache-dir=/cache --quiet';
/** As the tool while the site runs. */
const LOW = `nice -n 19 ionice -c 3 ${RESTIC}`;

/** @param init the repository is new */
const bareBackup = (init: '' | 'init'): string => `
mkdir -p ${work}/stage ${bareRepository}
docker exec ${NAME}-mastodon_db-1 pg_dump --username=mastodon --format=custom --compress=0 mastodon >${work}/stage/mastodon_db.pgdump
docker exec ${NAME}-mastodon_valkey-1 sh -c 'REDISCLI_AUTH=$VALKEY_PASSWORD exec valkey-cli --rdb -' >${work}/stage/mastodon_valkey.rdb
restic ${VOLUMES.map((key) => `${NAME}_${key}:/set/volumes/${key}:ro`).join(' ')} ${site}:/set/site:ro ${work}/stage:/set/stage:ro -- '
  ${init === 'init' ? `${LOW} init` : ''}
  ${LOW} backup --no-scan --host=bare --group-by=host /set
  ${LOW} check --with-cache
  ${LOW} forget --prune --group-by=host --keep-daily=7 --keep-weekly=4 --keep-monthly=6
'
`;

/** Files, database and queues into new volumes, ready to be used. */
const BARE_RESTORE = `
for key in ${[...VOLUMES, 'mastodon_db', 'mastodon_valkey'].join(' ')}; do
  docker volume create --label "$label" ${NAME}-bare_$key >/dev/null
done
restic ${VOLUMES.map((key) => `${NAME}-bare_${key}:/to/set/volumes/${key}`).join(' ')} ${work}/restored:/to/set -- '
  ${RESTIC} restore latest --verify --target /to
'
docker run --rm --network none --volume ${NAME}-bare_mastodon_valkey:/data --volume ${work}/restored/stage:/stage:ro --entrypoint sh fedi-setup/valkey:trixie -c '
  cp /stage/mastodon_valkey.rdb /data/dump.rdb; chown 999:999 /data/dump.rdb'
docker run --detach --label "$label" --name ${NAME}-bare-db --network none --shm-size=256m --volume ${NAME}-bare_mastodon_db:/var/lib/postgresql/data \\
  --volume ${work}/restored/stage:/stage:ro --env POSTGRES_USER=mastodon --env POSTGRES_DB=mastodon --env POSTGRES_PASSWORD=bare \\
  --env PGDATA=/var/lib/postgresql/data/pgdata --env 'POSTGRES_INITDB_ARGS=--data-checksums --locale-provider=builtin --locale=C.UTF-8 --encoding=UTF8' \\
  fedi-setup/postgres:trixie postgres -c shared_buffers=256MB -c max_wal_size=1GB -c random_page_cost=1.1 -c jit=off >/dev/null
until docker exec ${NAME}-bare-db pg_isready --quiet --host=127.0.0.1; do sleep 0.1; done
docker exec ${NAME}-bare-db sh -c 'PATH="/usr/lib/postgresql/$PG_MAJOR/bin:$PATH"
  pg_restore --username=mastodon --no-owner --no-privileges --exit-on-error --dbname=mastodon /stage/mastodon_db.pgdump
  psql --username=mastodon --dbname=mastodon --quiet --command=analyze'
`;

/** Milliseconds of a restore on an empty host: until all data are in place, and until the site is proven. */
function restore(): Promise<{ readonly data: number; readonly site: number }> {
  wipe(NAME);
  rmSync(site, { recursive: true, force: true });
  return new Promise((done, fail) => {
    const since = performance.now();
    const child = spawn(
      process.execPath,
      [tool, 'restore', '--password-file', sheet, '--dir', site, '--json'],
      { cwd: work, env, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let data = 0;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (process.env['BENCH_STEPS'] !== undefined) process.stderr.write(text);
      // The last one that ends is the last part of the data.
      if (/"id":"(?:volumes|load\.[^"]*)","state":"done"/.test(text)) data = performance.now() - since;
    });
    child.on('error', fail);
    child.on('close', (code) => {
      if (code === 0) done({ data, site: performance.now() - since });
      else fail(new Error(`restore ended with ${String(code)}`));
    });
  });
}

const removeBare = (): void => {
  wipe(`${NAME}-bare`);
  remove('restored');
};

try {
  ours('apply', '--backup-to', repository, '--yes');
  query(
    `insert into statuses (id, account_id, text, uri, created_at, updated_at)
     select n, (select min(id) from accounts), repeat(md5(n::text) || ' ', 9), 'https://bench.fedi.test/' || md5(n::text), now(), now()
     from generate_series(1, ${POSTS}) n`,
  );
  docker(
    ...`run --rm --network none --volume ${NAME}_mastodon_system:/media --entrypoint sh fedi-setup/restic:trixie -euc`.split(
      ' ',
    ),
    `mkdir /media/cache; head -c ${FILES * FILE_BYTES} /dev/urandom | split -b ${FILE_BYTES} -a 4 -d - /media/cache/f; chown -R 991:991 /media/cache`,
  );
  const size = query('select pg_database_size(current_database())');
  single('size of the database', `${Math.round(Number(size) / 1e6)} MB`, '');

  await pair(
    'first backup : pg_dump, restic init, backup, check, forget',
    '≤ 1.11',
    RUNS,
    () => {
      remove('repository');
      rmSync(join(site, '.fedi/backups.json'), { force: true });
      removeVolume('_backup_cache');
      return ours('backup');
    },
    () => {
      remove('bare', 'stage');
      removeVolume('-bare-cache');
      return bare(bareBackup('init'));
    },
  );
  await pair(
    'repeated backup : pg_dump, restic backup, check, forget',
    '≤ 1.11',
    RUNS + 1,
    () => ours('backup'),
    () => bare(bareBackup('')),
  );
  ours('backup', 'sheet', sheet);
  let whole = Infinity;
  await pair(
    'restore : restic restore, new PostgreSQL, pg_restore, analyze',
    '≤ 1.11',
    RUNS,
    async () => {
      const took = await restore();
      whole = Math.min(whole, took.site);
      return took.data;
    },
    () => {
      const took = bare(BARE_RESTORE);
      removeBare();
      return took;
    },
  );
  single('restore until the site is proven', `${Math.round(whole)} ms`, '');
  printTable();
} finally {
  if (process.env['BENCH_KEEP'] === undefined) {
    wipe(NAME);
    removeBare();
    removeVolume('-bare-cache');
    remove('site', 'repository', 'bare', 'stage');
    rmSync(work, { recursive: true, force: true });
  } else console.error(work, readFileSync(sheet, 'utf8').length);
}
