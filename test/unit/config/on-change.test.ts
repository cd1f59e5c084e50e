/** Rules for changed answers of an existing site, and the notes shown after an answer. */
import { describe, expect, test } from 'vitest';
import { changed } from '../../../wizard/config/on-change.ts';
import type { Answers } from '../../../wizard/config/question.ts';
import { ALL_QUESTIONS } from '../../../wizard/answers/questions.ts';

const SITE: Answers = {
  apps: 'snac,mastodon,pixelfed',
  name: 'fedi',
  'apps.snac.domain': 'a.example.org',
  'apps.mastodon.domain': 'b.example.org',
  'apps.mastodon.release': 'v4.7.6',
  'apps.pixelfed.release': 'v0.14.4',
  'apps.mastodon.media': 'local',
  'mail.mode': 'none',
};
const to = (more: Readonly<Record<string, string | undefined>>) =>
  changed(ALL_QUESTIONS, SITE, { ...SITE, ...more } as Answers);

describe('refused', () => {
  test.each([
    ['apps.snac.domain', 'c.example.org', 'This site uses a.example.org; the answers now say c.example.org'],
    [
      'apps.mastodon.domain',
      'c.example.org',
      'This site uses b.example.org; the answers now say c.example.org',
    ],
    ['apps.mastodon.web-domain', 'c.example.org', 'A domain cannot be changed'],
    ['apps.mastodon.release', 'v4.7.5', 'v4.7.5 is older'],
    ['apps.mastodon.release', 'v4.6.9', 'v4.6.9 is older'],
    ['apps.pixelfed.release', 'v0.14.3', 'v0.14.3 is older'],
    ['apps.pixelfed.release', 'v0.12.10', 'v0.12.10 is older'],
    ['name', 'other', 'This site is named fedi'],
  ])('%s → %s', (key, value, expected) => {
    expect(to({ [key]: value })).toEqual({ refused: [expect.stringContaining(expected)], leaves: [] });
  });
});

describe('fine', () => {
  test.each([
    ['mail.mode', 'smtp'],
    ['apps.mastodon.release', 'v4.7.10'],
    ['apps.mastodon.release', 'v4.10.0'],
    ['apps.pixelfed.release', 'v0.14.5'],
    ['apps.pixelfed.release', 'v0.15.0'],
    ['apps.mastodon.title', 'x'],
  ])('%s → %s', (key, value) => {
    expect(to({ [key]: value })).toEqual({ refused: [], leaves: [] });
  });

  test('nothing changed', () => expect(to({})).toEqual({ refused: [], leaves: [] }));

  test('the domain of an added or removed app is not a change', () => {
    const one: Answers = { apps: 'snac', name: 'fedi', 'apps.snac.domain': 'a.example.org' };
    expect(changed(ALL_QUESTIONS, SITE, one)).toEqual({ refused: [], leaves: [] });
    expect(changed(ALL_QUESTIONS, one, SITE)).toEqual({ refused: [], leaves: [] });
  });

  test('no site yet', () => {
    expect(changed(ALL_QUESTIONS, {}, SITE)).toEqual({ refused: [], leaves: [] });
  });
});

describe('notices about what is left behind', () => {
  test('media', () => {
    expect(to({ 'apps.mastodon.media': 's3' }).leaves).toEqual([
      expect.stringContaining('Existing uploads stay on this host'),
    ]);
    const bucket: Answers = { ...SITE, 'apps.mastodon.media': 's3', 'apps.mastodon.s3.bucket': 'one' };
    expect(changed(ALL_QUESTIONS, bucket, { ...bucket, 'apps.mastodon.media': 'local' }).leaves).toEqual([
      expect.stringContaining('Existing uploads stay in the bucket'),
    ]);
    expect(changed(ALL_QUESTIONS, bucket, { ...bucket, 'apps.mastodon.s3.bucket': 'two' }).leaves).toEqual([
      expect.stringContaining('Existing uploads stay in the bucket one'),
    ]);
  });
});

const notes = (key: string, value: string): readonly string[] =>
  ALL_QUESTIONS.find((question) => question.key === key)?.notes?.({ [key]: value }) ?? [];

describe('a refused domain change', () => {
  test.each([
    'social.example.org',
    'anna.duckdns.org'.replace('anna', 'a.anna'),
    'x.example.co.uk',
    'snac.localhost',
    'fedi.test',
  ])('%s: the handle only', (domain) =>
    expect(notes('apps.snac.domain', domain)).toEqual([`Handles: @you@${domain} (permanent).`]),
  );
  test.each(['example.org', 'example.co.uk', 'anna.duckdns.org'])('%s is a registered domain', (domain) => {
    expect(notes('apps.snac.domain', domain)).toEqual([
      `Handles: @you@${domain} (permanent).`,
      expect.stringContaining(`This server will provide the front page of ${domain}`),
    ]);
  });
  test('both forms of an internationalised domain', () => {
    expect(notes('apps.snac.domain', 'social.xn--mnchen-3ya.de')).toEqual([
      'Handles: @you@social.münchen.de (permanent). Other servers show it as social.xn--mnchen-3ya.de.',
    ]);
  });
});

test.each([
  ['admin', 1],
  ['webmaster', 1],
  ['mastodon_fan', 1],
  ['mods', 1],
  ['anna', 0],
  ['administrate', 0],
])('Mastodon’s reserved names: %s', (name, count) => {
  expect(notes('apps.mastodon.admin', name)).toHaveLength(count);
  expect(ALL_QUESTIONS.find(({ key }) => key === 'apps.mastodon.admin')?.parse(name)).toEqual({
    value: name,
  });
});
