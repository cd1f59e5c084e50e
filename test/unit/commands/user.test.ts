/** `user`: accounts. Each app's tool is a small model that refuses what the original refuses. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { takeLock } from '../../../wizard/apply/runlock.ts';
import { main } from '../../../wizard/cli/main.ts';
import type { Command, Output } from '../../../wizard/docker/engine.ts';
import { EXIT } from '../../../wizard/problem.ts';
import { Store } from '../../../wizard/secrets/store.ts';
import { OK, failed, fakeContainer } from '../../support/fake-engine.ts';
import { captureOutput } from '../../support/output.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

interface Account {
  name: string;
  email: string | null;
  password: string;
  role: string | null;
  disabled: boolean;
}

let accounts: Account[] = [];
/** Every command in a container. */
let calls: { service: string; argv: readonly string[]; stdin: string; isLocked: boolean }[] = [];
let services: string[] = [];
/** Replaces the model of a tool; undefined: the model. */
let instead: ((argv: readonly string[]) => Output | undefined) | undefined;
let folder = '';
const output = captureOutput();

const find = (name: string | undefined): Account | undefined =>
  accounts.find((one) => one.name === name?.toLowerCase());
const prints = (stdout: string): Output => ({ ...OK, stdout });
const valuesIn = (script: string): Record<string, string> =>
  JSON.parse(
    Buffer.from(/(?:base64_decode|Base64\.decode64)\('([^']*)'/.exec(script)?.[1] ?? '', 'base64').toString(),
  ) as Record<string, string>;
let count = 0;
const generate = (): string => `generated-${++count}`;
const add = (name: string, email: string | null, role: string | null): Account => {
  const made = { name, email, role, password: generate(), disabled: false };
  accounts.push(made);
  return made;
};

function snac(
  [program, command, , uid = '']: readonly string[],
  argv: readonly string[],
  stdin: string,
): Output {
  if (program === 'sh')
    return prints(`${JSON.stringify(accounts.map(({ name, email }) => ({ name, email })))}\n`);
  if (program === 'set-email' || program === 'set-password') {
    const one = find(argv[1]);
    if (one === undefined) return failed('jq: error: Could not open file');
    if (program === 'set-email') one.email = argv[2] ?? null;
    else one.password = stdin;
    return OK;
  }
  if (command === 'adduser') {
    if (find(uid)) return failed(`ERROR: user '${uid}' already exists`);
    return prints(`\nCreating RSA key...\nDone.\n\nUser password is ${add(uid, null, null).password}\n`);
  }
  const one = find(uid);
  if (command !== 'resetpwd' || one === undefined) return failed(`invalid user '${uid}'`);
  one.password = generate();
  return prints(`New password for user ${uid} is ${one.password}\n`);
}

function tootctl([, , action, name = '', ...flags]: readonly string[]): Output {
  const value = (flag: string): string | undefined => flags[flags.indexOf(flag) + 1];
  const has = (flag: string): boolean => flags.includes(flag);
  if (has('--role') && !['Owner', 'Admin', 'Moderator'].includes(value('--role') ?? ''))
    return failed('Cannot find user role with that name');
  if (action === 'create') {
    const email = value('--email') ?? '';
    const wrong = [
      ...(accounts.some((one) => one.email === email) ? ['email\n    taken'] : []),
      ...(email.endsWith('.invalid') ? ['email\n    unreachable'] : []),
    ];
    if (wrong.length > 0) return failed(wrong.map((one) => `Failure/Error: ${one}\n`).join(''));
    return prints(
      `OK\nNew password: ${add(name, email, has('--role') ? (value('--role') ?? null) : null).password}\n`,
    );
  }
  const one = find(name);
  if (one === undefined) return failed('No user with such username');
  if (has('--role')) one.role = value('--role') ?? null;
  if (has('--remove-role')) one.role = null;
  if (has('--disable') || has('--enable')) one.disabled = has('--disable');
  if (!has('--reset-password')) return prints('OK\n');
  one.password = generate();
  return prints(`OK\nNew password: ${one.password}\n`);
}

