/**
 * Docker 28 from Debian's packages, with containerd's image store and the oldest version of the API that Engine 29 supports:
 * a lab from loaded images, its restart, another image under the same name. As root; the packages are downloaded once.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess, SpawnSyncReturns } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';

const ENGINE = 'test/support/engine-28';
const IMAGES = ['caddy', 'snac'].map((name) => `fedi-setup/${name}:trixie`);
const PATIENCE_MS = 15 * 60_000;

const folder = mkdtempSync(join(tmpdir(), 'fedi-engine-28-'));
const site = join(folder, 'site');
let engine: ChildProcess | undefined;

/** In a container with the engine: with its client, Compose and OpenSSL. */
const run = (...argv: string[]): SpawnSyncReturns<string> =>
  spawnSync(ENGINE, ['run', folder, ...argv], { encoding: 'utf8', maxBuffer: 1 << 26 });
const docker = (...argv: string[]): string => {
  const { status, stdout, stderr } = run('docker', ...argv);
  expect(status, stderr).toBe(0);
  return stdout.trim();
};
const tool = (command: string, ...argv: string[]): SpawnSyncReturns<string> =>
  run(
    'env',
    ...IMAGES.map((image) => `FEDI_IMAGES_${image.replace(/^.*\/|:.*$/g, '').toUpperCase()}=${image}`),
    inject('tool'),
    command,
    '--dir',
    site,
    '--json',
    ...argv,
  );

beforeAll(async () => {
  execFileSync(ENGINE, ['prepare'], { stdio: 'inherit' });
  engine = spawn(ENGINE, ['start', folder], { stdio: 'ignore' });
  await vi.waitFor(() => docker('version'), { timeout: 120_000, interval: 500 });
  const archive = join(folder, 'images.tar');
  execFileSync('docker', ['save', '--output', archive, ...IMAGES]);
  docker('load', '--input', archive);
}, PATIENCE_MS);

afterAll(async () => {
  const started = engine;
  if (started?.exitCode === null) {
    run('sh', '-c', 'docker ps --all --quiet | xargs --no-run-if-empty docker rm --force');
    const ended = new Promise((resolve) => started.once('exit', resolve));
    started.kill();
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
}, 120_000);

test('proves a lab, and locks its loaded images by id', { timeout: PATIENCE_MS }, () => {
  expect(docker('info', '--format', '{{.DriverStatus}}')).toContain('io.containerd.snapshotter');
  const { status, stderr } = tool('lab', '--apps', 'snac', '--mail-mode', 'none');
  expect(status, stderr).toBe(0);
  const lock = readFileSync(join(site, 'images.lock.yaml'), 'utf8');
  expect(lock.match(/source: loaded/g)).toHaveLength(2);
  expect(lock).not.toContain('digest');
  expect(readFileSync(join(site, 'compose.yaml'), 'utf8').match(/pull_policy: never/g)).toHaveLength(2);
});

test('starts again without fedi-setup, and doctor finds no fault', { timeout: PATIENCE_MS }, async () => {
  docker('compose', '--project-directory', site, 'down');
  docker('compose', '--project-directory', site, 'up', '--detach', '--wait');
  const doctor = tool('doctor');
  expect(doctor.status, doctor.stdout + doctor.stderr).toBe(0);
  expect(tool('apply').stdout).toContain('"event":"unchanged"');
});

test('refuses another image under the same name, and says what to do', { timeout: PATIENCE_MS }, () => {
  const [, name = ''] = IMAGES;
  docker('create', '--name', 'other', name);
  docker('commit', '--change', 'LABEL other=yes', 'other', name);
  const { status, stderr } = tool('apply');
  expect([status, stderr]).toEqual([
    3,
    expect.stringContaining('remove the entry snac from images.lock.yaml'),
  ]);
});
