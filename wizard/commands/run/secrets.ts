/** `secrets`: lists, exports, sets and rotates the secrets of a site. */
import { join, resolve as resolvePath } from 'node:path';
import { appOf } from '../../apps/index.ts';
import { exists, writeWhole } from '../../atomic.ts';
import { readManifest } from '../../apply/files.ts';
import { secretSpecs } from '../../apply/prepare.ts';
import { rotatable } from '../../apply/rotate.ts';
import { withRunLock } from '../with-lock.ts';
import type { Config } from '../../config/config.ts';
import { ALL_QUESTIONS } from '../../answers/questions.ts';
import { readNamed } from '../../answers/sources.ts';
import type { Question } from '../../config/question.ts';
import { EXIT, Problem } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import { Store } from '../../secrets/store.ts';
import type { CommandContext, Run } from '../command.ts';
import { confirmed } from '../confirm.ts';
import { existingSite } from '../find-site.ts';
import type { Site } from '../find-site.ts';
import { answersFor, setUp } from '../setup.ts';

/** `secrets` lists, `secrets export FILE` writes a recovery file, `secrets set NAME FILE` stores an admin's new password. */
export const run: Run = async (context) => {
  const site = await existingSite(context);
  const { folder, config } = site;
  const [action = 'list', first, second] = context.words;
  const store = await Store.open(folder);
  if (!store.existed && (await readManifest(folder)).generation > 0)
    throw new Problem(EXIT.REFUSED, `${join(folder, 'secrets.json')} is missing.`, {
      means: 'The data cannot be read without the secrets in it. Nothing was changed.',
      next: 'Restore it from a backup or a recovery file before you run anything else.',
    });
  if (action === 'export')
    return exportSecrets(context, store, folder, first ?? `${config.name}-recovery.json`);
  if (action === 'set') return setSecret(context, site, first, second);
  if (action === 'rotate') return rotateSecret(context, site, first);
  if (action !== 'list')
    throw new Problem(EXIT.USAGE, `There is no \`secrets ${action}\`.`, {
      next: 'Use list, export [FILE], set NAME FILE or rotate NAME.',
    });
  listSecrets(context, store, config);
  return EXIT.OK;
};

/** The question whose answer is a secret. That of a bucket for backups ends with the name of the bucket. */
const questionOf = (name: string): Question | undefined =>
  ALL_QUESTIONS.find(({ key, secret }) => secret === true && key === name.replace(/:.*/, ''));

function listSecrets({ progress }: CommandContext, store: Store, config: Config): void {
  const able = new Set(rotatable(config).map(({ name }) => name));
  const about = new Map(secretSpecs(config).map((spec) => [spec.name, spec.about]));
  const list = store.list().map((one) => ({
    ...one,
    about: about.get(one.name) ?? questionOf(one.name)?.message,
    rotates: able.has(one.name),
  }));
  progress.emit({ event: 'secrets', secrets: list });
  const width = Math.max(0, ...list.map(({ name }) => name.length));
  for (const { name, class: kind, created, fingerprint, about: meaning } of list) {
    progress.print(`${name.padEnd(width)}  ${kind.padEnd(7)}  ${created.slice(0, 10)}  ${fingerprint}`);
    if (meaning !== undefined) progress.print(`  ${meaning}`);
  }
  progress.print();
  progress.print('forever  the data depend on it; it never changes');
  progress.print('steps    changing it takes more than a new value');
  progress.print('free     can be changed at any time');
  progress.print();
  progress.print(`\`fedi-setup secrets rotate NAME\` replaces one of: ${[...able].join(', ')}`);
}

/** `secrets rotate NAME`: sets a new value in its server, and recreates the containers that use it. */
async function rotateSecret(
  context: CommandContext,
  { folder, config, engine }: Site,
  name: string | undefined,
): Promise<ExitCode> {
  await engine.info();
  const able = rotatable(config);
  const isAccount = config.apps.some(({ id }) => appOf(id).adminSecret === name);
  const spec = able.find((one) => one.name === name);
  if (spec === undefined) {
    const known = secretSpecs(config).find((one) => one.name === name);
    if (known?.class === 'forever')
      throw new Problem(EXIT.REFUSED, `${known.name} cannot be changed.`, {
        means: `${known.about} Nothing was changed.`,
        next: `\`secrets rotate\` can replace: ${able.map((one) => one.name).join(', ')}.`,
      });
    throw new Problem(
      EXIT.USAGE,
      name === undefined
        ? '`secrets rotate` needs the name of a secret.'
        : isAccount
          ? `${name} is the password of an account, which the app stores.`
          : known === undefined && questionOf(name) === undefined
            ? `There is no secret ${name}.`
            : `${name} cannot be rotated.`,
      {
        next: isAccount
          ? '`fedi-setup user password NAME` sets a new one.'
          : `\`secrets rotate\` can replace: ${able.map((one) => one.name).join(', ')}. Give a new value of a secret that you supplied to \`fedi-setup apply\`.`,
      },
    );
  }
  await confirmed(context, spec.name, `replaces ${spec.name}. ${spec.about}`);
  return setUp(context, folder, { ...(await answersFor(context, folder, [], false)), renew: spec });
}

async function exportSecrets(
  { progress, flags }: CommandContext,
  store: Store,
  folder: string,
  name: string,
): Promise<ExitCode> {
  if (name === '-') {
    if (flags.json)
      throw new Problem(EXIT.USAGE, 'With --json, `secrets export` needs the name of a file.', {
        next: 'Name a file, or omit --json.',
      });
    progress.print(store.recoveryText().trimEnd());
    return EXIT.OK;
  }
  const path = resolvePath(name);
  if (await exists(path))
    throw new Problem(EXIT.USAGE, `${path} already exists.`, {
      means: 'It was not touched.',
      next: 'Choose another file.',
    });
  await writeWhole(path, store.recoveryText(), 0o600);
  progress.say(`${path} contains all secrets of this site. Only you can read it.`);
  progress.say(
    `Store it with your backups, not on this host. To use it, copy it to ${join(folder, 'secrets.json')}.`,
  );
  progress.emit({ event: 'exported', path });
  return EXIT.OK;
}

/** An admin's password that was changed in the app: only `prove` uses it, nothing else depends on it. */
async function setSecret(
  { progress, now, onLocked }: CommandContext,
  { folder, config }: Site,
  name: string | undefined,
  file: string | undefined,
): Promise<ExitCode> {
  const names = config.apps.map(({ id }) => appOf(id).adminSecret);
  if (name === undefined || !names.includes(name)) {
    throw new Problem(EXIT.USAGE, `\`secrets set\` takes one of: ${names.join(', ')}.`, {
      means: 'Others are generated, or given to `fedi-setup apply`.',
      next: `fedi-setup secrets set ${names[0] ?? ''} FILE (or - for standard input)`,
    });
  }
  if (file === undefined)
    throw new Problem(
      EXIT.USAGE,
      'FILE is missing: the value is read from a file, or from standard input with -.',
      {
        next: `fedi-setup secrets set ${name} FILE (or - for standard input)`,
      },
    );
  const value = (await readNamed(file, name)).replace(/\r?\n$/, '');
  if (value === '')
    throw new Problem(EXIT.USAGE, `${name} cannot be empty.`, { means: 'Nothing was changed.' });
  await withRunLock({ onLocked }, folder, async () => {
    // Opened only now: another run may have changed secrets while this one waited for input.
    const store = await Store.open(folder);
    store.put(name, 'free', value, now());
    store.markShown(name);
    await store.save();
  });
  progress.say(`${name} is stored in secrets.json. Nothing was changed in the app.`);
  return EXIT.OK;
}