function mastodon(argv: readonly string[], stdin: string): Output {
  if (argv[0] === 'tootctl') return tootctl(argv);
  if (argv[0] === 'bundle') {
    const { name, password = '' } = valuesIn(stdin);
    const one = find(name);
    if (one === undefined) return failed("Couldn't find Account (ActiveRecord::RecordNotFound)");
    one.password = password;
    return OK;
  }
  const only = /lower\(a\.username\) = '([^']*)'/.exec(argv.join(' '))?.[1];
  return prints(
    `${JSON.stringify(
      accounts
        .filter(({ name }) => only === undefined || name === only)
        .map(({ name, email, role, disabled }) => ({
          name,
          email,
          role,
          disabled,
          suspended: name.startsWith('suspended'),
          approved: !name.startsWith('pending'),
          confirmed: true,
        })),
    )}\n`,
  );
}

function pixelfed(argv: readonly string[], stdin: string): Output {
  if (argv[1] === 'artisan') {
    const one = find(argv[3]);
    // Like the original: always exit code 0, and no change without a yes.
    if (one === undefined) return prints('Could not find any user with that username or id.\n');
    if (stdin !== 'yes\n') return OK;
    if (argv[2] === 'user:admin') one.role = one.role === 'admin' ? null : 'admin';
    if (argv[2] === 'user:suspend') one.disabled = true;
    if (argv[2] === 'user:unsuspend') one.disabled = false;
    return OK;
  }
  const values = valuesIn(stdin);
  if (stdin.includes('json_encode'))
    return prints(
      `Deprecated: something\n${JSON.stringify(
        accounts
          .filter(({ name }) => values['name'] === undefined || name === values['name'])
          .map(({ name, email, role, disabled }) => ({
            name,
            email,
            admin: role === 'admin' ? 1 : 0,
            verified: '2026-01-01 00:00:00',
            status: disabled ? 'suspended' : null,
          })),
      )}\n`,
    );
  if (stdin.includes('user:create')) {
    if (accounts.some((one) => one.email === values['email']))
      return failed("QueryException: SQLSTATE[23000]: 1062 Duplicate entry 'x' for key 'users_email_unique'");
    const role = values['admin'] === 'true' ? 'admin' : null;
    return prints(`New password: ${add(values['name'] ?? '', values['email'] ?? '', role).password}\n`);
  }
  const one = find(values['name']);
  if (one === undefined) return failed('RuntimeException: there is no such user');
  one.password = values['password'] ?? generate();
  return values['password'] === undefined ? prints(`New password: ${one.password}\n`) : OK;
}

vi.mock('../../../wizard/docker/docker.ts', () => ({
  connect: () =>
    Promise.resolve({
      info: () => Promise.resolve({}),
      listed: () => Promise.resolve([]),
      containers: () => Promise.resolve(services.map((service) => fakeContainer(service))),
      exec: (service: string, { argv, stdin = '' }: Command) => {
        calls.push({ service, argv, stdin, isLocked: existsSync(join(folder, '.fedi/lock')) });
        const other = instead?.(argv);
        if (other !== undefined) return Promise.resolve(other);
        return Promise.resolve(
          service === 'snac'
            ? snac(argv, argv, stdin)
            : service.startsWith('mastodon')
              ? mastodon(argv, stdin)
              : pixelfed(argv, stdin),
        );
      },
    }),
}));

const ALL = ['snac', 'mastodon', 'pixelfed'] as const;
const SERVICES = ['snac', 'mastodon_web', 'mastodon_db', 'pixelfed_web'];

