/**
 * One session key by key: back, help, invalid input, interruption and continuation. unit/ask/questions does the same at every
 * question, without a terminal. No test here starts a container.
 */
import { existsSync, rmSync } from 'node:fs';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { flagOf, variableOf } from '../../wizard/config/question.ts';
import type { Question } from '../../wizard/config/question.ts';
import { ALL_QUESTIONS } from '../../wizard/answers/questions.ts';
import { asked, closeTerminals, terminal } from '../support/terminal.ts';
import type { Terminal, TerminalOptions } from '../support/terminal.ts';
import { LONG, isSecret } from '../support/conversations.ts';
import { place, talk } from './place.ts';
import type { Turn } from '../support/conversations.ts';

const site = place('questions', 45);
afterEach(() => {
  closeTerminals();
  rmSync(site.folder, { recursive: true, force: true });
});
afterAll(() => site.remove());

const open = (argv: readonly string[] = [], options: TerminalOptions = {}): Terminal =>
  terminal(argv, { cwd: site.cwd, env: site.env, ...options });

const turns: readonly Turn[] = LONG;

/** The row of a question in a session for snac. */
const rowOf = (message: string): Question =>
  ALL_QUESTIONS.find(
    ({ key, message: text }) =>
      text === message && (!key.startsWith('apps.') || key.startsWith('apps.snac.')),
  ) as Question;

/** The text on the screen, independent of line breaks. */
const words = (run: Terminal): string => run.screen().replaceAll(/\s+/g, ' ');

/** Types a key that is no answer (help or back); in a list it selects its entry first. */
async function press(run: Terminal, { entry, entries }: Turn, key: '<' | '?'): Promise<void> {
  run.type(key);
  // In a checkbox it works at once.
  if (entries !== undefined) return;
  if (entry !== undefined) await run.until(new RegExp(`^❯ \\${key} `, 'm'));
  run.key('enter');
}

describe('key by key', () => {
  test('the line that explains the keys', async () => {
    const run = open();
    await run.until(asked('Apps to install'));
    expect(run.screen()).toContain('? shows more help, < goes back. Ctrl-C quits.');
  });

  test('goes back from every question, and forward again', async () => {
    const run = open();
    for (const [i, turn] of turns.entries()) {
      await run.until(asked(turn.question));
      const before = turns[i - 1];
      if (before !== undefined && turn.question !== 'What now?') {
        await press(run, turn, '<');
        // Enter repeats the earlier answer.
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

  test('the first question offers no way back', async () => {
    const run = open(['--apps', 'snac']);
    await run.until(asked('Domain of snac'));
    run.type('<');
    run.key('enter');
    await run.until('This is the first question.');
    run.key('ctrl-u');
    await talk(run, [{ question: 'Domain of snac', text: 'social.example.org' }]);
    await run.until(asked('Your user name on snac'));
  });

  test('shows help at every question', async () => {
    const run = open();
    for (const turn of turns.filter(({ question }) => question !== 'What now?')) {
      const row = rowOf(turn.question);
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

  test('refuses invalid input at every question', async () => {
    const run = open();
    for (const turn of turns) {
      for (const [text, expected] of turn.wrong ?? []) {
        await run.answer(turn.question, text);
        await run.until(() => words(run).includes(`> ${expected}`) || words(run).includes(expected));
      }
      await talk(run, [turn]);
    }
    await run.until(asked('What now?'));
  });

  // The first, a text, lists, a secret, and the review.
  const LEFT = ['Apps to install', 'Your user name', 'Encryption', 'Password', 'What now?'];
  const left = turns
    .map((turn, i) => ({ ...turn, i }))
    .filter(({ question }) => LEFT.some((start) => question.startsWith(start)));
  test('each message belongs to a question', () => {
    expect(left.length).toBe(LEFT.length);
  });
  for (const [way, code] of [
    ['ctrl-c', 130],
    ['SIGHUP', 129],
  ] as const) {
    test.for(left)(`${way} at "$question", and continued there`, async ({ question, i }) => {
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
        expect(again.screen()).not.toContain('UTC were saved');
        return;
      }
      await again.choose('Your answers of', 'Continue with them');
      for (const turn of turns.slice(0, i).filter(isSecret)) await talk(again, [turn]);
      await again.until(asked(question));
      for (const turn of turns.slice(0, i))
        if (!isSecret(turn)) expect(again.screen()).not.toContain(`✔ ${turn.question}`);
    });
  }

  test('starting over discards the saved answers', async () => {
    const run = open();
    await talk(run, turns.slice(0, 3));
    await run.until(asked(turns[3]?.question ?? ''));
    run.key('ctrl-c');
    await run.exit;
    const again = open();
    await again.choose('Your answers of', 'Start over');
    await again.until(asked('Apps to install'));
    expect(existsSync(site.folder)).toBe(false);
    again.key('ctrl-c');
    await again.exit;
    expect(existsSync(site.folder)).toBe(false);
  });

  test('another app, and several', async () => {
    const run = open([], { rows: 60 });
    await talk(run, turns);
    await run.choose('What now?', 'Change: Apps to install');
    await run.check('Apps to install', []);
    await run.until('Name at least one of snac, mastodon, pixelfed.');
    await run.check('Apps to install', ['snac', 'Mastodon']);
    await run.until('✔ Apps to install snac, mastodon');
    await run.until(asked('Domain of Mastodon'));
  });
});
