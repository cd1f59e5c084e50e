/** `user`: the accounts of people, with the app's own tool in its container. */
import type { People, Person, Role, Call } from '../../apps/people.ts';
import { appOf } from '../../apps/index.ts';
import { refuseMoved } from '../../apply/unfinished.ts';
import { withRunLock } from '../with-lock.ts';
import type { AppConfig } from '../../config/config.ts';
import { nearest, parseEmail, parseNewPassword } from '../../config/parse.ts';
import type { Parsed } from '../../config/parse.ts';
import type { Output } from '../../docker/engine.ts';
import { runtimeOf } from '../../docker/runtime.ts';
import { EXIT, Problem } from '../../problem.ts';
import { withLine } from '../../progress.ts';
import { Secret } from '../../secrets/secret.ts';
import { Store } from '../../secrets/store.ts';
import type { CommandContext, Run } from '../command.ts';
import { existingSite } from '../find-site.ts';
import type { Site } from '../find-site.ts';
import { flagText } from '../answer-flag.ts';
import { showPassword } from '../show-password.ts';

/** An app of the site and what can be done with its accounts. */
interface Target {
  readonly context: CommandContext;
  readonly site: Site;
  readonly app: AppConfig;
  readonly people: People;
  /** Product name. */
  readonly product: string;
}

/** A change whose arguments are checked; it runs under the run lock. */
type Change = () => Promise<void>;

interface Action {
  /** Its arguments besides APP. */
  readonly words: readonly string[];
  /** Flags that it takes, of those that not every action takes. */
  readonly takes?: readonly string[];
  /** Checks the arguments and flags before anything is done. */
  readonly check: (target: Target, words: readonly string[]) => Change;
}

const misused = (what: string, next: string, means = 'Nothing was changed.'): Problem =>
  new Problem(EXIT.USAGE, what, { means, next });

const ACTIONS: Readonly<Record<string, Action>> = {
  add: { words: ['NAME'], takes: ['email', 'password-file', 'role'], check: checkAdd },
  password: { words: ['NAME'], takes: ['password-file'], check: checkPassword },
  role: { words: ['NAME', 'ROLE'], check: checkNewRole },
  disable: { words: ['NAME'], check: checkState(true) },
  enable: { words: ['NAME'], check: checkState(false) },
};

export const run: Run = async (context) => {
  const [name = 'list', ...words] = context.words;
  const action: Action | undefined =
    name === 'list'
      ? { words: [], check: () => async () => undefined }
      : Object.hasOwn(ACTIONS, name)
        ? ACTIONS[name]
        : undefined;
  if (action === undefined) {
    const near = nearest(name, ['list', ...Object.keys(ACTIONS)]);
    throw misused(
      `There is no \`user ${name}\`.${near === undefined ? '' : ` Did you mean ${near}?`}`,
      `Use list, ${Object.keys(ACTIONS).join(', ')}.`,
    );
  }
  refuseFlags(context, name, action);
  const site = await existingSite(context);
  const [apps, rest] = chosen(site, name, action, words);
  const targets = apps.map((app): Target => {
    const { people, name: product } = appOf(app.id);
    return { context, site, app, people: people(app.options), product };
  });
  const changes = targets.map((target) => action.check(target, rest));
  await site.engine.info();
  await refuseMoved(site.folder);
  // Reading needs no lock.
  if (name === 'list') for (const target of targets) await list(target);
  else {
    await withRunLock(context, site.folder, async () => {
      for (const execute of changes) await execute();
    });
  }
  return EXIT.OK;
};

function refuseFlags(context: CommandContext, name: string, { takes = [] }: Action): void {
  const fields = {
    email: flagText(context, 'email'),
    'password-file': flagText(context, 'password'),
    role: context.flags.role,
  };
  for (const [flag, value] of Object.entries(fields))
    if (value !== undefined && !takes.includes(flag))
      throw misused(`\`user ${name}\` does not take --${flag}.`, '`fedi-setup user --help` shows the flags.');
}

