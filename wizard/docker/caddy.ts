/** Caddy in its container: which configuration it runs, and how it takes another without a restart. */
import type { Container, Engine, Output } from './engine.ts';

/** The container, where it runs. */
export async function caddyOf(engine: Engine, project: string): Promise<Container | undefined> {
  const caddy = (await engine.containers(project)).find(({ service }) => service === 'caddy');
  return caddy?.state === 'running' ? caddy : undefined;
}

/** The id that stands in the configuration it runs; undefined: it does not answer. */
export async function caddyRunsOn(engine: Engine, { id }: Container): Promise<string | undefined> {
  const { code, stdout } = await engine.exec(id, ['curl', '--silent', '--fail', 'http://127.0.0.1:2021/']);
  return code === 0 ? stdout : undefined;
}

/** Begins also anew what is unfinished, such as an order for a certificate. */
export function reloadCaddy(engine: Engine, { id }: Container): Promise<Output> {
  const file = ['--config', '/etc/caddy/Caddyfile', '--adapter', 'caddyfile'];
  return engine.exec(id, ['caddy', 'reload', ...file, '--force']);
}
