/** Helpers of the faults suite: ways to break a site, and to inspect the result. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import { docker, environment, tool } from './site.ts';
import type { Run, RunOptions, TestSite } from './site.ts';

/** Runs the tool behind another program (`setpriv …`, `sh -c …`), which gets its path and arguments at the end. */
export function behind(
  prefix: readonly [string, ...string[]],
  argv: readonly string[],
  options: RunOptions = {},
): Promise<Run> {
  return new Promise((settle, reject) => {
    const [program, ...words] = prefix;
    const child = spawn(program, [...words, inject('tool'), ...argv], {
      cwd: options.cwd ?? '/',
      env: options.env ?? environment(),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const texts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (chunk: string) => (texts[name] += chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const events = texts.stdout
        .split('\n')
        .filter((line) => line.startsWith('{"event"'))
        .map((line) => JSON.parse(line) as Run['events'][number]);
      settle({ code: code ?? -1, signal, ...texts, events });
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.stdin ?? '');
  });
}

/**
 * Runs the tool as the user `nobody`, from a copy that this user can read; with Docker's group or without groups.
 * @param scratch folder for the copy, open to all
 */
export function asNobody(
  scratch: string,
  group: 'docker' | 'none',
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<Run> {
  const copy = join(scratch, 'installed');
  if (!existsSync(copy))
    cpSync(resolve(dirname(inject('tool')), '..'), copy, { recursive: true, verbatimSymlinks: true });
  const groups = group === 'docker' ? `--groups=${lstatSync('/var/run/docker.sock').gid}` : '--clear-groups';
  // The last argument is a path that cannot be used here; `sh` drops it.
  const drop = 'shift; exec setpriv --reuid=65534 --regid=65534 "$GROUPS_" -- "$TOOL" "$@"';
  return behind(['sh', '-c', drop, 'sh'], argv, {
    env: { ...env, HOME: '/nonexistent', GROUPS_: groups, TOOL: join(copy, 'bin/fedi-setup') },
  });
}

/**
 * Variables that kill the tool at a point, or at the first kind of point that no run with this file was killed at, or write
 * the names of all points to a file (see kill-at.mjs).
 */
export function fault(
  env: NodeJS.ProcessEnv,
  at: { dieAt: string } | { log: string } | { once: string; skip: RegExp },
): NodeJS.ProcessEnv {
  const hook = fileURLToPath(new URL('kill-at.mjs', import.meta.url));
  return {
    ...env,
    NODE_OPTIONS: `--import=${hook}`,
    ...('dieAt' in at
      ? { FAULT_AT: at.dieAt }
      : 'log' in at
        ? { FAULT_LOG: at.log }
        : { FAULT_ONCE: at.once, FAULT_SKIP: at.skip.source }),
  };
}

/** Variables that make the tool's deadlines pass 30 times as fast (see fast-clock.mjs). */
export const fastClock = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  ...env,
  NODE_OPTIONS: `--import=${fileURLToPath(new URL('fast-clock.mjs', import.meta.url))}`,
});

/** A first run in any site directory. */
export const applyIn = (folder: string, env: NodeJS.ProcessEnv, argv: readonly string[] = []): Promise<Run> =>
  tool(['apply', '--dir', folder, '--json', ...argv], { env });

/** Waits for a condition. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  patienceMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`still not: ${what}`);
    await delay(50);
  }
}

/** Keeps the processors busy with `processes` processes; the returned function ends them. */
export function keepBusy(processes: number): () => void {
  const children = Array.from({ length: processes }, () =>
    spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }),
  );
  return () => {
    for (const child of children) child.kill('SIGKILL');
  };
}

/** mulberry32: the same numbers between 0 and 1 in every run. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Stored {
  readonly class: string;
  readonly value: string;
}

export const secretsOf = (folder: string): Record<string, Stored> =>
  (JSON.parse(readFileSync(join(folder, 'secrets.json'), 'utf8')) as { secrets: Record<string, Stored> })
    .secrets;

/** Values of the existing permanent secrets. */
export function foreverOf(folder: string): Record<string, string> {
  if (!existsSync(join(folder, 'secrets.json'))) return {};
  const forever = Object.entries(secretsOf(folder)).filter(([, secret]) => secret.class === 'forever');
  return Object.fromEntries(forever.map(([name, { value }]) => [name, value]));
}

