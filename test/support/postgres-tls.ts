/** A PostgreSQL of a test that lets nobody in without TLS, by a certificate that no public CA gave. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { docker } from './site.ts';

const CERTIFICATE =
  'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=db -keyout server.key -out server.crt';

const psql = (container: string, query: string): string =>
  docker('exec', container, 'psql', '-U', 'fedi', '-d', 'fedi', '-tAc', query);

/** @param container of the image of PostgreSQL, whose superuser and database are `fedi` */
export async function wantTls(container: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fedi-tls-'));
  try {
    execFileSync('openssl', CERTIFICATE.split(' '), { cwd: folder, stdio: 'ignore' });
    for (const name of ['server.crt', 'server.key'])
      docker('cp', join(folder, name), `${container}:/tmp/${name}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  docker(
    'exec',
    '--user',
    '0:0',
    container,
    'sh',
    '-ec',
    'install -o 999 -g 999 -m 600 /tmp/server.* "$PGDATA"; sed -i "s/^host all all all/hostssl all all all/" "$PGDATA/pg_hba.conf"; grep -q ^hostssl "$PGDATA/pg_hba.conf"',
  );
  psql(container, 'alter system set ssl = on');
  psql(container, 'select pg_reload_conf()');
  await vi.waitFor(() => expect(psql(container, 'show ssl')).toBe('on'), { timeout: 30_000, interval: 200 });
}

/** Whether everybody who is connected over the network is so by TLS, and somebody is. */
export const allByTls = (container: string): boolean =>
  psql(
    container,
    'select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) where client_addr is not null',
  ) === 't';
