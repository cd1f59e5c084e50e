/** `logs`, `start`, `stop`, `restart`: which services, under which lock, with which exit code. Compose is a small model of it. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { main } from '../../../wizard/cli/main.ts';
import { takeLock } from '../../../wizard/apply/runlock.ts';
import { EXIT } from '../../../wizard/problem.ts';
import { OK, failed } from '../../support/fake-engine.ts';
import { captureOutput } from '../../support/output.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

const SERVICES = ['caddy', 'snac', 'my_own'];
/** Running services, and what `logs` printed. */
let running = new Set<string>();
let shown: string[] = [];
let isLocked: boolean[] = [];
let config = OK;
let exit = 0;
let folder = '';

vi.mock('../../../wizard/docker/docker.ts', async () => ({
  connect: () =>
    Promise.resolve({
      info: async () => (await import('../../support/checks.ts')).INFO,
      listed: () => Promise.resolve([]),
      volume: () => Promise.resolve(undefined),
      image: () => Promise.resolve(undefined),
      networks: () => Promise.resolve([]),
      run: () => Promise.resolve(failed('not here', 125)),
      containers: () => Promise.resolve([]),
      compose: () => Promise.resolve(config),
      composeAttached: (_folder: string, argv: readonly string[]) => {
        isLocked.push(existsSync(join(folder, '.fedi/lock')));
        const [action = '', ...rest] = argv;
        const named = rest.filter((word) => SERVICES.includes(word));
        for (const service of named.length > 0 ? named : SERVICES) {
          if (action === 'logs') shown.push(service);
          else if (action === 'stop') running.delete(service);
          else running.add(service);
        }
        if (action === 'logs') shown.push(...rest.filter((word) => !SERVICES.includes(word)));
        return Promise.resolve(exit);
      },
    }),
}));

const output = captureOutput();
beforeEach(() => {
  [running, shown, isLocked, exit] = [new Set(SERVICES), [], [], 0];
  config = { ...OK, stdout: `${SERVICES.join('\n')}\n` };
  folder = tempFolder();
  writeTree(folder, {
    'fedi.yaml': 'apps: { snac: { domain: a.example.org, admin: anna, email: anna@example.org } }\n',
    'compose.yaml': 'services: {}\n',
  });
  mkdirSync(join(folder, '.fedi'));
});

describe('after all other servers have deleted the accounts', () => {
  const said = (complete?: object): void =>
    writeTree(folder, { '.fedi/goodbye.json': JSON.stringify({ snac: { at: 'T', by: 'uninstall --goodbye', complete } }) }); // prettier-ignore
  test.each(['start', 'restart'])('%s is refused', async (command) => {
    said({ at: 'T', unreached: [] });
    running.clear();
    expect([await run(command), running.size]).toEqual([EXIT.REFUSED, 0]);
    expect(output.text).toContain('The accounts of snac were deleted on other servers.');
  });
  test('stop is not, and until then start is not either: the containers send the deletions', async () => {
    said();
    running.clear();
    expect([await run('start'), running.size]).toEqual([0, SERVICES.length]);
    said({ at: 'T', unreached: [] });
    expect([await run('stop'), running.size]).toEqual([0, 0]);
  });
});

const run = (...argv: string[]): Promise<number> => main([...argv, '--dir', folder]);

test('stop and start act on all services, or on the named ones', async () => {
  expect(await run('stop', 'snac')).toBe(0);
  expect([...running]).toEqual(['caddy', 'my_own']);
  expect(await run('stop')).toBe(0);
  expect([...running]).toEqual([]);
  expect(await run('start', 'caddy', 'my_own')).toBe(0);
  expect([...running]).toEqual(['caddy', 'my_own']);
  expect(await run('restart')).toBe(0);
  expect([...running].toSorted()).toEqual(SERVICES.toSorted());
  // Each held the lock while Compose worked, and released it.
  expect(isLocked).toEqual([true, true, true, true]);
  expect(existsSync(join(folder, '.fedi/lock'))).toBe(false);
});

test('logs take services and flags in any order, and no lock', async () => {
  const release = await takeLock(folder);
  expect(await run('logs', '-f', 'snac', '--tail', '5', '--since', '10m')).toBe(0);
  expect(shown).toEqual(['snac', '--follow', '--tail=5', '--since=10m']);
  await release();
});

test('the name of an app means all its services', async () => {
  const services = ['caddy', 'pixelfed_db', 'pixelfed_web', 'pixelfedx'];
  config = { ...OK, stdout: `${services.join('\n')}\n` };
  writeTree(folder, {
    'fedi.yaml': 'apps: { pixelfed: { domain: a.example.org, admin: anna, email: anna@example.org } }\n',
  });
  expect(await run('logs', 'pixelfed', 'caddy')).toBe(0);
  expect(shown.filter((word) => !word.startsWith('-')).toSorted()).toEqual([
    'caddy',
    'pixelfed_db',
    'pixelfed_web',
  ]);
});