/** The apps that are meant, and the arguments after APP. Their number decides whether APP was given: a name may be an app's. */
function chosen(
  { config }: Site,
  name: string,
  action: Action,
  words: readonly string[],
): [readonly AppConfig[], readonly string[]] {
  const ids = config.apps.map(({ id }) => id);
  const usage = (app: string): string => ['`fedi-setup user', name, app, ...action.words].join(' ').trim();
  if (words.length === action.words.length + 1) {
    const app = config.apps.find(({ id }) => id === words[0]);
    if (app !== undefined) return [[app], words.slice(1)];
    const near = nearest(words[0] ?? '', ids);
    throw misused(
      `${words[0]} is not an app of this site.${near === undefined ? '' : ` Did you mean ${near}?`}`,
      `Its apps: ${ids.join(', ')}.`,
    );
  }
  if (words.length !== action.words.length)
    throw misused(`\`user ${name}\` takes ${['[APP]', ...action.words].join(' ')}.`, `${usage('[APP]')}\``);
  if (action.words.length > 0 && config.apps.length > 1)
    throw misused('Which app?', `${usage(ids.join('|'))}\``);
  return [config.apps, words];
}

function valid<T>(parsed: Parsed<T>, what: string): T {
  if ('value' in parsed) return parsed.value;
  throw misused(`${what} is not valid. ${parsed.problem}`, 'Correct it and run this again.');
}

/** A password from --password-file; undefined: it is generated. */
function chosenPassword({ context }: Target): Secret | undefined {
  const text = flagText(context, 'password');
  return text === undefined ? undefined : new Secret(valid(parseNewPassword(text), 'The password'));
}

/** The name of an account that exists, perhaps against the app's rules for new ones. */
function existingName(text: string): string {
  const name = text.replace(/^@/, '');
  if (/^\w[\w.-]{0,99}$/.test(name)) return name;
  throw misused(
    `${text} is not a user name.`,
    'Give the part of the handle before the domain; `fedi-setup user list` shows all.',
  );
}

const call = ({ site: { engine, config } }: Target, { service, ...command }: Call): Promise<Output> =>
  runtimeOf(engine, config.name).exec(service, command);

const NOTHING: Output = { code: 0, stdout: '', stderr: '' };

const tail = (text: string): string => text.trim().split('\n').slice(-10).join('\n');

/** All accounts, or at least the one of that name. */
async function accounts(target: Target, name?: string): Promise<readonly Person[]> {
  const { people, product } = target;
  const one = people.list(name);
  const { code, stdout, stderr } = await call(target, one);
  try {
    if (code === 0) return people.read(stdout);
  } catch {
    // Not a list.
  }
  throw new Problem(EXIT.FAILED, `The accounts of ${product} cannot be listed (exit code ${code}).`, {
    means: 'Without the list nothing can be checked, so nothing more was done.',
    next: `Look at \`docker compose logs ${one.service}\`, then run this again.`,
    log: tail(`${stdout}\n${stderr}`),
  });
}

const withName = (people: readonly Person[], name: string): Person | undefined =>
  people.find((one) => one.name.toLowerCase() === name.toLowerCase());

/** The account of that name, which must exist. */
async function existing(target: Target, name: string): Promise<Person> {
  const found = withName(await accounts(target, name), name);
  if (found !== undefined) return found;
  const near = nearest(
    name,
    (await accounts(target)).map((one) => one.name),
  );
  throw misused(
    `There is no account ${name} on ${target.product}.${near === undefined ? '' : ` Did you mean ${near}?`}`,
    `\`fedi-setup user list ${target.app.id}\` shows all.`,
  );
}

const isOwner = ({ app }: Target, name: string): boolean => name.toLowerCase() === app.admin.toLowerCase();

/** Later runs check the owner's account, and log in with it. */
function refuseOwner(target: Target, name: string, does: string): void {
  if (!isOwner(target, name)) return;
  throw new Problem(EXIT.REFUSED, `${name} owns this server, so this ${does} is refused.`, {
    means: 'fedi-setup proves the server with this account. Nothing was changed.',
    next: 'Choose another account.',
  });
}