/** Whether snac accepts a password, over HTTPS at the site's ingress. */
export async function logsIn(
  { bind, domain, folder }: TestSite,
  password: string,
  at = folder,
): Promise<boolean> {
  const http = client(bind, readFileSync(join(at, 'trust/root.crt'), 'utf8'));
  const post = (path: string, fields: Record<string, string>) =>
    http(`https://${domain}${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(fields).toString(),
    });
  const redirect = 'urn:ietf:wg:oauth:2.0:oob';
  const registered = await post('/api/v1/apps', {
    client_name: 'test',
    redirect_uris: redirect,
    scopes: 'read',
  });
  const { client_id: cid } = registered.json<{ client_id: string }>();
  const reply = await post('/oauth/x-snac-login', {
    login: 'anna',
    passwd: password,
    redir: redirect,
    cid,
    state: '',
  });
  // The page contains only the code; a wrong password returns the form again.
  return reply.status === 200 && /^[\w-]+$/.test(reply.text().trim());
}

export const accountsOf = (site: TestSite): string[] =>
  docker('exec', site.containers()['snac'] ?? 'none', 'ls', '/data/user')
    .split('\n')
    .filter(Boolean);

/** The header that shows which of the administrator's files Caddy uses. */
export async function headerOf(
  { bind, domain, folder }: TestSite,
  name: string,
): Promise<string | undefined> {
  const http = client(bind, readFileSync(join(folder, 'trust/root.crt'), 'utf8'));
  return (await http(`https://${domain}/`)).headers[name]?.toString();
}

/** Path → mode and hash (of a directory: mode only) of everything in a directory. */
export function snapshot(
  folder: string,
  skip: (path: string) => boolean = () => false,
): Record<string, string> {
  const found: Record<string, string> = {};
  const visit = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const inner = join(path, entry.name);
      const name = relative(folder, inner);
      if (skip(name)) continue;
      const mode = (lstatSync(inner).mode & 0o7777).toString(8);
      found[name] = entry.isFile()
        ? `${mode} ${createHash('sha256').update(readFileSync(inner)).digest('hex')}`
        : mode;
      if (entry.isDirectory()) visit(inner);
    }
  };
  if (existsSync(folder)) visit(folder);
  return found;
}

/** Temporary files of an interrupted run. */
export const leftovers = (folder: string): string[] =>
  Object.keys(snapshot(folder)).filter((path) =>
    /\.fedi-new$|(^|\/)(trial-|lock($|\.)|commit\.json)/.test(path),
  );

/** Our one-shot containers that still exist: they have no label, but a mount of the site. */
export function oneShots(site: TestSite): string[] {
  const ids = docker('ps', '--all', '--quiet').split('\n').filter(Boolean);
  return ids.filter((id) => {
    try {
      const text = docker('inspect', '--format', '{{json .Mounts}} {{json .Config.Labels}}', id);
      return (
        !text.includes('com.docker.compose.project') &&
        (text.includes(`${site.folder}/`) || text.includes(`${site.name}_`))
      );
    } catch {
      return false; // removed meanwhile
    }
  });
}

const mounted: string[] = [];

/** A small separate file system; {@link unmountAll} removes it. */
export function tmpfs(folder: string, options: string): void {
  mkdirSync(folder, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `mode=0755,${options}`, 'tmpfs', folder]);
  mounted.push(folder);
}

export function remount(folder: string, options: string): void {
  execFileSync('mount', ['-o', `remount,${options}`, folder]);
}

/** Makes the directory read-only. */
export function readOnly(folder: string): void {
  execFileSync('mount', ['--bind', folder, folder]);
  mounted.push(folder);
  remount(folder, 'bind,ro');
}

export function unmount(folder: string): void {
  execFileSync('umount', ['--lazy', folder]);
  mounted.splice(mounted.lastIndexOf(folder), 1);
}

export function unmountAll(): void {
  for (const folder of mounted.toReversed()) unmount(folder);
}

/** A directory with only these programs, for PATH. */
export function programs(folder: string, names: readonly string[]): string {
  mkdirSync(folder, { recursive: true });
  for (const name of names) {
    const real = execFileSync('which', [name], { encoding: 'utf8' }).trim();
    script(join(folder, name), `exec ${real} "$@"`);
  }
  return folder;
}

export function script(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
}
