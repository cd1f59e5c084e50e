/**
 * What has to work at every question there is, made from the table of questions: back, help, wrong input, leaving and
 * taking up again, and a change from the review. Nothing here starts a container.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { APP_IDS, appOf } from '../../wizard/apps/index.ts';
import { flagOf, variableOf } from '../../wizard/config/question.ts';
import type { Question } from '../../wizard/config/question.ts';
import { ALL_QUESTIONS } from '../../wizard/answers/questions.ts';
import { asked, closeTerminals, terminal } from '../support/terminal.ts';
import type { Terminal, TerminalOptions } from '../support/terminal.ts';
import { ANOTHER, BUCKET, DIRECTORY, LONG, isSecret, place, talk } from './conversation.ts';
import type { Turn } from './conversation.ts';

const site = place('questions', 45);
afterEach(() => {
  closeTerminals();
  rmSync(site.folder, { recursive: true, force: true });
});
afterAll(() => site.remove());

const open = (argv: readonly string[] = [], options: TerminalOptions = {}): Terminal =>
  terminal(argv, { cwd: site.cwd, env: site.env, ...options });

const CONVERSATIONS = { LONG, BUCKET, DIRECTORY, ANOTHER } as const;
const names = Object.keys(CONVERSATIONS) as (keyof typeof CONVERSATIONS)[];

/** The row behind a question of a conversation about that app. */
const rowOf = (message: string, id: string): Question =>
  ALL_QUESTIONS.find(
    ({ key, message: text }) =>
      text === message && (!key.startsWith('apps.') || key.startsWith(`apps.${id}.`)),
  ) as Question;

const idOf = (turns: readonly Turn[]): string =>
  turns === BUCKET ? 'mastodon' : turns === ANOTHER ? 'pixelfed' : 'snac';

/** The words on the screen, however they are broken into lines. */
const words = (run: Terminal): string => run.screen().replaceAll(/\s+/g, ' ');

/** Types a key that stands for something else than an answer; in a list it leads to its entry first. */
async function press(run: Terminal, { entry }: Turn, key: '<' | '?'): Promise<void> {
  run.type(key);
  if (entry !== undefined) await run.until(new RegExp(`^❯ \\${key} `, 'm'));
  run.key('enter');
}

const count = (run: Terminal, text: string): number => words(run).split(text).length - 1;

test('the conversations reach every question that is asked', () => {
  const reached = new Set(
    Object.values(CONVERSATIONS).flatMap((turns) => turns.map(({ question }) => question)),
  );
  const aside = (question: Question): boolean =>
    ['more', 'size'].includes(question.topic) || question.file === true;
  expect(
    ALL_QUESTIONS.filter((one) => !aside(one) && !reached.has(one.message)).map(({ key }) => key),
  ).toEqual([]);
});