/** @param isSecret its output may have a password */
async function act(target: Target, one: Call, failure: string, isSecret: boolean): Promise<Output> {
  const output = await call(target, one);
  if (output.code !== 0) throw rejected(target, failure, output, isSecret);
  return output;
}

function rejected({ people, product }: Target, failure: string, output: Output, isSecret: boolean): Problem {
  const { code, stdout, stderr } = output;
  const why = code === 0 ? 'its tool had no effect' : `its tool ended with exit code ${code}`;
  return new Problem(EXIT.FAILED, `${product} ${failure}: ${people.reason?.(output) ?? why}.`, {
    means: '`fedi-setup user list` shows what is there now.',
    next: 'Correct the cause and run this again.',
    log: tail(isSecret ? stderr : `${stdout}\n${stderr}`),
  });
}

/** The password that the app generated. */
function passwordIn({ people }: Target, { stdout }: Output): Secret | undefined {
  const found = people.generated.exec(stdout)?.[1];
  return found === undefined ? undefined : new Secret(found);
}

/** Changes an account, as one line of progress, unless it is so already. The list decides whether it worked, not the exit code. */
async function change(
  target: Target,
  {
    id,
    title,
    person,
    isDone,
    one,
    failure,
  }: {
    readonly id: string;
    readonly title: string;
    readonly person: Person;
    readonly isDone: (person: Person) => boolean;
    readonly one: Call | undefined;
    readonly failure: string;
  },
): Promise<void> {
  const { progress } = target.context;
  if (isDone(person) || one === undefined) {
    progress.start(id, title);
    progress.already();
    report(target, person);
    return;
  }
  await withLine(progress, id, title, async () => {
    const output = await act(target, one, failure, false);
    const after = withName(await accounts(target, person.name), person.name);
    if (after === undefined || !isDone(after)) throw rejected(target, failure, output, false);
    report(target, after);
  });
}

const report = ({ context, app }: Target, { name, email, role, state }: Person): void =>
  context.progress.emit({ event: 'user', app: app.id, name, email, role, state });

