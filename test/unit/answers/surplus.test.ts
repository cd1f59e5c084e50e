/** Flags that would set nothing are named with the reason; variables and keys of files are not. */
import { describe, expect, test } from 'vitest';
import { surplusFlags } from '../../../wizard/answers/resolve.ts';
import type { Source } from '../../../wizard/answers/resolve.ts';
import type { Answers } from '../../../wizard/config/question.ts';

const SNAC: Answers = { apps: 'snac', 'mail.mode': 'none', 'tls.mode': 'acme', 'status.page': 'off' };
const given = (key: string, from: string): Source => new Map([[key, { text: 'x', from }]]);

test.each<[key: string, answers: Answers, words: string]>([
  ['backup.buckets', SNAC, 'it applies only if `backup.to` is set and an app has its media in a bucket.'],
  ['backup.every', SNAC, 'it applies only if `backup.to` is given.'],
  ['mail.host', SNAC, 'it applies only if `mail.mode` is smtp, and that is none.'],
  ['tls.port', SNAC, 'it applies only if `tls.mode` is proxy, and that is acme.'],
  ['status.notice', SNAC, 'it applies only if `status.page` is on, and that is off.'],
])('%s', (key, answers, words) => {
  expect(surplusFlags([given(key, '--flag')], answers)).toEqual([
    `--flag does not apply to this site: ${words}`,
  ]);
});

test('an app that the site does not have', () => {
  expect(surplusFlags([given('apps.pixelfed.title', '--pixelfed-title')], SNAC)).toEqual([
    '--pixelfed-title: this site has no pixelfed.',
  ]);
});

describe('is silent about', () => {
  test.each([
    ['a flag that applies', 'mail.host', '--mail-host', { ...SNAC, 'mail.mode': 'smtp' }],
    ['one without the name of the app', 'domain', '--domain', SNAC],
    ['one that always applies', 'cleanup.every', '--cleanup-every', SNAC],
    ['a variable', 'mail.host', 'FEDI_MAIL_HOST', SNAC],
    ['a key of fedi.yaml', 'mail.host', 'fedi.yaml line 3 (mail.host)', SNAC],
    ['a line of an answers file', 'mail.host', 'a.env line 3 (FEDI_MAIL_HOST)', SNAC],
  ])('%s', (_, key, from, answers) => {
    expect(surplusFlags([given(key, from)], answers)).toEqual([]);
  });
});