async function makeSite(...ids: readonly string[]): Promise<void> {
  folder = tempFolder();
  const apps = ids.map(
    (id) => `  ${id}: { domain: ${id}.example.org, admin: anna, email: anna@example.org }\n`,
  );
  writeTree(folder, { 'fedi.yaml': `apps:\n${apps.join('')}`, 'compose.yaml': 'services: {}\n' });
  mkdirSync(join(folder, '.fedi'));
  const store = await Store.open(folder);
  for (const id of ids) {
    store.put(`${id}.admin`, 'free', 'the first one', new Date());
    store.markShown(`${id}.admin`);
  }
  await store.save();
  accounts = [];
  add('anna', 'anna@example.org', ids[0] === 'mastodon' ? 'Owner' : ids[0] === 'pixelfed' ? 'admin' : null);
}

beforeEach(() => {
  [calls, services, instead] = [[], SERVICES, undefined];
});

const run = (...argv: string[]): Promise<number> => {
  output.clear();
  return main(['user', ...argv, '--dir', folder]);
};
const eventsIn = (text: string): Record<string, unknown>[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('{"event"'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const events = async (...argv: string[]): Promise<Record<string, unknown>[]> => {
  expect(await run(...argv, '--json'), output.text).toBe(0);
  return eventsIn(output.text);
};
const passwordFile = (text: string): string => {
  writeTree(folder, { secret: `${text}\n` });
  return join(folder, 'secret');
};
const stored = (id: string): string =>
  (
    JSON.parse(readFileSync(join(folder, 'secrets.json'), 'utf8')) as {
      secrets: Record<string, { value: string }>;
    }
  ).secrets[`${id}.admin`]?.value ?? '';

describe.each(ALL)('on %s', (id) => {
  beforeEach(() => makeSite(id));

  test('an account is added, with the password that the app generated, shown once', async () => {
    const found = await events('add', 'berta', '--email', 'berta@example.org');
    const made = find('berta');
    expect(made).toMatchObject({ email: 'berta@example.org', role: null });
    const url = `https://${id}.example.org`;
    expect(found.filter(({ event }) => event !== 'step')).toEqual([
      { event: 'password', app: id, url, user: 'berta', password: made?.password },
      { event: 'user', app: id, name: 'berta', email: 'berta@example.org', role: 'user', state: 'active' },
    ]);
    expect(calls.every(({ isLocked }) => isLocked)).toBe(true);
    expect(existsSync(join(folder, '.fedi/lock'))).toBe(false);
  });

  test('prints the same as text', async () => {
    expect(await run('add', '@Berta', '--email', 'berta@example.org')).toBe(0);
    const password = find('berta')?.password ?? '';
    expect(output.text.split(password)).toHaveLength(2);
    expect(output.text).toContain('It is shown only once.');
    expect(stored(id)).toBe('the first one');
  });

  test('a chosen password is set, not shown, and in no argument', async () => {
    const path = passwordFile('my own password');
    expect(await run('add', 'berta', '--email', 'berta@example.org', '--password-file', path)).toBe(0);
    expect(find('berta')?.password).toBe('my own password');
    expect(output.text).not.toContain('my own password');
    expect(output.text).not.toContain('generated');
    writeTree(folder, { secret: 'yet another one' });
    expect(await run('password', 'BERTA', '--password-file', path)).toBe(0);
    expect(find('berta')?.password).toBe('yet another one');
    expect(calls.flatMap(({ argv }) => argv).join(' ')).not.toMatch(/my own|yet another|generated/);
  });

  test('a new password is generated and shown', async () => {
    add('berta', 'berta@example.org', null);
    const [shown] = (await events('password', 'berta')).filter(({ event }) => event === 'password');
    expect(shown).toMatchObject({ user: 'berta', password: find('berta')?.password });
    expect(stored(id)).toBe('the first one');
  });

  test('the owner’s new password is stored: `prove` logs in with it', async () => {
    expect(await run('password', 'anna')).toBe(0);
    expect(stored(id)).toBe(find('anna')?.password);
    expect(await run('password', 'anna', '--password-file', passwordFile('chosen by anna'))).toBe(0);
    expect([stored(id), find('anna')?.password]).toEqual(['chosen by anna', 'chosen by anna']);
  });

  test('the list is read without a lock', async () => {
    add('berta', null, null);
    const release = await takeLock(folder);
    expect((await events('list')).map(({ event, name }) => [event, name])).toEqual([
      ['user', 'anna'],
      ['user', 'berta'],
    ]);
    expect(await run()).toBe(0);
    expect(output.text).toMatch(
      /^NAME +E-MAIL +ROLE +STATE *\nanna +anna@example\.org +\w+ +active *\nberta +- /,
    );
    await release();
  });

  test.each([
    ['add', 'berta', '--email', 'b@example.org'],
    ['password', 'anna'],
  ])('%s is refused during another run', async (...argv) => {
    const release = await takeLock(folder);
    expect(await run(...argv)).toBe(EXIT.LOCKED);
    expect(calls).toEqual([]);
    await release();
  });

  test('refuses a name that exists already, or does not exist', async () => {
    expect(await run('add', 'anna', '--email', 'b@example.org')).toBe(2);
    expect(output.text).toMatch(
      /has an account anna already\.\n {2}Nothing was changed\.\n {2}Next: Choose another name/,
    );
    expect(await run('password', 'ana')).toBe(2);
    expect(output.text).toMatch(/There is no account ana on \w+\. Did you mean anna\?/);
    expect(accounts).toHaveLength(1);
  });

  test.each([
    [['add', 'not valid', '--email', 'b@example.org'], 'The user name is not valid.'],
    [['add', '-x', '--email', 'b@example.org'], 'There is no -x.'],
    [['add', 'berta', '--email', 'nobody'], 'The e-mail address is not valid. Not an e-mail address.'],
    [['add', 'berta', '--email', 'b@example.org', '--role', 'king'], '--role must be'],
    [['add', 'berta', '--password-file', '/nonexistent'], '--password-file /nonexistent cannot be read'],
    [['add'], '`user add` takes [APP] NAME.'],
    [['role', 'anna'], '`user role` takes [APP] NAME ROLE.'],
    [['password', 'a', 'b', 'c'], '`user password` takes [APP] NAME.'],
    [['password', 'x;y'], 'x;y is not a user name.'],
    [['password', 'gotosocial', 'anna'], 'gotosocial is not an app of this site.'],
    [['list', 'gotosocial'], 'gotosocial is not an app of this site.'],
    [['constructor'], 'There is no `user constructor`.'],
    [['lst'], 'There is no `user lst`. Did you mean list?'],
    [['password', 'anna', '--email', 'b@example.org'], '`user password` does not take --email'],
    [['list', '--role', 'admin'], '`user list` does not take --role'],
    [['role', 'anna', 'user', '--password-file', '/dev/null'], '`user role` does not take --password-file'],
    [['add', 'berta', '--domain', 'x.org'], '`user` does not take --domain'],
  ])('refused before anything is done: %j', async (argv, message) => {
    expect(await run(...argv)).toBe(2);
    expect(output.text).toContain(message);
    expect(output.text).toContain('Next: ');
    expect(calls).toEqual([]);
  });

  test('a password that is too short', async () => {
    expect(await run('password', 'anna', '--password-file', passwordFile('short'))).toBe(2);
    expect(output.text).toContain('The password is not valid. Use at least 8 characters.');
    expect(calls).toEqual([]);
  });

  test('variables about the owner do not apply to other accounts', async () => {
    vi.stubEnv('FEDI_EMAIL', 'anna@example.org');
    vi.stubEnv('FEDI_PASSWORD', 'that of the owner');
    expect(await run('add', 'berta', '--email', 'berta@example.org')).toBe(0);
    expect(find('berta')).toMatchObject({ email: 'berta@example.org' });
    expect(find('berta')?.password).toMatch(/^generated/);
    vi.unstubAllEnvs();
  });

  test('a container that does not run', async () => {
    services = [];
    expect(await run('list')).toBe(1);
    expect(output.text).toMatch(/The container \w+ is not running\.\n {2}Next: /);
  });

  test('an invalid list', async () => {
    instead = () => failed('connection refused');
    expect(await run('list')).toBe(1);
    expect(output.text).toMatch(
      /The accounts of \w+ cannot be listed \(exit code 1\)\.[^]*\| connection refused[^]*Next: /,
    );
    instead = () => prints('no JSON\n');
    expect(await run('list')).toBe(1);
  });

  test('an account that exists although its password could not be set', async () => {
    const path = passwordFile('my own password');
    const isSecond = (argv: readonly string[]): boolean =>
      find('berta') !== undefined &&
      (argv[0] === 'set-password' || argv[0] === 'bundle' || argv[0] === 'php');
    instead = (argv) => (isSecond(argv) ? failed('killed', 137) : undefined);
    expect(await run('add', 'berta', '--email', 'b@example.org', '--password-file', path)).toBe(1);
    expect(output.text).toContain(
      'created berta, but not with your password: its tool ended with exit code 137.',
    );
    expect(output.text).toContain('The account exists, and nobody knows its password.');
    expect(output.text).toContain(`Next: Set one: \`fedi-setup user password ${id} berta\`.`);
    expect(output.text).not.toMatch(/generated-|my own/);
  });
});

describe.each(['mastodon', 'pixelfed'] as const)('on %s', (id) => {
  beforeEach(async () => {
    await makeSite(id);
    add('berta', 'berta@example.org', null);
  });
  const listed = async (): Promise<unknown> => (await events('list')).find(({ name }) => name === 'berta');

  test('an admin is added, and roles change back and forth', async () => {
    const [made] = (await events('add', 'carla', '--email', 'carla@example.org', '--role', 'admin')).filter(
      ({ event }) => event === 'user',
    );
    expect(made).toMatchObject({ role: 'admin' });
    expect(await events('role', 'berta', 'admin')).toContainEqual(expect.objectContaining({ role: 'admin' }));
    expect(await listed()).toMatchObject({ role: 'admin' });
    // Pixelfed's command toggles.
    expect(await events('role', 'berta', 'admin')).toContainEqual(
      expect.objectContaining({ event: 'step', state: 'already' }),
    );
    expect(await listed()).toMatchObject({ role: 'admin' });
    await events('role', 'berta', 'user');
    expect(await listed()).toMatchObject({ role: 'user' });
  });

  test('an account is disabled and enabled', async () => {
    expect(await run('disable', 'berta')).toBe(0);
    expect(output.text).toMatch(/berta on \w+: disabled/);
    expect(await listed()).toMatchObject({ state: 'disabled' });
    expect(await events('disable', 'berta')).toContainEqual(expect.objectContaining({ state: 'already' }));
    await events('enable', 'berta');
    expect(await listed()).toMatchObject({ state: 'active' });
    expect(await events('enable', 'berta')).toContainEqual(expect.objectContaining({ state: 'already' }));
  });

  test.each([
    ['role', 'Anna', 'user'],
    ['disable', '@anna'],
  ])('%s of the owner is refused', async (...argv) => {
    expect(await run(...argv)).toBe(EXIT.REFUSED);
    expect(output.text).toMatch(/anna owns this server, so this change[^]*Nothing was changed\.[^]*Next: /i);
    expect(calls).toEqual([]);
  });

  test('an e-mail address is needed, and may be in use', async () => {
    expect(await run('add', 'carla')).toBe(2);
    expect(output.text).toMatch(
      /address is missing\.\n.*Nothing was changed\.\n {2}Next: `fedi-setup user add \w+ carla --email ADDRESS`/,
    );
    expect(await run('add', 'carla', '--email', 'berta@example.org')).toBe(1);
    expect(output.text).toMatch(/did not create the account carla: the .*e-mail address is in use/);
  });

  test('a tool that exits with 0 but changed nothing', async () => {
    instead = (argv) => (['tootctl', 'artisan'].some((tool) => argv.includes(tool)) ? OK : undefined);
    for (const argv of [
      ['role', 'berta', 'admin'],
      ['disable', 'berta'],
    ]) {
      expect(await run(...argv)).toBe(1);
      expect(output.text).toMatch(/did not (make berta admin|disable berta): its tool had no effect\./);
    }
  });
});

describe('unsupported by an app', () => {
  test('moderators on Pixelfed', async () => {
    await makeSite('pixelfed');
    for (const argv of [
      ['role', 'anna', 'moderator'],
      ['add', 'b2', '--email', 'b@x.org', '--role', 'moderator'],
    ]) {
      expect(await run(...argv)).toBe(2);
      expect(output.text).toMatch(
        /Pixelfed has no role moderator\.\n.*no moderators\. Nothing was changed\.\n {2}Next: Use admin or user\./,
      );
    }
    expect(calls).toEqual([]);
  });
  test('roles and disabled accounts on snac, where an address is not needed', async () => {
    await makeSite('snac');
    expect(await run('role', 'berta', 'admin')).toBe(2);
    expect(output.text).toMatch(/snac has no role admin\.\n {2}snac has no roles/);
    for (const action of ['disable', 'enable']) {
      expect(await run(action, 'berta')).toBe(2);
      expect(output.text).toMatch(
        /snac cannot (dis|en)able accounts\.[^]*`fedi-setup snac deluser berta` deletes the account/,
      );
    }
    expect(calls).toEqual([]);
    expect(await events('add', 'berta')).toContainEqual({
      event: 'user',
      app: 'snac',
      name: 'berta',
      role: 'user',
      state: 'active',
    });
  });
  test('a role that was removed from Mastodon; an undeliverable address', async () => {
    await makeSite('mastodon');
    add('berta', 'berta@example.org', null);
    instead = (argv) =>
      argv.includes('--role') ? failed('Cannot find user role with that name') : undefined;
    expect(await run('role', 'berta', 'moderator')).toBe(1);
    expect(output.text).toContain(
      'did not make berta moderator: it has no role of that name; roles can be renamed',
    );
    instead = undefined;
    expect(await run('add', 'carla', '--email', 'carla@nowhere.invalid')).toBe(1);
    expect(output.text).toContain('the domain of the e-mail address cannot be found.');
  });
  test('enabling an account that is not disabled', async () => {
    await makeSite('mastodon');
    add('pending1', 'p@example.org', null);
    add('suspended1', 's@example.org', null);
    expect(await run('enable', 'pending1')).toBe(2);
    expect(output.text).toMatch(
      /pending1 is not disabled, but pending\.[^]*tootctl accounts approve pending1/,
    );
    expect(await run('enable', 'suspended1')).toBe(2);
    expect(output.text).toContain('suspended1 is not disabled, but suspended.');
  });
});

describe('with several apps', () => {
  beforeEach(() => makeSite('mastodon', 'snac'));

  test('lists the accounts of all apps, or of the named one', async () => {
    expect((await events('list')).map(({ app }) => app).toSorted()).toEqual(['mastodon', 'snac']);
    expect((await events('list', 'snac')).map(({ app }) => app)).toEqual(['snac']);
    expect(await run('list')).toBe(0);
    expect(output.text).toContain('Mastodon: https://mastodon.example.org\n');
  });
  test('a change needs the app', async () => {
    expect(await run('password', 'anna')).toBe(2);
    expect(output.text).toMatch(/Which app\?\n.*\n {2}Next: `fedi-setup user password (\w+)\|(\w+) NAME`/);
    expect(calls).toEqual([]);
    expect(await run('password', 'snac', 'anna')).toBe(0);
    expect(calls.every(({ service }) => service === 'snac')).toBe(true);
    expect([stored('snac'), stored('mastodon')]).toEqual([find('anna')?.password, 'the first one']);
  });
  test('an account may have the name of an app', async () => {
    await makeSite('snac');
    add('snac', null, null);
    expect(await run('password', 'snac')).toBe(0);
    expect(find('snac')?.password).toBe(`generated-${count}`);
  });
});
