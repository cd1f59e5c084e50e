/** Accounts on Pixelfed, by `artisan user:…`. Several of these commands exit 0 although they did nothing. */
import type { Output } from '../../docker/engine.ts';
import type { Secret } from '../../secrets/secret.ts';
import type { Call, People } from '../people.ts';
import { rowsIn } from '../people.ts';
import { laravel } from './php.ts';

const service = 'pixelfed_web';

export const createAccount = (name: string, email: string, isAdmin: boolean): Call => ({
  service,
  ...laravel('create-account.php', { name, email, admin: String(isAdmin) }),
});

/** Pixelfed has no command for it. */
export const setPassword = (name: string, chosen?: Secret): Call => ({
  service,
  ...laravel('set-password.php', {
    name: name.toLowerCase(),
    ...(chosen === undefined ? {} : { password: chosen.reveal() }),
  }),
});

export const NEW_PASSWORD = /^New password: (\S+)$/m;

/** These ask whether we are sure. */
const sure = (command: string, name: string): Call => ({
  service,
  argv: ['php', 'artisan', command, name],
  stdin: 'yes\n',
});

interface Row {
  readonly name: string;
  readonly email: string;
  /** A boolean in PostgreSQL, a number in others. */
  readonly admin: boolean | number | string;
  readonly verified: string | null;
  readonly status: string | null;
}

function stateOf({ status, verified }: Row): string {
  if (status === null) return verified === null ? 'unconfirmed' : 'active';
  return status === 'suspended' ? 'disabled' : status === 'disabled' ? 'paused' : status;
}

const reason = ({ stdout, stderr }: Output): string | undefined =>
  /Duplicate entry|unique constraint/i.test(`${stdout}${stderr}`)
    ? 'the name or the e-mail address is in use, perhaps by a deleted account'
    : undefined;

export const pixelfedPeople = (): People => ({
  roles: {
    names: ['admin', 'user'],
    // The command toggles; it is only called if the role differs.
    set: (name) => sure('user:admin', name),
    others: 'Pixelfed has admins and users, no moderators.',
  },
  needsEmail: true,
  list: (name) => ({
    service,
    ...laravel('list-accounts.php', name === undefined ? {} : { name: name.toLowerCase() }),
  }),
  read: (stdout) =>
    rowsIn<Row>(stdout).map((row) => ({
      name: row.name,
      email: row.email,
      role: Number(row.admin) === 1 ? 'admin' : 'user',
      state: stateOf(row),
    })),
  add: ({ name, email = '', role }) => [createAccount(name, email, role === 'admin')],
  password: setPassword,
  generated: NEW_PASSWORD,
  disabling: {
    disable: (name) => sure('user:suspend', name),
    enable: (name) => sure('user:unsuspend', name),
    means:
      'Pixelfed suspends the account: others no longer see its profile. Its owner can still log in until you set a new password.',
  },
  states: {
    unconfirmed: 'Confirm its e-mail address: `fedi-setup artisan user:verifyemail NAME`.',
    paused: 'Its owner disabled it and enables it by logging in.',
  },
  reason,
});
