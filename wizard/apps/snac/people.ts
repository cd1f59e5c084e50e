/** Accounts on snac, by its own commands; it has none for e-mail addresses and chosen passwords (compose/snac/). */
import { readProgram } from '../../assets.ts';
import type { Secret } from '../../secrets/secret.ts';
import type { Call, People } from '../people.ts';
import { rowsIn } from '../people.ts';

const inSnac = (...argv: string[]): Call => ({ service: 'snac', argv });

export const addUser = (name: string): Call => inSnac('snac', 'adduser', '/data', name);

export const setEmail = (name: string, email: string): Call => inSnac('set-email', name, email);

export const setPassword = (name: string, chosen?: Secret): Call =>
  chosen === undefined
    ? inSnac('snac', 'resetpwd', '/data', name)
    : { ...inSnac('set-password', name), stdin: chosen.reveal() };

/** As `adduser` and `resetpwd` print it. */
export const NEW_PASSWORD = /password(?: for user \S+)? is (\S+)/;

export const snacPeople = (): People => ({
  roles: {
    names: ['user'],
    others: 'snac has no roles: all users are equal, and the server is managed on its host.',
  },
  needsEmail: false,
  list: () => inSnac('sh', '-c', readProgram('apps/snac/programs/list-accounts.sh')),
  read: (stdout) =>
    rowsIn<{ readonly name: string; readonly email: string | null }>(stdout).map(({ name, email }) => ({
      name,
      email: email || undefined,
      role: 'user',
      state: 'active',
    })),
  add: ({ name, email }) => [addUser(name), ...(email === undefined ? [] : [setEmail(name, email)])],
  password: setPassword,
  generated: NEW_PASSWORD,
  disabling: {
    instead:
      '`fedi-setup user password NAME` sets a new password, but apps that are already logged in stay logged in. `fedi-setup snac deluser NAME` deletes the account with all its posts.',
  },
});