describe.each(names)('%s', (name) => {
  const turns: readonly Turn[] = CONVERSATIONS[name];

  test('the one line that says how', async () => {
    const run = open();
    await run.until(asked('Which server'));
    expect(run.screen()).toContain('? explains more, < goes back to the one before. Ctrl-C leaves.');
  });

  test('back from every question, and on again', async () => {
    const run = open();
    for (const [i, turn] of turns.entries()) {
      await run.until(asked(turn.question));
      const before = turns[i - 1];
      if (before !== undefined && turn.question !== 'What now?') {
        await press(run, turn, '<');
        // What was said there is what enter says again.
        const text = isSecret(before) ? '' : (before.text ?? '');
        await run.until(asked(text === '' ? before.question : `${before.question} (${text})`));
        if (isSecret(before)) run.type(before.text ?? '');
        run.key('enter');
        await run.until(asked(turn.question));
      }
      await talk(run, [turn]);
    }
    for (const { question, text } of turns)
      if (text !== undefined && text !== '' && !isSecret({ question }))
        expect(run.screen()).toMatch(
          new RegExp(`${question}\\s+${text.replaceAll(/[.+/]/g, String.raw`\$&`)}$`, 'm'),
        );
  });

  test('there is nothing before the first', async () => {
    const run = open(['--apps', 'snac']);
    await run.until(asked('Domain of snac'));
    run.type('<');
    run.key('enter');
    await run.until('This is the first question.');
    run.key('ctrl-u');
    await talk(run, [{ question: 'Domain of snac', text: 'social.example.org' }]);
    await run.until(asked('Your user name on snac'));
  });

  test('help at every question', async () => {
    const run = open();
    for (const turn of turns.filter(({ question }) => question !== 'What now?')) {
      const row = rowOf(turn.question, idOf(turns));
      await run.until(asked(turn.question));
      await press(run, turn, '?');
      await run.until(() => words(run).includes(`Without questions: --${flagOf(row)}, ${variableOf(row)}`));
      expect(words(run)).toContain(row.help);
      if (row.more !== undefined) expect(words(run)).toContain(row.more);
      for (const choice of row.choices ?? []) expect(words(run)).toContain(choice.name);
      await talk(run, [turn]);
    }
    await run.until(asked('What now?'));
  });

  test('wrong input at every question', async () => {
    const run = open();
    for (const turn of turns) {
      for (const [text, said] of turn.wrong ?? []) {
        await run.answer(turn.question, text);
        await run.until(() => words(run).includes(`> ${said}`) || words(run).includes(said));
      }
      await talk(run, [turn]);
    }
    await run.until(asked('What now?'));
  });

  const asksNothingAgain = turns.map((turn, i) => ({ ...turn, i }));
  for (const [way, code] of [
    ['ctrl-c', 130],
    ['SIGHUP', 129],
  ] as const) {
    test.for(asksNothingAgain)(`${way} at "$question", and on from there`, async ({ question, i }) => {
      const run = open();
      await talk(run, turns.slice(0, i));
      await run.until(asked(question));
      if (way === 'ctrl-c') run.key('ctrl-c');
      else run.signal(way);
      expect(await run.exit).toEqual({ code, signal: 0 });
      expect(run.screen()).toMatch(/^Cancelled\. Nothing was changed\.$/m);
      const again = open();
      if (i === 0) {
        await again.until(asked(question));
        expect(again.screen()).not.toContain('are still here');
        return;
      }
      await again.choose('Your answers of', 'Go on with them');
      for (const turn of turns.slice(0, i).filter(isSecret)) await talk(again, [turn]);
      await again.until(asked(question));
      for (const turn of turns.slice(0, i))
        if (!isSecret(turn)) expect(again.screen()).not.toContain(`✔ ${turn.question}`);
    });
  }

  test('begun anew, nothing of it is left', async () => {
    const run = open();
    await talk(run, turns.slice(0, 3));
    await run.until(asked(turns[3]?.question ?? ''));
    run.key('ctrl-c');
    await run.exit;
    const again = open();
    await again.choose('Your answers of', 'Begin anew');
    await again.until(asked('Which server'));
    expect(existsSync(site.folder)).toBe(false);
    again.key('ctrl-c');
    await again.exit;
    expect(existsSync(site.folder)).toBe(false);
  });
});

/** Another answer that is fine, by key; of a list the last entry. */
const OTHER: Readonly<Record<string, string>> = {
  domain: 'other.example.net',
  admin: 'berta',
  email: 'berta@example.net',
  'web-domain': 'web.example.net',
  title: 'A name of its own',
  locale: 'de',
  release: '4.9.9',
  host: 'mx.example.net',
  port: '2525',
  user: 'berta',
  password: 'a horse and four',
  from: 'berta@example.net',
  directory: 'https://other.example.net/dir',
  'directory-root': 'other.pem',
  proxies: '192.0.2.7',
  name: 'other',
  bind: '127.0.0.9',
  endpoint: 'https://s3.example.net',
  region: 'auto',
  bucket: 'other-media',
  'access-key': 'AK2',
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
};
const other = ({ key, choices }: Question): string =>
  choices?.at(-1)?.name ??
  (key.endsWith('dir') ? `/srv/${key}` : undefined) ??
  OTHER[key.split('.').at(-1) as string] ??
  'mirror.example.net/image:1';

/** The value that the newest review shows. */
const reviewed = (run: Terminal, message: string): string =>
  run
    .screen()
    .slice(run.screen().lastIndexOf('The answers:'))
    .split('\n')
    .find((line) => line.startsWith(`  ${message}  `))
    ?.slice(message.length + 2)
    .trim() ?? '';

