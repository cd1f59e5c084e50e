/** A private internet for a test: names that resolve, a CA, and real ACME servers (Pebble) that validate by those names. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { docker } from './site.ts';

const PATIENCE_MS = 60_000;

/** Environment in which the tool resolves these names to these addresses, as if by DNS. */
export function resolving(
  env: NodeJS.ProcessEnv,
  names: Readonly<Record<string, string>>,
): NodeJS.ProcessEnv {
  return {
    ...env,
    NODE_OPTIONS: `--import=${new URL('resolve-here.mjs', import.meta.url).href}`,
    TEST_NAMES: JSON.stringify(names),
  };
}

/** Additional images. */
export function needImages(...names: string[]): void {
  execFileSync(fileURLToPath(new URL('../../scripts/images', import.meta.url)), names, { stdio: 'ignore' });
}

export async function until<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`never came: ${what}`);
    await delay(250);
  }
}

/** Output of a command in a container; undefined while it fails. */
export function attempt(...argv: string[]): string | undefined {
  try {
    return docker(...argv);
  } catch {
    return undefined;
  }
}

export interface TestCa {
  /** Directory with ca.pem and the issued certificates. */
  readonly folder: string;
  readonly certificate: string;
  /** Writes NAME.pem and NAME.key to the directory. */
  issue(name: string): { certificate: string; key: string };
  remove(): void;
}

export function testCa(): TestCa {
  const folder = mkdtempSync(join(tmpdir(), 'fedi-ca-'));
  const openssl = (...argv: string[]): void => {
    execFileSync('openssl', argv, { cwd: folder, stdio: 'ignore' });
  };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  // prettier-ignore
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '30', '-subj', '/CN=Test CA',
    '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign');
  return {
    folder,
    certificate: readFileSync(join(folder, 'ca.pem'), 'utf8'),
    issue(name) {
      const file = (ending: string): string => `${name}.${ending}`;
      writeFileSync(join(folder, file('ext')), `subjectAltName=DNS:${name}\n`);
      openssl('req', ...key, '-keyout', file('key'), '-out', file('csr'), '-subj', `/CN=${name}`);
      // prettier-ignore
      openssl('x509', '-req', '-in', file('csr'), '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial',
        '-days', '30', '-extfile', file('ext'), '-out', file('pem'));
      return { certificate: join(folder, file('pem')), key: join(folder, file('key')) };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export interface AcmeServer {
  readonly directory: string;
  /** PEM of the CA certificate of what it issues; a new one at each start. */
  readonly root: string;
  log(): string;
  remove(): void;
}

/**
 * Pebble on a network. Its validators resolve names by Docker's DNS. To the client, a port without a listener looks like
 * a firewall in front of 80 or 443.
 */
export async function pebble(
  name: string,
  network: string,
  ca: TestCa,
  options: { httpPort: number; tlsPort: number; refused?: readonly string[] },
): Promise<AcmeServer> {
  const host = `${name}.fedi.test`;
  const { certificate, key } = ca.issue(host);
  const config = join(ca.folder, `${name}.json`);
  writeFileSync(
    config,
    JSON.stringify({
      pebble: {
        listenAddress: '0.0.0.0:443',
        managementListenAddress: '127.0.0.1:15000',
        certificate: '/etc/pebble/cert.pem',
        privateKey: '/etc/pebble/key.pem',
        httpPort: options.httpPort,
        tlsPort: options.tlsPort,
        externalAccountBindingRequired: false,
        domainBlocklist: options.refused ?? [],
        retryAfter: { authz: 1, order: 1 },
      },
    }),
  );
  const container = `${network}-${name}`;
  attempt('rm', '--force', '--volumes', container);
  // prettier-ignore
  docker('run', '--detach', '--name', container, '--network', network, '--network-alias', host,
    '--volume', `${config}:/etc/pebble/config.json:ro`,
    '--volume', `${certificate}:/etc/pebble/cert.pem:ro`,
    '--volume', `${key}:/etc/pebble/key.pem:ro`,
    // As fast as possible, validates every order again, and simulates no nonce errors.
    '--env', 'PEBBLE_VA_NOSLEEP=1', '--env', 'PEBBLE_AUTHZREUSE=0', '--env', 'PEBBLE_WFE_NONCEREJECT=0',
    'fedi-setup/pebble:trixie');
  const root = await until(`${host} ready`, () =>
    attempt('exec', container, 'curl', '--insecure', '--silent', '--fail', 'https://127.0.0.1:15000/roots/0'),
  );
  return {
    directory: `https://${host}/dir`,
    root,
    log: () => execFileSync('sh', ['-c', `docker logs ${container} 2>&1`], { encoding: 'utf8' }),
    remove: () => {
      attempt('rm', '--force', '--volumes', container);
    },
  };
}