async function list(target: Target): Promise<void> {
  const { context, site, product, app } = target;
  const all = await accounts(target);
  for (const person of all) report(target, person);
  const rows = [
    ['NAME', 'E-MAIL', 'ROLE', 'STATE'],
    ...all.map(({ name, email, role, state }) => [name, email ?? '-', role, state]),
  ];
  const widths = [0, 1, 2].map((i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  if (site.config.apps.length > 1) context.progress.print(`${product}: https://${app.domain}`);
  for (const row of rows)
    context.progress.print(row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  '));
}

function checkRole({ people, product }: Target, role: string): Role {
  const { names, others } = people.roles;
  const found = names.find((one) => one === role);
  if (found !== undefined) return found;
  throw misused(
    `${product} has no role ${role}.`,
    names.length === 1 ? `Its only role is ${names[0]}.` : `Use ${names.join(' or ')}.`,
    `${others} Nothing was changed.`.trim(),
  );
}

function checkAdd(target: Target, [word = '']: readonly string[]): Change {
  const { context, app, people, product } = target;
  const name = valid(appOf(app.id).parseAdmin(word), 'The user name');
  const address = flagText(context, 'email');
  if (address === undefined && people.needsEmail)
    throw misused(
      'The e-mail address is missing.',
      `\`fedi-setup user add ${app.id} ${name} --email ADDRESS\``,
      `${product} needs one for every account. Nothing was changed.`,
    );
  const email = address === undefined ? undefined : valid(parseEmail(address), 'The e-mail address');
  const role = checkRole(target, context.flags.role ?? 'user');
  const password = chosenPassword(target);
  const failure = `did not create the account ${name}`;

  return async () => {
    const there = withName(await accounts(target, name), name);
    if (there !== undefined)
      throw misused(
        `${product} has an account ${there.name} already.`,
        `Choose another name, or set a new password: \`fedi-setup user password ${app.id} ${there.name}\`.`,
      );
    let generated: Secret | undefined;
    await withLine(context.progress, 'user.add', `Account ${name} on ${product}`, async () => {
      const [create, ...more] = people.add({ name, email, role });
      const output = await act(target, create, failure, true);
      generated = passwordIn(target, output);
      if (generated === undefined) throw rejected(target, failure, output, true);
      try {
        for (const one of more) await act(target, one, `did not complete the account ${name}`, true);
        if (password !== undefined)
          await act(
            target,
            people.password(name, password),
            `created ${name}, but not with your password`,
            true,
          );
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        throw new Problem(EXIT.FAILED, error.message, {
          means: 'The account exists, and nobody knows its password.',
          next: `Set one: \`fedi-setup user password ${app.id} ${name}\`.`,
          ...(error.log === undefined ? {} : { log: error.log }),
        });
      }
    });
    if (password === undefined && generated !== undefined)
      showPassword(context.progress, 'password', app, name, generated);
    const made = withName(await accounts(target, name), name);
    if (made?.role !== role) throw rejected(target, `did not give ${name} the role ${role}`, NOTHING, true);
    report(target, made);
  };
}

function checkPassword(target: Target, [word = '']: readonly string[]): Change {
  const { context, site, app, people, product } = target;
  const name = existingName(word);
  const password = chosenPassword(target);

  return async () => {
    const person = await existing(target, name);
    const failure = `did not set a password of ${person.name}`;
    let value = password;
    await withLine(
      context.progress,
      'user.password',
      `Password of ${person.name} on ${product}`,
      async () => {
        const output = await act(target, people.password(person.name, password), failure, true);
        value ??= passwordIn(target, output);
        if (value === undefined) throw rejected(target, failure, output, true);
        if (isOwner(target, person.name)) await keep(site, app, value, context.now());
      },
    );
    if (password === undefined && value !== undefined)
      showPassword(context.progress, 'password', app, person.name, value);
    report(target, person);
  };
}

/** The owner's password is a secret of the site: `prove` logs in with it. */
async function keep({ folder }: Site, app: AppConfig, password: Secret, now: Date): Promise<void> {
  const store = await Store.open(folder);
  const { adminSecret } = appOf(app.id);
  if (!store.has(adminSecret)) return;
  store.put(adminSecret, 'free', password.reveal(), now);
  store.markShown(adminSecret);
  await store.save();
}

function checkNewRole(target: Target, [word = '', text = '']: readonly string[]): Change {
  const { people, product } = target;
  const name = existingName(word);
  const role = checkRole(target, text);
  refuseOwner(target, name, 'change of role');

  return async () => {
    const person = await existing(target, name);
    const { set } = people.roles;
    await change(target, {
      id: 'user.role',
      title: `${person.name} on ${product}: ${role}`,
      person,
      isDone: (one) => one.role === role,
      one: set?.(person.name, role),
      failure: `did not make ${person.name} ${role}`,
    });
  };
}

function checkState(isOff: boolean): Action['check'] {
  return (target, [word = '']) => {
    const { context, people, product } = target;
    const account = existingName(word);
    const { disabling } = people;
    if ('instead' in disabling)
      throw misused(
        `${product} cannot ${isOff ? 'disable' : 'enable'} accounts.`,
        disabling.instead.replaceAll('NAME', account),
      );
    if (isOff) refuseOwner(target, account, 'change');

    return async () => {
      const person = await existing(target, account);
      const { name, state } = person;
      if (!isOff && state !== 'disabled' && state !== 'active')
        throw misused(
          `${name} is not disabled, but ${state}.`,
          people.states?.[state]?.replaceAll('NAME', name) ?? `Use the web interface of ${product}.`,
        );
      await change(target, {
        id: isOff ? 'user.disable' : 'user.enable',
        title: `${name} on ${product}: ${isOff ? 'disabled' : 'enabled'}`,
        person,
        isDone: (one) => (one.state === 'disabled') === isOff,
        one: isOff ? disabling.disable(name) : disabling.enable(name),
        failure: `did not ${isOff ? 'disable' : 'enable'} ${name}`,
      });
      if (isOff) context.progress.say(disabling.means);
    };
  };
}
