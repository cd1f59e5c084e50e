/** The table of inputs of the unit tests, typed by hand: the prompt says the same as flag, variable and file. */
import { rmSync } from 'node:fs';
import { afterAll, afterEach, expect, test } from 'vitest';
import { ALL_QUESTIONS } from '../../wizard/answers/questions.ts';
import type { Question } from '../../wizard/config/question.ts';
import { asked, closeTerminals, terminal } from '../support/terminal.ts';
import type { Terminal } from '../support/terminal.ts';
import { ROWS } from '../unit/answers/inputs.ts';
import type { Row } from '../unit/answers/inputs.ts';
import { place } from './conversation.ts';

const site = place('inputs', 47);
afterEach(() => {
  closeTerminals();
  rmSync(site.folder, { recursive: true, force: true });
});
afterAll(() => site.remove());

/** Everything that has to be answered, so that the review comes at once and any row can be changed from there. */
const ANSWERED = {
  FEDI_APPS: 'snac',
  FEDI_DOMAIN: 'rest.example.org',
  FEDI_ADMIN: 'rest',
  FEDI_EMAIL: 'rest@example.org',
  FEDI_MAIL_MODE: 'smtp',
  FEDI_MAIL_HOST: 'mail.example.org',
  FEDI_MAIL_PORT: '465',
  FEDI_MAIL_SECURITY: 'tls',
  FEDI_MAIL_USER: 'rest',
  FEDI_MAIL_PASSWORD: 'correct horse',
  FEDI_MAIL_FROM: 'rest@example.org',
  FEDI_TLS_MODE: 'internal',
};

/** What keys can say: a control character is another key, and nothing at all takes what stands there. */
const typed = ({ text }: Row): boolean => text.trim() !== '' && text.length < 600 && !/\p{Cc}/u.test(text);

const questions = ALL_QUESTIONS.filter(
  ({ key, choices }) =>
    ROWS.some((row) => row.key === key && typed(row)) && (choices === undefined || key === 'apps'),
);

let tried = 0;
afterAll(() => console.log(`${tried} inputs typed at ${questions.length} prompts`));

const reviews = (run: Terminal): number => run.screen().split('The answers:').length - 1;

async function begin(run: Terminal, { message, topic, other }: Question): Promise<void> {
  const aside = topic === 'more' || topic === 'size';
  await run.choose('What now?', aside ? 'More' : `Change: ${message}`);
  if (aside) await run.choose('Which one', `${message}:`);
  if (other !== undefined) {
    const before = run.screen().split(`✔ ${message} ${other}`).length;
    await run.choose(message, other);
    await run.until(() => run.screen().split(`✔ ${message} ${other}`).length > before);
  }
  await run.until(asked(message));
}

test.for(questions.map((question) => ({ question, key: question.key })))(
  '$key',
  async ({ question, key }) => {
    const rows = ROWS.filter((row) => row.key === key && typed(row));
    const run = terminal([], { cwd: site.cwd, env: { ...site.env, ...ANSWERED }, cols: 700, rows: 50 });
    await begin(run, question);
    for (const { text, says } of rows.filter((row) => row.says !== undefined)) {
      run.key('ctrl-u');
      await run.until(() => !/^> /m.test(run.screen()));
      run.type(text);
      run.key('enter');
      // Until it is there: the screen may still show how the row before ended.
      await run.until(() => /^> .*$/m.exec(run.screen())?.[0].includes(says ?? '') === true);
      tried++;
    }
    run.key('ctrl-u');
    for (const [i, { text, value }] of rows.filter((row) => row.says === undefined).entries()) {
      if (i > 0) await begin(run, question);
      const before = reviews(run);
      run.type(text);
      run.key('enter');
      if (question.twice) {
        await run.until(asked(`${question.message}, again`));
        run.type(text);
        run.key('enter');
      }
      // What follows from it is asked with a default of its own.
      const follows = ALL_QUESTIONS.find((one) => one.follows === key);
      if (follows !== undefined) {
        await run.until(() => reviews(run) > before || asked(follows.message).test(run.screen()));
        if (reviews(run) === before) run.key('enter');
      }
      await run.until(() => reviews(run) > before && asked('What now?').test(run.screen()));
      const shown = run.screen().slice(run.screen().lastIndexOf('The answers:'));
      const line = shown.split('\n').find((one) => one.startsWith(`  ${question.message}  `)) ?? '';
      const said = question.secret ? '[hidden]' : String(value);
      expect(line.slice(question.message.length + 2).trimStart(), JSON.stringify(text)).toMatch(
        new RegExp(`^${said.replaceAll(/[.?*+^$()[\]{}|\\/]/g, String.raw`\$&`)}( \\(|$)`),
      );
      tried++;
    }
    run.key('ctrl-c');
    expect((await run.exit).code).toBe(130);
  },
);