/** Answers what is asked until the review is there again; follow-ups get their default, or another answer. */
async function untilReview(run: Terminal): Promise<void> {
  const answered = (message: string): number => run.screen().split(`\n✔ ${message}`).length;
  for (;;) {
    const screen = await run.until(/^\? .*/m);
    const now = /^\? (.*)$/m.exec(screen)?.[1] ?? '';
    if (now.startsWith('What now?')) return;
    const row = ALL_QUESTIONS.filter(({ message }) => now.startsWith(message)).toSorted(
      (a, b) => b.message.length - a.message.length,
    )[0] as Question;
    const before = answered(row.message);
    if (row.choices === undefined && !/\(.+\)\s*$/.test(now)) run.type(other(row));
    run.key('enter');
    await run.until(() => answered(row.message) > before);
  }
}

const DONE: readonly [name: string, turns: readonly Turn[]][] = [
  ['LONG', LONG],
  ['BUCKET', BUCKET],
  ['DIRECTORY', DIRECTORY],
  ['ANOTHER', ANOTHER],
];

describe.each(DONE)('every change from the review: %s', (_, turns) => {
  const id = idOf(turns);
  const rows = ALL_QUESTIONS.filter(
    ({ key }) =>
      (!key.startsWith('apps.') && !key.startsWith('images.')) ||
      key.startsWith(`apps.${id}.`) ||
      Object.keys(appOf(id).images).some((image) => key === `images.${image}`),
  ).filter(({ key, file }) => key !== 'apps' && !file);

  // A screen of thousands of lines is read again and again.
  test('is there, can be left, and is done', { timeout: 400_000 }, async () => {
    const run = open([], {
      rows: 60,
      cols: 200,
      env: Object.fromEntries(Object.entries(site.env).filter(([name]) => !name.startsWith('FEDI_'))),
    });
    await talk(run, turns);
    await run.until(asked('What now?'));
    let seen = 0;
    for (const row of rows) {
      const inMore = ['more', 'size'].includes(row.topic);
      if (reviewed(run, row.message) === '') continue; // it does not apply to these answers
      seen++;
      const pick = async (): Promise<void> => {
        await run.choose('What now?', inMore ? 'More' : `Change: ${row.message}`);
        if (inMore) await run.choose('Which one', `${row.message}:`);
        await run.until(asked(row.message));
      };
      const reviews = (): number => count(run, 'The answers:');
      const before = [reviewed(run, row.message), reviews()] as const;
      await pick();
      await press(run, row.choices ? { question: '', entry: '' } : { question: '' }, '<');
      await run.until(() => reviews() > before[1] && asked('What now?').test(run.screen()));
      expect(reviewed(run, row.message)).toBe(before[0]);

      await pick();
      const answered = count(run, `✔ ${row.message}`);
      if (row.choices) await run.choose(row.message, other(row));
      else await run.answer(row.message, other(row));
      if (row.twice) await run.answer(`${row.message}, again`, other(row));
      await run.until(() => count(run, `✔ ${row.message}`) > answered + (row.twice ? 1 : 0));
      await untilReview(run);
      const wanted = row.parse(row.choices?.at(-1)?.value ?? other(row));
      expect(wanted).toHaveProperty('value');
      if ('value' in wanted)
        expect(reviewed(run, row.message)).toBe(row.secret ? '[hidden]' : String(wanted.value));
    }
    expect(seen).toBeGreaterThan(10);
    run.key('ctrl-c');
    expect((await run.exit).code).toBe(130);
    expect(run.raw()).not.toContain('horse');
    expect(readFileSync(join(site.folder, '.fedi/conversation.json'), 'utf8')).not.toContain('horse');
  });

  test('another server, and several', async () => {
    const run = open([], { rows: 60 });
    await talk(run, turns);
    await run.choose('What now?', 'Change: Which server');
    await run.choose('Which server', 'Several of them');
    await run.until('✔ Which server Several of them');
    await run.answer('Which server', 'snac, mastodn');
    await run.until('mastodn: It is one of');
    const answered = count(run, '✔ Which server');
    await run.answer('Which server', 'mastodon,snac');
    await run.until(() => count(run, '✔ Which server') > answered);
    await untilReview(run);
    expect(reviewed(run, 'Which server')).toBe(
      APP_IDS.filter((one) => ['snac', 'mastodon'].includes(one)).join(','),
    );
  });
});
