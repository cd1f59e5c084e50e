/**
 * What must work at every question, generated from the question table: back, help, invalid input, interruption and
 * continuation, and a change from the review. The keys themselves are tested in terminal/questions.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { APP_IDS, appOf } from '../../../wizard/apps/index.ts';
import { ALL_QUESTIONS } from '../../../wizard/answers/questions.ts';
import { flagOf, variableOf } from '../../../wizard/config/question.ts';
import type { Question } from '../../../wizard/config/question.ts';
import { ANOTHER, BUCKET, KNOWN_BUCKET, DIRECTORY, LONG, isSecret } from '../../support/conversations.ts';
import type { Turn } from '../../support/conversations.ts';
import { dialogue, endDialogue } from '../../support/dialogue.ts';
import type { Dialogue } from '../../support/dialogue.ts';
import { tempFolder } from '../../support/temp.ts';

vi.mock('@inquirer/prompts', () => import('../../support/prompts.ts'));
// Checks at its end whether the terminal still exists.
vi.mock('node:tty', () => ({ isatty: () => true }));

let folder = '';
beforeEach(() => {
  folder = join(tempFolder(), 'fedi');
});
afterEach(endDialogue);

const HOST = { FEDI_NAME: 'test-questions', FEDI_BIND: '127.0.0.45' };
const open = (argv: readonly string[] = [], env: NodeJS.ProcessEnv = HOST): Dialogue =>
  dialogue(['--dir', folder, ...argv], env);

const CONVERSATIONS = { LONG, BUCKET, KNOWN_BUCKET, DIRECTORY, ANOTHER } as const;
const names = Object.keys(CONVERSATIONS) as (keyof typeof CONVERSATIONS)[];

/** The row of a question in a session for that app. */
const rowOf = (message: string, id: string): Question =>
  ALL_QUESTIONS.find(
    ({ key, message: text }) =>
      text === message && (!key.startsWith('apps.') || key.startsWith(`apps.${id}.`)),
  ) as Question;

const idOf = (turns: readonly Turn[]): string =>
  turns === BUCKET || turns === KNOWN_BUCKET ? 'mastodon' : turns === ANOTHER ? 'pixelfed' : 'snac';

/** The value in the latest review. */
const reviewed = (run: Dialogue, message: string): string =>
  run
    .written()
    .slice(run.written().lastIndexOf('Your answers:'))
    .split('\n')
    .find((line) => line.startsWith(`  ${message}  `))
    ?.slice(message.length + 2)
    .trim() ?? '';

test('the sessions reach every question', () => {
  const reached = new Set(
    Object.values(CONVERSATIONS).flatMap((turns) => turns.map(({ question }) => question)),
  );
  const advanced = (question: Question): boolean =>
    ['more', 'size'].includes(question.topic) || question.file === true;
  expect(
    ALL_QUESTIONS.filter((one) => !advanced(one) && !reached.has(one.message)).map(({ key }) => key),
  ).toEqual([]);
});

describe.each(names)('%s', (name) => {
  const turns: readonly Turn[] = CONVERSATIONS[name];
  const questions = turns.filter(({ question }) => question !== 'What now?');

  test('goes back from every question, and forward again', async () => {
    const run = open();
    for (const [i, turn] of questions.entries()) {
      await run.asked(turn.question);
      const before = questions[i - 1];
      if (before !== undefined) {
        await run.answer(turn.question, '<');
        // Enter alone repeats the earlier answer; a secret is typed again.
        const again = await run.asked(before.question);
        const text = isSecret(before) ? '' : (before.text ?? before.entry ?? before.entries?.[0] ?? '');
        expect(again.initial).toContain(text);
        expect(await again.enter(isSecret(before) ? (before.text ?? '') : '')).toBeUndefined();
        await run.asked(turn.question);
      }
      await run.turns([turn]);
    }
    await run.asked('What now?');
    for (const { question, text } of questions)
      if (text !== undefined && text !== '' && !isSecret({ question }))
        expect(reviewed(run, question)).toBe(text);
  });

  test('shows help at every question', async () => {
    const run = open();
    for (const turn of questions) {
      const row = rowOf(turn.question, idOf(turns));
      await run.answer(turn.question, '?');
      await run.asked(turn.question);
      for (const text of [
        `Without questions: --${flagOf(row)}, ${variableOf(row)}`,
        row.help,
        ...(row.more === undefined ? [] : [row.more]),
      ])
        expect(run.words()).toContain(text);
      for (const choice of row.choices ?? []) expect(run.words()).toContain(choice.name);
      await run.turns([turn]);
    }
    await run.asked('What now?');
  });

  test('refuses invalid input at every question', async () => {
    const run = open();
    for (const turn of questions) {
      for (const [text, refusal] of turn.wrong ?? [])
        expect(await run.answer(turn.question, text)).toContain(refusal);
      await run.turns([turn]);
    }
    await run.asked('What now?');
  });

  test.for(turns.map((turn, i) => ({ ...turn, i })))(
    'interrupted at "$question", and continued there',
    async ({ question, i }) => {
      const first = open();
      await first.turns(turns.slice(0, i));
      await first.asked(question);
      expect(await first.leave()).toBe(130);
      expect(first.written()).toMatch(/^Cancelled\. Nothing was changed\.$/m);
      const again = open();
      if (i === 0) {
        await again.asked(question);
        expect(again.words()).not.toContain('UTC were saved');
        return;
      }
      await again.answer('Your answers of', 'Continue with them');
      await again.turns(turns.slice(0, i).filter(isSecret));
      await again.asked(question);
      for (const turn of turns.slice(0, i))
        if (!isSecret(turn)) expect([turn.question, again.times(turn.question)]).toEqual([turn.question, 0]);
    },
  );

  test('starting over discards the saved answers', async () => {
    const first = open();
    await first.turns(turns.slice(0, 3));
    await first.leave();
    const again = open();
    await again.answer('Your answers of', 'Start over');
    await again.asked('Apps to install');
    expect(existsSync(folder)).toBe(false);
    await again.leave();
    expect(existsSync(folder)).toBe(false);
  });
});

