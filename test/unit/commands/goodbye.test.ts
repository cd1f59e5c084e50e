/** `uninstall --goodbye` and `remove APP --goodbye`: what is refused, and that a complete goodbye goes on to the removal. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { main } from '../../../wizard/cli/main.ts';
import { readGoodbyes } from '../../../wizard/goodbye-record.ts';
import { EXIT } from '../../../wizard/problem.ts';
import { OK } from '../../support/fake-engine.ts';
import { captureOutput } from '../../support/output.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

let calls: string[] = [];
let volumes: string[] = [];
let folder = '';

vi.mock('../../../wizard/docker/docker.ts', async () => ({
  connect: () =>
    Promise.resolve({
      info: async () => (await import('../../support/checks.ts')).INFO,
      listed: () => Promise.resolve([]),
      volume: (name: string) => Promise.resolve(volumes.includes(name) ? {} : undefined),
      volumes: () => Promise.resolve(volumes),
      containers: () => Promise.resolve([]),
      removeNetworks: () => Promise.resolve(),
      exec: () => {
        calls.push('exec');
        return Promise.resolve(OK);
      },
      compose: (_folder: string, argv: readonly string[]) => {
        calls.push(argv.find((word) => ['up', 'down'].includes(word)) ?? 'other');
        return Promise.resolve(OK);
      },
    }),
}));

const output = captureOutput();
beforeEach(() => {
  calls = [];
  volumes = [];
  folder = tempFolder();
  writeTree(folder, {
    'fedi.yaml':
      'apps: { snac: { domain: a.example.org, admin: anna, email: anna@example.org }, mastodon: { domain: b.example.org, admin: anna, email: anna@example.org } }\n',
    'compose.yaml': 'services: {}\n',
  });
  mkdirSync(join(folder, '.fedi'));
});

const run = (...argv: string[]): Promise<number> => main([...argv, '--dir', folder]);
const BOTH = 'a.example.org,b.example.org';

describe.each([
  ['uninstall', ['uninstall', '--goodbye'], BOTH],
  ['remove', ['remove', 'mastodon', '--goodbye'], 'b.example.org'],
])('%s', (_name, words, word) => {
  test.each<[string, string[], string]>([
    ['without a confirmation', [], `${word} was not confirmed, so nothing was changed.`],
    ['with another word', ['--confirm', 'mastodon'], `Confirm with --confirm ${word}`],
    ['with --yes', ['--yes'], `${word} was not confirmed`],
  ])('is refused %s', async (_case, more, text) => {
    expect(await run(...words, ...more)).toBe(EXIT.REFUSED);
    expect(output.text).toContain(text);
    expect(output.text).toContain('cannot be undone. ');
    expect([calls, await readGoodbyes(folder)]).toEqual([[], {}]);
  });

  const upgrade = { app: 'mastodon', from: 'v1', to: 'v2', at: '2026-01-01T00:00:00Z', owner: { pid: 0, start: '' }, withData: true, token: 't', phase: 'saved' }; // prettier-ignore
  test.each<[string, Record<string, string>, string]>([
    ['was stopped to move it', { '.fedi/moved': '' }, 'was stopped to move it to another host'],
    ['is in a restore', { '.fedi/restore.json': '{}' }, 'A restore of this site was interrupted.'],
    ['is in an upgrade', { '.fedi/upgrade.json': JSON.stringify(upgrade) }, 'upgrade of mastodon to v2'],
  ])('is refused while the site %s', async (_case, files, text) => {
    writeTree(folder, files);
    expect(await run(...words, '--confirm', word)).toBe(EXIT.REFUSED);
    expect(output.text).toContain(text);
    expect([calls, await readGoodbyes(folder)]).toEqual([[], {}]);
  });
});

test('--attempts needs --goodbye, and is a small number', async () => {
  expect(await run('uninstall', '--attempts', '3', '--confirm', 'fedi')).toBe(EXIT.USAGE);
  for (const wrong of ['0', '11', 'x'])
    expect(await run('uninstall', '--goodbye', '--attempts', wrong, '--confirm', BOTH)).toBe(EXIT.USAGE);
  expect(calls).toEqual([]);
});

const complete = { at: '2026-01-01T00:00:00Z', domain: 'b.example.org', by: 'uninstall --goodbye', complete: { at: '2026-01-01T00:00:00Z', unreached: ['c.example.org'] } }; // prettier-ignore

test('when all apps have completed it, goes on to the removal, and names the servers that were not reached', async () => {
  writeTree(folder, { '.fedi/goodbye.json': JSON.stringify({ snac: complete, mastodon: complete }) });
  expect(await run('uninstall', '--goodbye', '--confirm', BOTH)).toBe(EXIT.OK);
  expect(calls).toEqual(['down']);
  expect(output.text).toContain('still have the accounts of Mastodon: c.example.org.');
  expect(output.text).toContain('cannot run with them again');
});

test('the same command removes an app that a killed run has removed from the answers already', async () => {
  writeTree(folder, {
    'fedi.yaml': 'apps: { snac: { domain: a.example.org, admin: anna, email: anna@example.org } }\n',
    '.fedi/goodbye.json': JSON.stringify({ mastodon: complete }),
  });
  volumes = ['fedi_mastodon_db'];
  expect(await run('remove', 'mastodon', '--goodbye', '--confirm', 'mastodon')).toBe(EXIT.REFUSED);
  expect(output.text).toContain('b.example.org was not confirmed');
});

test('a removal of all data without it says that one is not complete', async () => {
  const { complete: _, ...started } = complete;
  writeTree(folder, { '.fedi/goodbye.json': JSON.stringify({ mastodon: started }) });
  expect(await run('uninstall', '--data')).toBe(EXIT.REFUSED);
  expect(output.text).toContain('The deletion of the accounts of Mastodon on other servers is not complete');
});

test.each([
  ['uninstall', ['uninstall', '--confirm', 'fedi']],
  ['reset', ['reset', '--confirm', 'fedi']],
])('%s is refused while one is not complete: it would stop the deletion', async (_name, words) => {
  const { complete: _, ...started } = complete;
  writeTree(folder, { '.fedi/goodbye.json': JSON.stringify({ mastodon: started }) });
  expect(await run(...words)).toBe(EXIT.REFUSED);
  expect(output.text).toContain('The accounts of Mastodon are being deleted on other servers.');
  expect(calls).toEqual([]);
});
