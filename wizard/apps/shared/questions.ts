/** Questions that several apps share. */
import { oneOf, parseLine, parseNewPassword } from '../../config/parse.ts';
import type { Question } from '../../config/question.ts';

/** A password that the admin chooses, for apps with a step that can set it. */
export function passwordQuestion(id: string, name: string): Question {
  return {
    key: `apps.${id}.password`,
    topic: 'more',
    message: `Your password on ${name}`,
    help: 'If empty, one is generated and shown once. Used in the first run only; later, change it in the web interface.',
    parse: parseNewPassword,
    secret: true,
    confirm: true,
    optional: true,
  };
}

export function titleQuestion(id: string): Question {
  return {
    key: `apps.${id}.title`,
    topic: 'more',
    message: 'Name of the server',
    help: 'Shown on its front page. Default: its domain.',
    parse: parseLine,
    initial: (answers) => answers[`apps.${id}.domain`],
  };
}

/** @param more what the answer means in this app; a sentence. */
export function registrationsQuestion(id: string, more: string): Question {
  return {
    key: `apps.${id}.registrations`,
    topic: 'more',
    message: 'Who may sign up',
    help: `Default \`none\`: nobody; \`approved\`: people you approve; \`open\`: anyone. ${more}`,
    ...oneOf([
      { value: 'none', name: 'Nobody' },
      { value: 'approved', name: 'People you approve' },
      { value: 'open', name: 'Anyone' },
    ]),
    initial: () => 'none',
  };
}

export function localeQuestion(id: string, message: string, more: string): Question {
  return {
    key: `apps.${id}.locale`,
    topic: 'more',
    message,
    help: `Default \`en\`, English; ${more}`,
    parse: (text) =>
      /^[a-z]{2,3}(-[A-Za-z]{2,4})?$/.test(text.trim())
        ? { value: text.trim() }
        : { problem: 'Not a language code such as en, de or pt-BR.' },
    initial: () => 'en',
  };
}
