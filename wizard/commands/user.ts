import { appIds, lazily } from './command.ts';
import type { Command } from './command.ts';

const ACTIONS = ['list', 'add', 'password', 'role', 'disable', 'enable'];
const ROLES = ['admin', 'moderator', 'user'];

export const user: Command = {
  name: 'user',
  summary: 'List, add and change the accounts of people.',
  usage: '[list [APP] | add|password|disable|enable [APP] NAME | role [APP] NAME ROLE]',
  details: [
    'It calls the app’s own tool in its container. An app that cannot do something says what it offers instead.',
    '`add` and `password` generate a password and show it once, unless you give one.',
  ],
  args: [
    { name: 'ACTION', optional: true, about: 'What to do (default: list).', choices: async () => ACTIONS },
    {
      name: 'APP',
      optional: true,
      about: 'The app; not needed if the site has only one.',
      choices: appIds,
    },
    { name: 'NAME', optional: true, about: 'User name, the part of the handle before the domain.' },
    { name: 'ROLE', optional: true, about: 'The new role.', choices: async () => ROLES },
  ],
  answerFlags: [
    { name: 'email', value: 'ADDRESS', about: 'E-mail address of the new account.' },
    {
      name: 'password-file',
      value: 'FILE',
      path: 'file',
      about: 'Read the password from a file; - is standard input (default: generated).',
    },
  ],
  flags: [{ name: 'role', value: 'WORD', choices: ROLES, about: 'Role of the new account (default: user).' }],
  examples: [
    { line: 'fedi-setup user list', does: 'List the accounts of all apps.' },
    {
      line: 'fedi-setup user add {app} berta --email berta@example.org',
      does: 'Create an account and show its password.',
    },
    { line: 'fedi-setup user role {app} berta moderator', does: 'Make berta a moderator.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).user),
};
