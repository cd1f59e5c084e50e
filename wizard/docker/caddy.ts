/** Caddy in its container: which configuration it runs, and its reload without a restart. */
import type { Container, Engine, Output } from './engine.ts';

/** Longer than the grace period of a reload. */
const CADDY_MS = 2 * 60_000;

/** Caddy's container, if it runs. */
export async function caddyOf(engine: Engine, project: string): Promise<Container | undefined> {
  const caddy = (await engine.containers(project)).find(({ service }) => service === 'caddy');
  return caddy?.state === 'running' ? caddy : undefined;
}

/** The id of the configuration that Caddy runs; undefined: it does not answer. */
export async function caddyRunsOn(engine: Engine, { id }: Container): Promise<string | undefined> {
  const { code, stdout } = await engine.exec(
    id,
    ['curl', '--silent', '--fail', '--max-time', '10', 'http://127.0.0.1:2021/'],
    undefined,
    CADDY_MS,
  );
  return code === 0 ? stdout : undefined;
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

/** Also restarts unfinished work, such as an order for a certificate. */
export function reloadCaddy(engine: Engine, { id }: Container): Promise<Output> {
  const file = ['--config', '/etc/caddy/Caddyfile', '--adapter', 'caddyfile'];
  return engine.exec(id, ['caddy', 'reload', ...file, '--force'], undefined, CADDY_MS);
}
