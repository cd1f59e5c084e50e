/** What a restore refuses before anything changes. */
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { refuseForeignFiles } from '../../../wizard/backup/restore.ts';
import type { Engine } from '../../../wizard/docker/engine.ts';
import { contextOf } from '../../support/checks.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder } from '../../support/temp.ts';

const engineWith = (...volumes: string[]): Engine =>
  ({
    volume: async (name: string) => (volumes.includes(name) ? { device: undefined } : undefined),
  }) as unknown as Engine;

const appsIn = (directory: string) => contextOf({ 'apps.snac.data-dir': directory }).config.apps;

test('a data directory with other files is not emptied', async () => {
  const directory = join(tempFolder(), 'data');
  mkdirSync(directory);
  writeFileSync(join(directory, 'thesis.tex'), 'mine');
  const problem = await problemFrom(() => refuseForeignFiles(engineWith(), 'fedi', appsIn(directory)));
  expect([problem.exit, problem.message]).toEqual([
    3,
    expect.stringContaining(`${directory}, for the data of`),
  ]);
  expect(existsSync(join(directory, 'thesis.tex'))).toBe(true);
});

test('an empty or missing directory, and the one of an existing volume, are accepted', async () => {
  const directory = join(tempFolder(), 'data');
  await refuseForeignFiles(engineWith(), 'fedi', appsIn(directory));
  mkdirSync(directory);
  await refuseForeignFiles(engineWith(), 'fedi', appsIn(directory));
  writeFileSync(join(directory, 'server.json'), '{}');
  // Its user confirmed that the volume is overwritten.
  await refuseForeignFiles(engineWith('fedi_snac_data'), 'fedi', appsIn(directory));
});

test('a directory that cannot be read counts as full', async () => {
  const path = join(tempFolder(), 'file');
  writeFileSync(path, '');
  chmodSync(path, 0o600);
  expect((await problemFrom(() => refuseForeignFiles(engineWith(), 'fedi', appsIn(path)))).exit).toBe(3);
});
