/** Accounts on Mastodon, by `tootctl accounts`. */
import type { Output } from '../../docker/engine.ts';
import type { Secret } from '../../secrets/secret.ts';
import type { Call, People, Role } from '../people.ts';
import { rowsIn } from '../people.ts';
import { literal } from '../shared/postgres.ts';
import { query } from './data.ts';
import type { MastodonOptions } from './options.ts';
import { rails } from './runner.ts';

const service = 'mastodon_web';

const accounts = (...words: string[]): Call => ({ service, argv: ['tootctl', 'accounts', ...words] });

/** Confirmed and approved. Prints the password. @param role a role's name in Mastodon */
const createAccount = (name: string, email: string, role?: string): Call =>
  accounts(
    'create',
    name,
    '--email',
    email,
    '--confirmed',
    '--approve',
    ...(role === undefined ? [] : ['--role', role]),
  );

/** `tootctl` can only generate a password. Both end the sessions and revoke the tokens of the account. */
export const setPassword = (name: string, chosen?: Secret): Call =>
  chosen === undefined
    ? accounts('modify', name, '--reset-password')
    : {
        service,
        ...rails('set-password.rb', {
          name,
          password: chosen.reveal(),
        }),
      };

export const NEW_PASSWORD = /^New password: (\S+)$/m;

/** Roles that every server has at first; without one an account is an ordinary user. */
const ROLES: Readonly<Record<Role, string | undefined>> = {
  admin: 'Admin',
  moderator: 'Moderator',
  user: undefined,
};

interface Row {
  readonly name: string;
  readonly email: string;
  readonly role: string | null;
  readonly disabled: boolean;
  readonly suspended: boolean;
  readonly approved: boolean;
  readonly confirmed: boolean;
}

const stateOf = ({ disabled, suspended, approved, confirmed }: Row): string =>
  disabled
    ? 'disabled'
    : suspended
      ? 'suspended'
      : !approved
        ? 'pending'
        : confirmed
          ? 'active'
          : 'unconfirmed';

/** `string_agg`, since `json_agg` prints several lines. */
const listSql = (name?: string): string =>
  `select '[' || coalesce(string_agg(json_build_object('name', a.username, 'email', u.email, 'role', r.name, 'disabled', u.disabled, 'suspended', a.suspended_at is not null, 'approved', u.approved, 'confirmed', u.confirmed_at is not null)::text, ',' order by lower(a.username)), '') || ']' from users u join accounts a on a.id = u.account_id left join user_roles r on r.id = u.role_id where a.domain is null${name === undefined ? '' : ` and lower(a.username) = ${literal(name.toLowerCase())}`}`;

/** Attribute and type of a validation error → words. */
const ERRORS: Readonly<Record<string, string>> = {
  'email taken': 'the e-mail address is in use',
  'email invalid': 'it does not accept the e-mail address',
  'email unreachable': 'the domain of the e-mail address cannot be found',
  'email blocked': 'the domain of the e-mail address is not allowed on this server',
  'account.username taken': 'the name is in use',
};

function reason({ stderr }: Output): string | undefined {
  if (stderr.includes('Cannot find user role'))
    return 'it has no role of that name; roles can be renamed in the web interface';
  const found = [...stderr.matchAll(/Failure\/Error: (\S+)\s+(\S+)/g)].map(
    ([, attribute = '', type = '']) => ERRORS[`${attribute} ${type}`] ?? `${attribute} is ${type}`,
  );
  return found.length === 0 ? undefined : found.join('; ');
}

export const mastodonPeople = (options: MastodonOptions): People => ({
  roles: {
    names: ['admin', 'moderator', 'user'],
    set: (name, role) =>
      accounts('modify', name, ...(ROLES[role] === undefined ? ['--remove-role'] : ['--role', ROLES[role]])),
    others: '',
  },
  needsEmail: true,
  list: (name) => {
    const { service: where, check } = query(options, listSql(name));
    return { service: where, ...check };
  },
  read: (stdout) =>
    rowsIn<Row>(stdout).map((row) => ({
      name: row.name,
      email: row.email,
      role: row.role?.toLowerCase() || 'user',
      state: stateOf(row),
    })),
  add: ({ name, email = '', role }) => [createAccount(name, email, ROLES[role])],
  password: setPassword,
  generated: NEW_PASSWORD,
  disabling: {
    disable: (name) => accounts('modify', name, '--disable'),
    enable: (name) => accounts('modify', name, '--enable'),
    means: 'The account cannot be used any more. Its profile and posts stay visible.',
  },
  states: {
    pending: 'Approve it: `fedi-setup tootctl accounts approve NAME`.',
    unconfirmed: 'Confirm its e-mail address: `fedi-setup tootctl accounts modify NAME --confirm`.',
    suspended: 'Lift the suspension in the web interface: Moderation, Accounts.',
  },
  reason,
});
