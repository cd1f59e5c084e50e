/** Caddy in its container: which configuration it runs, and its reload without a restart. */
import type { Output } from './engine.ts';
import { NotRunning } from './runtime.ts';
import type { Runtime } from './runtime.ts';

/** Longer than the grace period of a reload. */
const CADDY_MS = 2 * 60_000;

/** The id of the configuration that Caddy runs; undefined: it does not run or does not answer. */
export async function caddyRunsOn(runtime: Runtime): Promise<string | undefined> {
  const argv = ['curl', '--silent', '--fail', '--max-time', '10', 'http://127.0.0.1:2021/'];
  try {
    const { code, stdout } = await runtime.exec('caddy', { argv }, { timeoutMs: CADDY_MS });
    return code === 0 ? stdout : undefined;
  } catch (error) {
    if (error instanceof NotRunning) return undefined;
    throw error;
  }
}

/** Path on which Caddy identifies itself as this site's, on each of its names (caddy/tls/known.caddy). */
export const knownPath = (id: string): string => `/.well-known/fedi-setup/${id}`;

/** The request as it arrived at Caddy. */
export interface Arrived {
  readonly host: string;
  /** X-Forwarded-Proto, or ''. */
  readonly proto: string;
  /** Address of the client or proxy that sent it. */
  readonly from: string;
  /** Caddy trusts that address as a proxy. */
  readonly trusted: boolean;
  /** Upgrade, or ''. */
  readonly upgrade: string;
}

/** Undefined: another server wrote this. */
export function arrivedIn(body: string): Arrived | undefined {
  const [, host = '', proto = '', from = '', trusted, upgrade = ''] =
    /^fedi-setup host=(\S*) proto=(.*) from=(\S*) trusted=(\S*) upgrade=(.*)$/.exec(body.trim()) ?? [];
  return trusted === undefined ? undefined : { host, proto, from, trusted: trusted === 'true', upgrade };
}

/** Also restarts unfinished work, such as an order for a certificate. Throws {@link NotRunning}. */
export function reloadCaddy(runtime: Runtime): Promise<Output> {
  const file = ['--config', '/etc/caddy/Caddyfile', '--adapter', 'caddyfile'];
  return runtime.exec('caddy', { argv: ['caddy', 'reload', ...file, '--force'] }, { timeoutMs: CADDY_MS });
}
