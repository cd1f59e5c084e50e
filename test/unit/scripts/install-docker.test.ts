/** What scripts/install-docker does before it starts the engine. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { tempFolder } from '../../support/temp.ts';

const FUNCTION = /^remove_stale_pid_files\(\) \{\n[^]*?\n\}$/m.exec(
  readFileSync('scripts/install-docker', 'utf8'),
)?.[0];

/**
 * Runs the function on a folder with one containerd.pid.
 * @returns whether the file is still there
 */
function keeps(pid: number): boolean {
  const folder = tempFolder();
  mkdirSync(join(folder, 'docker/containerd'), { recursive: true });
  const file = join(folder, 'docker/containerd/containerd.pid');
  writeFileSync(file, `${pid}\n`);
  const script = `set -euo pipefail; as_root=(); run_dir=$1\n${FUNCTION}\nremove_stale_pid_files`;
  const { status, stderr } = spawnSync('bash', ['-c', script, 'bash', folder], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return existsSync(file);
}

test('a PID file of a killed containerd is removed, though another program has its PID now', () => {
  expect(keeps(process.pid)).toBe(false);
  expect(keeps(2 ** 30)).toBe(false);
});

test('the PID file of a running containerd stays', async () => {
  const program = join(tempFolder(), 'containerd');
  copyFileSync('/bin/sleep', program);
  const running = spawn(program, ['600'], { stdio: 'ignore' });
  onTestFinished(() => void running.kill('SIGKILL'));
  await once(running, 'spawn');
  expect(keeps(running.pid as number)).toBe(true);
});