test('the first question offers no way back', async () => {
  const run = open(['--apps', 'snac']);
  expect(await run.answer('Domain of snac', '<')).toBe('This is the first question.');
  await run.answer('Domain of snac', 'social.example.org');
  await run.asked('Your user name on snac');
});

test('the domain of another app is refused where it is typed', async () => {
  const run = open(['--apps', 'snac,mastodon']);
  await run.turns([
    { question: 'Domain of snac', text: 'social.example.org' },
    { question: 'Your user name on snac', text: 'anna' },
    { question: 'Your e-mail address', text: 'anna@example.org' },
  ]);
  expect(await run.answer('Domain of Mastodon', 'Social.example.org')).toBe(
    'This is the domain of snac. Each app needs its own.',
  );
});

test('a conflict found at Go is shown directly above the menu', async () => {
  const run = open();
  await run.turns(
    LONG.map((turn) => (turn.question === 'Port' ? { ...turn, text: '2525' } : turn)).filter(
      ({ question }) => question !== 'What now?',
    ),
  );
  await run.answer('What now?', 'Go');
  await run.asked('What now?');
  const after = run.written().split('snac uses STARTTLS on port 587 only')[1];
  // The whole review in between would push it off a small screen.
  expect(after).not.toContain('Your answers:');
});

test('a known mail provider: server, port and encryption are not asked, and shown', async () => {
  const run = open();
  const i = LONG.findIndex(({ question }) => question === 'Mail provider');
  await run.turns([...LONG.slice(0, i), { question: 'Mail provider', entry: 'Fastmail' }]);
  await run.asked('User name for the mail server');
  expect(run.words()).toContain('create an app password for mail');
  const known = ['Mail server', 'Port', 'Encryption'];
  await run.turns(LONG.slice(i + 1).filter(({ question }) => ![...known, 'What now?'].includes(question)));
  await run.asked('What now?');
  expect(known.map((question) => run.times(question))).toEqual([0, 0, 0]);
  expect(run.written()).toMatch(/Mail server +smtp\.fastmail\.com .*\n +Port +465 .*\n +Encryption +tls/);
});

test('a known bucket provider: its address and ACL are not asked; what else it needs is shown', async () => {
  const run = open(['--apps', 'mastodon', '--media', 's3']);
  const i = BUCKET.findIndex(({ question }) => question === 'Provider of the bucket');
  await run.turns([...BUCKET.slice(1, 4), { question: 'Provider of the bucket', entry: 'Backblaze B2' }]);
  await run.asked('Region of the bucket');
  expect(run.words()).toContain('use an application key, not the master key');
  const known = ['Address of the S3 interface', 'How objects become public'];
  await run.turns(BUCKET.slice(i + 1).filter(({ question }) => ![...known, 'What now?'].includes(question)));
  await run.asked('What now?');
  expect(known.map((question) => run.times(question))).toEqual([0, 0]);
  expect(reviewed(run, 'Provider of the bucket')).toBe('b2');
  expect(reviewed(run, 'How objects become public')).toMatch(/^none/);
});

test('a part of the address is missing: the whole address is asked', async () => {
  const run = open(['--apps', 'mastodon', '--media', 's3']);
  await run.turns([...BUCKET.slice(1, 4), { question: 'Provider of the bucket', entry: 'Cloudflare R2' }]);
  await run.turns([{ question: 'Account ID at the provider', text: '' }]);
  await run.asked('Address of the S3 interface');
});

test('a question with a single choice is not asked', async () => {
  const run = open(['--apps', 'pixelfed', '--media', 's3']);
  await run.turns([
    ...ANOTHER.slice(1, 4),
    ...BUCKET.slice(5, 13),
    { question: 'Outgoing mail', entry: 'No mail yet' },
    { question: 'Back up to', text: '' },
  ]);
  await run.asked('Certificates');
  expect(run.times('How objects become public')).toBe(0);
});