describe('an invalid fedi.yaml', () => {
  const valid = 'apps: { snac: { domain: a.example.org, admin: anna, email: anna@example.org } }\n';
  const breakIt = (): void => writeTree(folder, { 'fedi.yaml': 'domian: a.example.org\n' });
  beforeEach(() =>
    writeTree(folder, {
      '.fedi/manifest.json': JSON.stringify({ version: 1, generation: 3, files: {} }),
      '.fedi/generations/0003/fedi.yaml': valid,
      '.fedi/generations/0003/images.lock.yaml': '{}\n',
    }),
  );

  test.each(['stop', 'logs', 'status'])('does not stop %s', async (action) => {
    breakIt();
    // The site has no containers here.
    expect(await run(action)).toBe(action === 'status' ? EXIT.FAILED : 0);
    expect(output.text).toContain('fedi.yaml line 1: there is no key domian.');
    expect(output.text).toContain('this command uses the answers of the last run');
    if (action === 'status') expect(output.text).toContain('https://a.example.org');
  });
  test('does not stop doctor, which then exits with 1', async () => {
    breakIt();
    expect(await run('doctor')).toBe(1);
    expect(output.text).toContain('there is no key domian');
    expect(output.text).toMatch(/[✔✖] Disk: /);
  });
  test('stops these commands if no run has set the site up, and always those that use the answers', async () => {
    breakIt();
    expect(await run('prove')).toBe(2);
    writeTree(folder, { '.fedi/manifest.json': JSON.stringify({ version: 1, generation: 0, files: {} }) });
    expect(await run('stop')).toBe(2);
    expect([...running]).toEqual(SERVICES);
  });
  test('another name: the containers of the site are still found, and nothing is removed by the new name', async () => {
    writeTree(folder, { 'fedi.yaml': `name: other\n${valid}` });
    expect(await run('stop')).toBe(0);
    expect(output.text).toContain('This site is named fedi, but `name` in fedi.yaml is now other.');
    expect(await run('reset', '--confirm', 'other')).toBe(2);
    expect(await run('prove')).toBe(2);
  });
  test('without secrets.json no recovery file is written', async () => {
    writeTree(folder, { 'fedi.yaml': valid });
    const file = join(folder, 'recovery.json');
    expect(await run('secrets', 'export', file)).toBe(EXIT.REFUSED);
    expect(output.text).toContain('secrets.json is missing.');
    expect(existsSync(file)).toBe(false);
  });
  test('a site of a newer format is refused', async () => {
    writeTree(folder, { 'fedi.yaml': 'version: 99\n' });
    expect(await run('stop')).toBe(EXIT.REFUSED);
  });
});

test.each(['start', 'stop', 'restart'])('%s is refused during another run', async (action) => {
  const release = await takeLock(folder);
  expect(await run(action)).toBe(EXIT.LOCKED);
  expect([...running]).toEqual(SERVICES);
  await release();
});

test.each(['logs', 'start', 'stop', 'restart'])('%s returns the exit code of Compose', async (action) => {
  exit = 17;
  expect(await run(action)).toBe(17);
});

describe('refused', () => {
  test.each(['logs', 'start', 'stop', 'restart'])('%s: a service that does not exist', async (action) => {
    expect(await run(action, 'snac', 'cady')).toBe(2);
    expect(output.text).toContain('This site has no service cady. Did you mean caddy?');
    expect(output.text).toContain('It has: caddy, my_own, snac.');
    expect([...running, ...shown]).toEqual(SERVICES);
  });
  test.each(['logs', 'start', 'stop', 'restart'])('%s: a site that was never set up', async (action) => {
    folder = tempFolder();
    writeTree(folder, {
      'fedi.yaml': 'apps: { snac: { domain: a.example.org, admin: anna, email: anna@example.org } }\n',
    });
    expect(await run(action)).toBe(2);
    expect(output.text).toContain(`The site in ${folder} has not been set up yet.`);
    expect(output.text).toContain('Run `fedi-setup apply --dir');
  });
  test('an override that Compose cannot read', async () => {
    config = failed('services.snac.ports must be a list\n');
    expect(await run('stop', 'snac')).toBe(1);
    expect(output.text).toContain(
      'Compose rejects the files of the site: services.snac.ports must be a list',
    );
  });
  test.each([
    ['--tail', 'ten', '--tail must be a number of lines, or all.'],
    ['--tail', '-5', '--tail takes a value'],
    ['--follow=yes', '', '--follow takes no value.'],
  ])('logs %s %s', async (flag, value, message) => {
    expect(await run('logs', flag, ...(value === '' ? [] : [value]))).toBe(2);
    expect(output.text).toContain(message);
  });
  test('flags of logs with another command', async () => {
    expect(await run('stop', '-f')).toBe(2);
    expect(output.text).toContain('`stop` does not take --follow.');
    expect(output.text).toContain('These commands take it: logs.');
  });
});
