/** A stack of compose/ on the engine without the wizard: the Compose file unchanged, with images and variables of a test. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { client } from '../../wizard/prove/http.ts';
import type { Reply, RequestOptions } from '../../wizard/prove/http.ts';
import { docker, wipe } from './site.ts';

export const DOMAIN = 'contract.fedi.test';

export type Variables = Readonly<Record<string, string>>;

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Stack {
  /** Starts the services (all if none is named) and waits until each is healthy. */
  up(...services: string[]): void;
  /** Runs a command in the running container of a service. */
  exec(service: string, argv: readonly string[], stdin?: string): Ended;
  /** Runs a command in a separate container. */
  run(image: string, argv: readonly string[], env: Variables, network?: string): Ended;
  /** Runs `docker` with the variables of the Compose file. */
  host(argv: readonly string[], stdin?: string): Ended;
  container(service: string): string;
  /** Address of a service on the app's ingress network. */
  address(service: string): string;
  /** A request to a service as the proxy forwards it: our host name, over HTTPS. */
  web(service: string, port: number, path: string, options?: RequestOptions): Promise<Reply>;
  remove(): void;
}

/**
 * @param env `env/NAME.env` → its variables.
 * @param variables `${NAME}` of the Compose file.
 * @param more another Compose file, as text.
 */
export function stackOf(
  app: string,
  project: string,
  env: Readonly<Record<string, Variables>>,
  variables: Variables,
  more = 'services: {}\n',
): Stack {
  const folder = mkdtempSync(join(tmpdir(), 'fedi-contract-'));
  mkdirSync(join(folder, 'env'));
  for (const [name, values] of Object.entries(env))
    writeFileSync(
      join(folder, 'env', `${name}.env`),
      Object.entries(values)
        .map(([variable, value]) => `${variable}=${value}\n`)
        .join(''),
    );
  writeFileSync(join(folder, 'more.yaml'), more);

  const host = (argv: readonly string[], input = ''): Ended => {
    const { status, stdout, stderr, error } = spawnSync('docker', argv, {
      encoding: 'utf8',
      input,
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, PROJECT: project, ...variables },
    });
    if (error) throw error;
    return { code: status ?? -1, stdout, stderr };
  };
  const files = [resolve(`compose/${app}.yaml`), join(folder, 'more.yaml')].flatMap((file) => ['-f', file]);
  const compose = (...argv: string[]): Ended =>
    host(['compose', '--project-directory', folder, ...files, ...argv]);
  const container = (service: string): string => `${project}-${service}-1`;
  const addresses = new Map<string, string>();
  const address = (service: string): string => {
    const found =
      addresses.get(service) ??
      docker(
        'inspect',
        '--format',
        `{{(index .NetworkSettings.Networks "${project}_${app}_front").IPAddress}}`,
        container(service),
      );
    addresses.set(service, found);
    return found;
  };

  wipe(project);
  return {
    up: (...services) => {
      const { code, stderr } = compose('up', '--detach', '--wait', '--pull', 'never', ...services);
      if (code !== 0) throw new Error(`${stderr}\n${compose('logs', '--tail', '20').stdout}`);
    },
    exec: (service, argv, stdin) => host(['exec', '--interactive', container(service), ...argv], stdin),
    run: (image, argv, values, network = 'none') =>
      host([
        'run',
        '--rm',
        '--network',
        network,
        ...Object.entries(values).flatMap(([variable, value]) => ['--env', `${variable}=${value}`]),
        image,
        ...argv,
      ]),
    host,
    container,
    address,
    web: (service, port, path, options = {}) =>
      client(address(service), undefined)(`http://${DOMAIN}:${port}${path}`, {
        ...options,
        headers: { Host: DOMAIN, 'X-Forwarded-Proto': 'https', ...options.headers },
      }),
    remove: () => {
      wipe(project);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
