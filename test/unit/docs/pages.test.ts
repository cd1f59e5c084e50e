/** The generated pages match the code, and their texts cover all of it. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { appliesWhen } from '../../../scripts/docs/options.ts';
import { pages } from '../../../scripts/docs/pages.ts';
import { readmeText, shortTranscript } from '../../../scripts/docs/readme.ts';
import { ALL_QUESTIONS } from '../../../wizard/answers/questions.ts';
import { yamlSource } from '../../../wizard/answers/sources.ts';

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const PAGES = await pages();

test.each(Object.keys(PAGES))('%s is up to date: npm run env-example', (path) => {
  expect(read(path)).toBe(PAGES[path]);
});

test('README.md is up to date: npm run env-example', async () => {
  expect(read('README.md')).toBe(await readmeText(read('README.md'), read('docs/transcript.md')));
});

test('README.md must have every block', async () => {
  await expect(readmeText('', '')).rejects.toThrow('README.md has no block apps');
});

test('the short transcript has the questions, the proofs and the log-in, not the help', () => {
  const short = shortTranscript(read('docs/transcript.md'));
  expect(short).toMatch(/^```console\n\$ npx fedi-setup\n/);
  for (const line of ['✔ Apps to install', '✔ What now?', '✔ WebFinger', '    password  '])
    expect(short).toContain(`\n${line}`);
  expect(short).not.toContain('Ctrl-C');
  expect(short.split('\n').length).toBeLessThan(50);
});

describe('when an option applies', () => {
  const of = (key: string): string | undefined =>
    appliesWhen(ALL_QUESTIONS.find((question) => question.key === key) as (typeof ALL_QUESTIONS)[number]);

  test.each([
    ['mail.mode', undefined],
    ['mail.host', 'only if `mail.mode` is `smtp`'],
    ['mail.password', 'only if `mail.mode` is `smtp` and `mail.user` is given'],
    ['tls.email', 'only if `tls.mode` is `acme` or `directory`'],
    ['apps.mastodon.handles', 'only if `apps.mastodon.web-domain` is given'],
    ['apps.mastodon.db-dir', 'not if `apps.mastodon.database` is `external`'],
  ])('%s: %s', (key, when) => {
    expect(of(key)).toBe(when);
  });
});

test('the example of fedi.yaml and the list of its keys are valid', () => {
  const [, small = '', all = ''] = (PAGES['docs/reference/fedi-yaml.md'] ?? '').split('```yaml\n');
  const keys = (text: string): string[] => [...yamlSource(text.split('```')[0] ?? '').keys()];
  expect(keys(small)).toContain('apps.snac.domain');
  // All values are empty, so the apps are the only answers.
  expect(keys(all)).toEqual(['apps']);
  const known = ALL_QUESTIONS.filter(({ key, secret }) => !secret && key !== 'apps').length;
  expect(all.split('```')[0]?.match(/^ *[a-z\d-]+: {2}#/gm)).toHaveLength(known);
});
