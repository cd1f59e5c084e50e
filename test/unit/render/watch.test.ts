/** The health check that every service shares, run by a shell, with a fast `sleep`. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseYaml } from '../../../wizard/yaml.ts';
import { tempFolder } from '../../support/temp.ts';

const COMPOSE = fileURLToPath(new URL('../../../compose/', import.meta.url));
const FILES = readdirSync(COMPOSE).filter((name) => name.endsWith('.yaml'));

interface File {
  readonly 'x-watch': string;
  readonly services: Readonly<
    Record<string, { restart: string; healthcheck?: { test: string[]; [key: string]: unknown } }>
  >;
}
const read = (name: string): File => parseYaml(readFileSync(join(COMPOSE, name), 'utf8')) as unknown as File;
const WATCH = read('caddy.yaml')['x-watch'];

describe.each(FILES)('%s', (name) => {
  const { 'x-watch': watch, services } = read(name);

  test('has the same script as the others', () => expect(watch).toBe(WATCH));

  test.each(Object.entries(services))('%s uses it', (_, { restart, healthcheck }) => {
    if (restart === 'no') return;
    expect(healthcheck?.test.slice(0, 4)).toEqual(['CMD', 'sh', '-c', WATCH]);
    expect(healthcheck).toMatchObject({ timeout: '30m', retries: 2, start_period: '10m' });
  });
});

/** Runs a check as Docker would. @param sleep replaces the pause between two rounds */
function look(
  folder: string,
  check: string,
  sleep = 'echo >>rounds',
): { code: number | null; output: string } {
  const script = WATCH.replaceAll('$$', '$')
    .replace('/dev/shm/healthy', join(folder, 'healthy'))
    .replace('timeout 15', 'timeout 1')
    .replace('sleep 45', () => sleep);
  const { status, stdout } = spawnSync('sh', ['-c', script, check], { cwd: folder, encoding: 'utf8' });
  return { code: status, output: stdout };
}
const isHealthy = (folder: string): boolean => existsSync(join(folder, 'healthy'));

describe('the script', () => {
  test('fails at once while the service starts, and shows the output of the check', () => {
    const folder = tempFolder();
    expect(look(folder, 'echo starting >&2; exit 7')).toEqual({ code: 1, output: 'starting' });
    expect(isHealthy(folder)).toBe(false);
  });

  test('succeeds at once the first time', () => {
    const folder = tempFolder();
    expect(look(folder, 'echo OK')).toEqual({ code: 0, output: 'OK' });
    expect(isHealthy(folder)).toBe(true);
    expect(existsSync(join(folder, 'rounds'))).toBe(false);
  });

  test('then keeps checking, and succeeds after many rounds', () => {
    const folder = tempFolder();
    look(folder, 'true');
    expect(look(folder, 'echo OK')).toEqual({ code: 0, output: 'OK' });
    expect(readFileSync(join(folder, 'rounds'), 'utf8').length).toBe(20);
    expect(isHealthy(folder)).toBe(true);
  });

  test('fails in the round in which the service fails, and returns at once from then on', () => {
    const folder = tempFolder();
    look(folder, 'true');
    writeFileSync(join(folder, 'rounds'), '');
    expect(look(folder, '[ "$(wc -l <rounds)" -lt 3 ] || { echo gone; false; }')).toEqual({
      code: 1,
      output: 'gone',
    });
    expect(isHealthy(folder)).toBe(false);
  });

  // Docker considers the container unhealthy until a call ends: after `docker pause`, and after its own restart.
  test('returns at once if Docker ended the long call', () => {
    const folder = tempFolder();
    look(folder, 'true');
    expect(look(folder, 'true', 'kill -KILL $$').code).toBe(null);
    expect(look(folder, 'echo OK')).toEqual({ code: 0, output: 'OK' });
    expect(existsSync(join(folder, 'rounds'))).toBe(false);
  });

  test('ends a check that hangs', () => {
    const folder = tempFolder();
    expect(look(folder, 'echo asked; sleep 1000')).toEqual({
      code: 1,
      output: 'asked (no answer within 15 s)',
    });
  });
});
