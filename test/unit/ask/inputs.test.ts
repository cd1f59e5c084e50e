/** The table of inputs at the prompts: the same results as by flag, variable and file. */
import { join } from 'node:path';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { ALL_QUESTIONS } from '../../../wizard/answers/questions.ts';
import { dialogue, endDialogue } from '../../support/dialogue.ts';
import { tempFolder } from '../../support/temp.ts';
import { ROWS } from '../answers/inputs.ts';
import type { Row } from '../answers/inputs.ts';

vi.mock('@inquirer/prompts', () => import('../../support/prompts.ts'));
vi.mock('node:tty', () => ({ isatty: () => true }));
afterEach(endDialogue);

/** All required answers, so that the review follows at once and any row can be changed there. */
const ANSWERED = {
  FEDI_NAME: 'test-inputs',
  FEDI_BIND: '127.0.0.47',
  FEDI_APPS: 'snac',
  FEDI_DOMAIN: 'rest.example.org',
  FEDI_ADMIN: 'rest',
  FEDI_EMAIL: 'rest@example.org',
  FEDI_MAIL_MODE: 'smtp',
  FEDI_MAIL_PROVIDER: 'other',
  FEDI_MAIL_HOST: 'mail.example.org',
  FEDI_MAIL_PORT: '465',
  FEDI_MAIL_SECURITY: 'tls',
  FEDI_MAIL_USER: 'rest',
  FEDI_MAIL_PASSWORD: 'correct horse',
  FEDI_MAIL_FROM: 'rest@example.org',
  FEDI_BACKUP_TO: '/mnt/backup',
  FEDI_BACKUP_S3_KEY: 'AK',
  FEDI_BACKUP_S3_SECRET: 'correct+horse',
  FEDI_TLS_MODE: 'internal',
  FEDI_STATUS_PAGE: 'on',
  FEDI_MONITORING_MODE: 'full',
};

/** Text that can be typed: a line break ends the line, and empty input selects the default. */
const typed = ({ text }: Row): boolean => text.trim() !== '' && !/[\r\n]/.test(text);

const questions = ALL_QUESTIONS.filter(
  ({ key, choices }) => choices === undefined && ROWS.some((row) => row.key === key && typed(row)),
);

let tried = 0;
afterAll(() => {
  expect(tried).toBeGreaterThan(200);
});

test.for(questions.map((question) => ({ question, key: question.key })))(
  '$key',
  async ({ question: { message, topic, confirm, secret, key } }) => {
    const rows = ROWS.filter((row) => row.key === key && typed(row));
    const run = dialogue(['--dir', join(tempFolder(), 'fedi')], ANSWERED);
    const begin = async (): Promise<void> => {
      const advanced = topic === 'more' || topic === 'size';
      await run.answer('What now?', advanced ? 'More' : `Change: ${message}`);
      if (advanced) await run.answer('Which setting', `${message}:`);
    };
    await begin();
    for (const { text, error } of rows.filter((row) => row.error !== undefined)) {
      expect(await run.answer(message, text), JSON.stringify(text)).toContain(error);
      tried++;
    }
    for (const [i, { text, value }] of rows.filter((row) => row.error === undefined).entries()) {
      if (i > 0) await begin();
      expect(await run.answer(message, text), JSON.stringify(text)).toBeUndefined();
      if (confirm) await run.answer(`${message}, again`, text);
      // Questions that depend on it have a default.
      const now = await run.next();
      if (ALL_QUESTIONS.some((one) => one.derivedFrom?.includes(key) && one.message === now.message))
        await now.enter('');
      await run.asked('What now?');
      const shown = run.written().slice(run.written().lastIndexOf('Your answers:'));
      const line = shown.split('\n').find((one) => one.startsWith(`  ${message}  `)) ?? '';
      // A non-ASCII name is shown in both forms.
      expect(
        line
          .slice(message.length + 2)
          .replace(/ \(.*\)$/, '')
          .trim(),
        JSON.stringify(text),
      ).toBe(secret ? '[hidden]' : String(value));
      tried++;
    }
    expect(await run.leave()).toBe(130);
  },
);
