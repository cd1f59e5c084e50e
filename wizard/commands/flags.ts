/** Flags that several commands take. A command defines its other flags itself. */
import type { Flag } from './command.ts';

/** Flags of every command. */
export const COMMON: readonly Flag[] = [
  { name: 'dir', value: 'DIR', path: 'dir', about: 'Site directory (default: this one, or ./fedi).' },
  { name: 'json', about: 'Print events as JSON lines.' },
  { name: 'yes', short: ['y'], about: 'Ask nothing; use the defaults. Removals still need a confirmation.' },
  { name: 'debug', about: 'Show stack traces.' },
  { name: 'help', short: ['h'], about: 'Show the help of the command.' },
  { name: 'version', short: ['v', 'V'], about: 'Show the version.' },
];

/** Of every command that accepts answers. */
export const ANSWERS: Flag = {
  name: 'answers',
  value: 'FILE',
  path: 'file',
  about: 'Read answers from a file in the form of env.example; - is standard input.',
};

export const SKIP_CHECK: Flag = {
  name: 'skip-check',
  value: 'ID,…',
  multiple: true,
  about: 'Skip these checks of the host.',
};

export const CONFIRM: Flag = {
  name: 'confirm',
  value: 'NAME',
  about: 'Confirm with the name of the site, app or secret.',
};

export const EDITED: Flag = {
  name: 'edited',
  value: 'WORD',
  choices: ['keep', 'replace', 'abort'],
  about: 'What to do with files changed by hand (default: ask, or abort).',
};

/** For a change of the site that cannot be previewed. */
export const CHANGE: readonly Flag[] = [
  EDITED,
  SKIP_CHECK,
  {
    name: 'swap',
    value: 'GB',
    form: { pattern: /^\d{1,2}$/, is: 'a size in GB, up to 99' },
    about: 'Create a swap file of this size if there is none (as root).',
  },
  CONFIRM,
];

/** Of commands that apply answers to a site. */
export const APPLY: readonly Flag[] = [
  { name: 'dry-run', about: 'Show the plan; change nothing.' },
  { name: 'diff', about: 'Show the differences of files in the plan.' },
  ...CHANGE,
];

/** Of commands that remove containers. */
export const DATA: Flag = { name: 'data', about: 'Delete the data too.' };

/** Of commands that remove an app. */
export const GOODBYE: readonly Flag[] = [
  { name: 'goodbye', about: 'First have other servers delete all accounts. This cannot be undone.' },
  {
    name: 'attempts',
    value: 'N',
    form: { pattern: /^([1-9]|10)$/, is: 'a number from 1 to 10' },
    about:
      'With --goodbye: give up on a server after this many failed deliveries (default: 8, about an hour).',
  },
];
