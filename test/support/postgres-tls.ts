/** A PostgreSQL for tests that requires TLS, with a certificate that no public CA issued. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { docker } from './site.ts';

const CERTIFICATE =
  'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=db -keyout server.key -out server.crt';

const psql = (container: string, query: string): string =>
  docker('exec', container, 'psql', '-U', 'fedi', '-d', 'fedi', '-tAc', query);

const CA = `${CERTIFICATE.replace('/CN=db', '/CN=Test-CA')} -addext keyUsage=critical,keyCertSign`;

/** Name in those certificates, beside the address. */
export const DATABASE_NAME = 'db.fedi.test';

/** Creates a CA (`ca.crt`) and its certificate for an address (`server.crt`, `server.key`) in that directory. */
export function certificateFor(address: string, folder: string): void {
  const openssl = (words: string): void =>
    void execFileSync('openssl', words.split(' '), { cwd: folder, stdio: 'ignore' });
  openssl(CA.replace('server.key', 'ca.key').replace('server.crt', 'ca.crt'));
  openssl(
    `${CERTIFICATE} -CA ca.crt -CAkey ca.key -addext subjectAltName=IP:${address},DNS:${DATABASE_NAME}`,
  );
}

/**
 * @param container runs the image of PostgreSQL; its superuser and database are `fedi`
 * @param made directory with `server.crt` and `server.key`; absent: a self-signed certificate
 */
export async function wantTls(container: string, made?: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fedi-tls-'));
  try {
    if (made === undefined) execFileSync('openssl', CERTIFICATE.split(' '), { cwd: folder, stdio: 'ignore' });
    else cpSync(made, folder, { recursive: true });
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

/** Whether there are connections over the network and all of them use TLS. */
export const allByTls = (container: string): boolean =>
  psql(
    container,
    'select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) where client_addr is not null',
  ) === 't';
