/** A site for one test file on the real engine: its own directory, project name and loopback address, all removed afterwards. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, inject, vi } from 'vitest';
import { connect } from '../../wizard/docker/docker.ts';

/** Images built by scripts/images; a loaded official one can be named instead. */
export const IMAGES = {
  FEDI_IMAGES_CADDY: 'fedi-setup/caddy:trixie',
  FEDI_IMAGES_MAIL: 'fedi-setup/mail:trixie',
  FEDI_IMAGES_RESTIC: 'fedi-setup/restic:trixie',
  FEDI_IMAGES_SNAC: 'fedi-setup/snac:trixie',
} as const;

export interface Run {
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Events of --json, in order. */
  readonly events: readonly { readonly event: string; readonly [key: string]: unknown }[];
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly stdin?: string;
  /** Path of another version of the tool. */
  readonly program?: string;
  /** Called for every event; may kill the run. */
  readonly onEvent?: (event: Run['events'][number], child: ChildProcess) => void;
}

/** The environment of the tool in tests: without the variables of the test run; CI is off, so output is as users see it. */
export function environment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const { CI: _ci, ...rest } = process.env;
  return {
    ...Object.fromEntries(Object.entries(rest).filter(([name]) => !name.startsWith('FEDI_'))),
    ...more,
  };
}

/** Runs the installed tool to its end. */
export function tool(argv: readonly string[], options: RunOptions = {}): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(options.program ?? inject('tool'), argv, {
      cwd: options.cwd ?? tmpdir(),
      env: options.env ?? environment(),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    let rest = '';
    const events: Run['events'][number][] = [];
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (!line.startsWith('{"event"')) continue;
        const event = JSON.parse(line) as Run['events'][number];
        events.push(event);
        options.onEvent?.(event, child);
      }
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code: code ?? -1, signal, stdout, stderr, events }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.stdin ?? '');
  });
}

export interface TestSite {
  readonly name: string;
  readonly folder: string;
  readonly bind: string;
  readonly domain: string;
  /** Variables that make `apply --dir FOLDER` complete. */
  readonly env: NodeJS.ProcessEnv;
  /** `apply` with --json. */
  apply(argv?: readonly string[], options?: RunOptions): Promise<Run>;
  read(path: string): string;
  /** Service → container id. */
  containers(): Record<string, string>;
  /** Removes containers, volumes, networks and the directory. */
  remove(): void;
}

/** @param address last number of 127.0.0.x: every test file has its own, since all listen on 443. */
export function testSite(name: string, address: number, domain = `${name}.fedi.test`): TestSite {
  const parent = mkdtempSync(join(tmpdir(), `fedi-${name}-`));
  const folder = join(parent, 'site');
  const bind = `127.0.0.${address}`;
  const env = environment({
    ...IMAGES,
    FEDI_NAME: `test-${name}`,
    FEDI_APPS: 'snac',
    FEDI_SNAC_DOMAIN: domain,
    FEDI_SNAC_ADMIN: 'anna',
    FEDI_SNAC_EMAIL: 'anna@fedi.test',
    FEDI_TLS_MODE: 'internal',
    FEDI_MAIL_MODE: 'none',
    FEDI_BIND: bind,
  });
  const site: TestSite = {
    name: `test-${name}`,
    folder,
    bind,
    domain,
    env,
    apply: (argv = [], options = {}) =>
      tool(['apply', '--dir', folder, '--json', ...argv], { env, ...options }),
    read: (path) => readFileSync(join(folder, path), 'utf8'),
    containers: () => {
      const lines = docker(
        'ps',
        '--all',
        '--filter',
        `label=com.docker.compose.project=test-${name}`,
        '--format',
        '{{.Label "com.docker.compose.service"}} {{.ID}}',
      );
      return Object.fromEntries(
        lines
          .split('\n')
          .filter(Boolean)
          .map((line) => line.split(' ') as [string, string]),
      );
    },
    remove: () => {
      wipe(`test-${name}`);
      rmSync(parent, { recursive: true, force: true });
    },
  };
  // Leftovers of an aborted test run.
  wipe(site.name);
  return site;
}

export function docker(...argv: string[]): string {
  return execFileSync('docker', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

/** The host's address on Docker's default network, on which one-shot containers are. */
export const bridgeAddress = (): string =>
  docker(
    'run',
    '--rm',
    '--add-host=host:host-gateway',
    '--entrypoint=getent',
    IMAGES.FEDI_IMAGES_RESTIC,
    'hosts',
    'host',
  ).split(' ')[0] ?? '';

/** Output of a container, both streams. */
export function logsOf(id: string): string {
  const { stdout, stderr } = spawnSync('docker', ['logs', id], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout + stderr;
}

/** Runs `docker compose up` as an administrator would, then waits until every container is healthy. */
export async function composeUp({ folder, name }: TestSite): Promise<void> {
  execFileSync('docker', ['compose', 'up', '--detach'], { cwd: folder, stdio: 'ignore' });
  const engine = await connect();
  await vi.waitFor(
    async () => {
      for (const { service, health } of await engine.containers(name))
        expect([service, health]).toEqual([service, health === undefined ? undefined : 'healthy']);
    },
    { timeout: 180_000, interval: 250 },
  );
}

/** Creates a network, after removing what an aborted run left of it. */
export function createNetwork(name: string, ...options: readonly string[]): void {
  const left = docker('ps', '--all', '--quiet', '--filter', `network=${name}`);
  if (left !== '') docker('rm', '--force', '--volumes', ...left.split('\n'));
  spawnSync('docker', ['network', 'rm', name]);
  docker('network', 'create', ...options, name);
}

/** Everything a Compose project has on the engine. */
export function wipe(project: string): void {
  const of = (what: string[]): string[] =>
    docker(...what, '--filter', `label=com.docker.compose.project=${project}`, '--quiet')
      .split('\n')
      .filter(Boolean);
  const containers = of(['ps', '--all']);
  if (containers.length > 0) docker('rm', '--force', '--volumes', ...containers);
  const volumes = of(['volume', 'ls']);
  if (volumes.length > 0) docker('volume', 'rm', '--force', ...volumes);
  const networks = of(['network', 'ls']);
  if (networks.length > 0) docker('network', 'rm', ...networks);
}
