/** A site with all apps, changed several times and removed: the engine is as before. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const PATIENCE_MS = 30 * 60_000;

const site = testSite('left-all', 171, 'snac.fedi.test');
const disk = mkdtempSync(join(tmpdir(), 'fedi-left-disk-'));
const env = {
  ...site.env,
  ...mastodonAnswers('social.fedi.test'),
  ...pixelfedAnswers('pix.fedi.test'),
  FEDI_APPS: 'snac,mastodon,pixelfed',
  FEDI_PIXELFED_MEDIA_DIR: join(disk, 'media'),
};
afterAll(() => {
  site.remove();
  rmSync(disk, { recursive: true, force: true });
});

const listed = (): Record<string, string[]> =>
  Object.fromEntries(
    (
      [
        ['containers', ['container', 'ls', '--all', '--quiet', '--no-trunc']],
        ['volumes', ['volume', 'ls', '--quiet']],
        ['networks', ['network', 'ls', '--quiet', '--no-trunc']],
      ] as const
    ).map(([name, words]) => [
      name,
      docker(...words)
        .split('\n')
        .filter(Boolean)
        .toSorted(),
    ]),
  );
const command = (words: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Run> =>
  tool([...words, '--dir', site.folder], { env: { ...env, ...more } });

let before: Record<string, string[]> = {};
beforeAll(() => {
  before = listed();
});

describe.sequential('a site with all apps', { timeout: PATIENCE_MS }, () => {
  test.each([
    ['set up, with a mail catcher', ['apply'], { FEDI_MAIL_MODE: 'catcher' }],
    ['without mail', ['apply'], { FEDI_MAIL_MODE: 'none' }],
    ['an app removed by an answer', ['apply', '--apps', 'snac,mastodon', '--confirm', 'pixelfed'], {}],
    ['the app added again', ['apply'], {}],
    ['an app removed with its data', ['remove', 'mastodon', '--data', '--confirm', 'mastodon'], {}],
    ['the first configuration', ['rollback', '1'], {}],
  ])('%s', async (_, words, more) => {
    const run = await command(words, more);
    expect(run.code, run.stderr).toBe(0);
  });

  test('uninstall --data leaves only the directory that it names', async () => {
    const run = await command(['uninstall', '--data', '--confirm', site.name]);
    expect(run.code, run.stderr).toBe(0);
    expect(listed()).toEqual(before);
    expect(run.stderr).toContain(`Data stay in ${join(disk, 'media')}: sudo rm -r ${join(disk, 'media')}`);
  });
});
