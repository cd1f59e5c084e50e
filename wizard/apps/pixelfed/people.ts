/** Accounts on Pixelfed, by `artisan user:…`. Several of these commands exit 0 although they did nothing. */
import type { Output } from '../../docker/engine.ts';
import type { Secret } from '../../secrets/secret.ts';
import type { Call, People } from '../people.ts';
import { rowsIn } from '../people.ts';
import { php } from './php.ts';

const service = 'pixelfed_web';

/**
 * Calls the app's command inside PHP: as an argument the password would be visible to others. The command creates the
 * account, then its profile. An account without a profile is left from a killed run; it blocks a retry, so delete it.
 */
const CREATE = `$half = 'from users where lower(username) = ? and email = ? and profile_id is null';
$whose = [$values['name'], $values['email']];
$app['db']->update("delete from profiles where user_id in (select id $half)", $whose);
$app['db']->update("delete $half", $whose);
$password = bin2hex(random_bytes(16));
$code = $kernel->call('user:create', [
  '--name' => $values['name'], '--username' => $values['name'], '--email' => $values['email'], '--password' => $password,
  '--is_admin' => $values['admin'], '--confirm_email' => '1',
]);
if ($code !== 0 || !str_contains($kernel->output(), 'Successfully created user!')) throw new RuntimeException(trim($kernel->output()));
echo 'New password: ', $password, PHP_EOL;`;

/** Pixelfed has no command for it. */
const SET_PASSWORD = `$password = $values['password'] ?? bin2hex(random_bytes(16));
$hash = password_hash($password, PASSWORD_BCRYPT, ['cost' => 12]);
if ($app['db']->update('update users set password = ? where lower(username) = ?', [$hash, $values['name']]) !== 1) throw new RuntimeException('there is no such user');
if (!isset($values['password'])) echo 'New password: ', $password, PHP_EOL;`;

/** Deleted accounts keep their row, so that nobody else gets the name. */
const LIST = `$one = isset($values['name']) ? 'and lower(username) = ?' : '';
$sql = "select username as name, email, is_admin as admin, email_verified_at as verified, status from users where deleted_at is null and (status is null or status not in ('delete', 'deleted')) $one order by username";
echo json_encode($app['db']->select($sql, isset($values['name']) ? [$values['name']] : [])), PHP_EOL;`;

export const createAccount = (name: string, email: string, isAdmin: boolean): Call => ({
  service,
  ...php(CREATE, { name, email, admin: String(isAdmin) }),
});

export const setPassword = (name: string, chosen?: Secret): Call => ({
  service,
  ...php(SET_PASSWORD, {
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
  list: (name) => ({ service, ...php(LIST, name === undefined ? {} : { name: name.toLowerCase() }) }),
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
      'Pixelfed suspends the account: others no longer see its profile. Logging in stays possible until you set a new password.',
  },
  states: {
    unconfirmed: 'Confirm its e-mail address: `fedi-setup artisan user:verifyemail NAME`.',
    paused: 'Its owner disabled it and enables it by logging in.',
  },
  reason,
});
