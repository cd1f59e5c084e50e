/** Questions that several apps ask alike. */
import { parseChoice, parseLine, parseNewPassword } from '../config/parse.ts';
import type { Question } from '../config/question.ts';

/** The admin's own choice of a password, for an app whose steps can put it in. */
export function passwordQuestion(id: string, name: string): Question {
  return {
    key: `apps.${id}.password`,
    topic: 'more',
    message: `Your password on ${name}`,
    help: 'Left out, one is made and shown once. It counts in the first run; later it is changed in the web interface.',
    parse: parseNewPassword,
    secret: true,
    twice: true,
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

/** @param more what comes of the answer in this app; a sentence. */
export function registrationsQuestion(id: string, more: string): Question {
  return {
    key: `apps.${id}.registrations`,
    topic: 'more',
    message: 'Who may sign up',
    help: `Default \`none\`: nobody; \`approved\`: you approve each; \`open\`: anybody. ${more}`,
    choices: [
      { value: 'none', name: 'Nobody' },
      { value: 'approved', name: 'Whom you approve' },
      { value: 'open', name: 'Anybody' },
    ],
    parse: parseChoice(['none', 'approved', 'open']),
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