/** Another valid answer, by key; for a list the last entry. */
const OTHER: Readonly<Record<string, string>> = {
  admin: 'berta',
  email: 'berta@example.net',
  'web-domain': 'web.example.net',
  title: 'Our server',
  locale: 'de',
  release: '4.9.9',
  host: 'mx.example.net',
  port: '2525',
  user: 'berta',
  password: 'a horse and four',
  from: 'berta@example.net',
  directory: 'https://other.example.net/dir',
  'directory-root': 'other.pem',
  ca: 'own.pem',
  proxies: '192.0.2.7',
  name: 'other',
  bind: '127.0.0.9',
  account: '0123456789abcdef0123456789abcdef',
  endpoint: 'https://s3.example.net',
  region: 'auto',
  bucket: 'other-media',
  'access-key': 'AK2',
  to: '/mnt/other',
  's3-key': 'AK3',
  's3-secret': 'another+horse',
  every: '12',
  keep: '3/2/1',
  limit: '500',
  dumps: '/srv/other',
  before: 'true',
  after: 'true',
  ping: 'https://ping.example.net/1',
  'media-days': '30',
  'secret-key': 'a+horse',
  alias: 'media.example.net',
  description: 'A place for pictures',
  rules: 'Be kind; No advertising',
  banner: '/srv/banner.png',
  avatar: '/srv/avatar.png',
  'database-url': 'postgresql://other:a+horse@db.example.net:5432/other?sslmode=require',
  'redis-url': 'rediss://default:a+horse@redis.example.net:6379/0',
  'photo-size': '20',
  photos: '8',
  'database-ca': 'ca.pem',
};
/** @see OTHER */
const other = ({ key, choices }: Question): string =>
  choices?.at(-1)?.name ??
  // Each app needs its own.
  /^apps\.(\w+)\.domain$/.exec(key)?.[1]?.concat('.example.net') ??
  (key.endsWith('dir') ? `/srv/${key}` : undefined) ??
  OTHER[key.split('.').at(-1) as string] ??
  'mirror.example.net/image:1';

/** Answers questions until the review is shown again; follow-ups get their default, or another answer. */
async function untilReview(run: Dialogue): Promise<void> {
  for (;;) {
    const { message, initial, enter } = await run.next();
    if (message === 'What now?') return;
    const row = ALL_QUESTIONS.find((one) => one.message === message) as Question;
    expect(await enter(row.choices === undefined && initial === '' ? other(row) : '')).toBeUndefined();
  }
}

describe.each(names)('every change from the review: %s', (name) => {
  const turns: readonly Turn[] = CONVERSATIONS[name];
  const id = idOf(turns);
  const rows = ALL_QUESTIONS.filter(
    ({ key }) =>
      (!key.startsWith('apps.') && !key.startsWith('images.')) ||
      key.startsWith(`apps.${id}.`) ||
      Object.keys(appOf(id).images).some((image) => key === `images.${image}`),
  ).filter(({ key, file }) => key !== 'apps' && !file);

  test('is offered, can be cancelled, and takes effect', async () => {
    const run = open([], {});
    await run.turns(turns);
    await run.asked('What now?');
    let seen = 0;
    for (const row of rows) {
      const inMore = ['more', 'size'].includes(row.topic);
      const before = reviewed(run, row.message);
      if (before === '') continue; // it does not apply to these answers
      seen++;
      const pick = async (): Promise<void> => {
        await run.answer('What now?', inMore ? 'More' : `Change: ${row.message}`);
        if (inMore) await run.answer('Which setting', `${row.message}:`);
        await run.asked(row.message);
      };
      await pick();
      await run.answer(row.message, '<');
      await run.asked('What now?');
      expect(reviewed(run, row.message)).toBe(before);

      await pick();
      expect(await run.answer(row.message, other(row))).toBeUndefined();
      if (row.confirm) await run.answer(`${row.message}, again`, other(row));
      await untilReview(run);
      const wanted = row.parse(row.choices?.at(-1)?.value ?? other(row));
      expect(wanted).toHaveProperty('value');
      if ('value' in wanted)
        expect(reviewed(run, row.message)).toBe(row.secret ? '[hidden]' : String(wanted.value));
    }
    expect(seen).toBeGreaterThan(10);
    expect(await run.leave()).toBe(130);
    expect(run.written()).not.toContain('horse');
    expect(readFileSync(join(folder, '.fedi/conversation.json'), 'utf8')).not.toContain('horse');
  });

  test('another app, and several', async () => {
    const run = open();
    await run.turns(turns);
    await run.answer('What now?', 'Change: Apps to install');
    expect(await run.answer('Apps to install', '-')).toContain('Name at least one of');
    await run.answer('Apps to install', 'Mastodon,snac');
    await untilReview(run);
    expect(reviewed(run, 'Apps to install')).toBe(
      APP_IDS.filter((one) => ['snac', 'mastodon'].includes(one)).join(','),
    );
  });
});
