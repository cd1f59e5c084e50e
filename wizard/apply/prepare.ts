/** Builds the plan of a run, with what it takes to execute it. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { APP_IDS, allNamesOf, appOf } from '../apps/index.ts';
import { olderImages } from '../apps/majors.ts';
import { writeWhole } from '../atomic.ts';
import { configOf } from '../answers/config.ts';
import type { Config } from '../config/config.ts';
import { changed } from '../config/on-change.ts';
import { componentsOf } from '../components/index.ts';
import type { Answers } from '../config/question.ts';
import { questionsFor } from '../answers/questions.ts';
import type { Resolved } from '../answers/resolve.ts';
import { saveInto, withoutApps, worthSaving } from '../answers/save.ts';
import { CONFIG_FILE } from '../answers/sources.ts';
import { caddyRunsOn } from '../docker/caddy.ts';
import { EngineGone } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { runtimeOf } from '../docker/runtime.ts';
import { CUSTOM_TRUST, OWN, STARTS, SWAP } from '../layout.ts';
import type { Change } from '../plan/diff.ts';
import { LOCK_FILE, readLock, wantedImages } from '../plan/lock.ts';
import type { Lock, WantedImage } from '../plan/lock.ts';
import { filesOf } from '../plan/plan.ts';
import type { ImageAction, Plan } from '../plan/plan.ts';
import { EXIT, Problem, gather } from '../problem.ts';
import { placeOf, renderSite } from '../render/site.ts';
import type { RenderedSite } from '../render/site.ts';
import { customFiles } from '../render/verify.ts';
import { makeRoot } from '../secrets/openssl.ts';
import { Secret } from '../secrets/secret.ts';
import { BACKUP_SECRETS } from '../secrets/backup.ts';
import { bucketsIn } from '../config/backup.ts';
import { S3_SECRET, bucketOf, parseSecrets, secretFor, secretName } from '../config/backup-keys.ts';
import { SITE_SECRETS, STORE_FILE, Store } from '../secrets/store.ts';
import type { SecretSpec } from '../secrets/store.ts';
import { leftovers, ownFilesHash, stale } from './containers.ts';
import { compare, readManifest } from './files.ts';
import { refuseForeign } from './foreign.ts';
import { gitignore } from './gitignore.ts';
import { runningAnswers, runningLock } from './generations.ts';
import { lockOf, referenceToPull } from './images.ts';
import { heldImages, imagesFor, withoutLostBuilds } from './older.ts';
import { readPictures } from './pictures.ts';
import { lastReceipt } from './receipt.ts';
import { renew } from './rotate.ts';
import { due } from './steps.ts';
import { swapIsThere } from './swap.ts';
import { trustProblems } from './trust.ts';
import { readOwnCas } from '../trust.ts';
import { refuseGoodbye } from './goodbye.ts';
import { refuseUnfinished } from './unfinished.ts';

/** What a run starts from. `rollback` gives another lock, `secrets rotate` a secret. */
export interface PlanInput {
  /** Absolute path of the site directory. */
  readonly folder: string;
  readonly resolved: Resolved;
  /** Text of the fedi.yaml that the answers came from; undefined: there was none. */
  readonly savedText: string | undefined;
  /** Image lock to use instead of the site's own. */
  readonly lock?: Lock | undefined;
  /** A secret to rotate. */
  readonly renew?: SecretSpec | undefined;
  /** This run is part of an upgrade, which refuses all others. */
  readonly upgrading?: true | undefined;
  /** This run changes the place of media, and refuses all others meanwhile. */
  readonly movesMedia?: true | undefined;
  /** Names of the images that get another version in this upgrade. */
  readonly moved?: readonly string[] | undefined;
  /** The old containers serve until the one-shots of the new version are complete: it changes no data. */
  readonly jobsFirst?: boolean | undefined;
  /** Size of the swap file to create if there is none; 0: none. */
  readonly swapGiB: number;
  /** Replace edited files, also those that were kept before. */
  readonly discardKept: boolean;
  readonly now: () => Date;
}

/** A plan with what it takes to execute it. */
export interface Prepared {
  readonly plan: Plan;
  readonly input: PlanInput;
  readonly config: Config;
  readonly store: Store;
  readonly wanted: Readonly<Record<string, WantedImage>>;
  readonly lock: Lock;
  readonly site: RenderedSite;
  readonly changes: readonly Change[];
  /** Hash of the files that the plan was made from. */
  readonly basis: string;
}

/** Secrets of a site; those that the user supplies have no `make`. */
export function secretSpecs(config: Config): SecretSpec[] {
  const specs: SecretSpec[] = [...SITE_SECRETS];
  if (config.tls.isLab) {
    specs.push({
      name: 'tls.root',
      class: 'steps',
      about: 'The internal CA: certificate and key.',
      make: () => makeRoot(`${config.name} internal CA`),
    });
  }
  if (config.backup !== undefined) specs.push(...BACKUP_SECRETS);
  for (const { id } of config.apps) specs.push(...appOf(id).secrets);
  for (const { secrets } of componentsOf(config)) specs.push(...(secrets?.(config) ?? []));
  return specs;
}

/** Secrets among the answers, by their names in secrets.json. */
function givenSecrets({ secrets }: Resolved, { backup }: Config): (readonly [string, string])[] {
  return Object.entries(secrets).flatMap(([name, value]) => {
    const parsed = name === S3_SECRET ? parseSecrets(value, backup?.s3Keys ?? {}) : undefined;
    return parsed !== undefined && 'value' in parsed
      ? Object.entries(parsed.value).map(([bucket, secret]) => [secretName(bucket), secret] as const)
      : [[name, value] as const];
  });
}

/** Refuses buckets for backups whose secret is neither given nor stored. */
function refuseKeysAlone({ backup }: Config, store: Store): void {
  if (backup === undefined) return;
  const missing = bucketsIn(backup.repositories).find((name) => !store.has(secretFor(backup.s3Keys, name)));
  if (missing === undefined) return;
  throw new Problem(EXIT.USAGE, `The bucket for backups ${missing} has an access key, but no secret key.`, {
    means: 'Nothing was changed.',
    next: `Give --backup-s3-secret-file FILE (or -) or FEDI_BACKUP_S3_SECRET${backup.s3Keys[missing] === undefined ? '' : `, with a line ${missing}=SECRET`}.`,
  });
}

/** Builds the plan. Changes nothing on the disk or in the engine. */
export async function prepare(input: PlanInput, engine: Engine): Promise<Prepared> {
  const { folder, resolved, now } = input;
  if (input.upgrading !== true) await refuseUnfinished(folder, input.movesMedia && 'media');
  const config = configOf(resolved.answers);
  await refuseGoodbye(folder, config.apps);
  const basis = await basisOf(folder);
  const running = engine.containers(config.name);
  running.catch(() => undefined);
  const store = await Store.open(folder);
  const classes = new Map(secretSpecs(config).map((spec) => [spec.name, spec.class]));
  const given = givenSecrets(resolved, config);
  // In no rendered file, so nothing else would show that they changed.
  const replaced = given
    .filter(
      ([name, value]) =>
        bucketOf(name) !== undefined && ![undefined, value].includes(store.find(name)?.reveal()),
    )
    .map(([name]) => name);
  for (const [name, value] of given) store.put(name, classes.get(name) ?? 'free', value, now());
  if (config.mail.server?.user !== undefined && !store.has('mail.password')) {
    throw new Problem(EXIT.USAGE, 'Outgoing mail has a user name but no password.', {
      means: 'Nothing was changed.',
      next: 'Give --mail-password-file FILE (or -) or FEDI_MAIL_PASSWORD, or remove the user name.',
    });
  }
  refuseKeysAlone(config, store);
  await refuseProblems(folder, resolved);
  const wanted = await imagesFor(
    folder,
    config,
    engine,
    await readLock(folder),
    input.moved,
    // Also while an upgrade is undone.
    input.upgrading,
  );
  const notes = [
    ...notesOn(config, resolved.answers, (await runningAnswers(folder)) ?? {}),
    ...(input.upgrading === true ? [] : await notesOnImages(folder, config, wanted)),
  ];
  const generate = await store.ensure(secretSpecs(config), now());
  if (input.renew !== undefined) await renew(config, store, input.renew, now());
  const rotate = new Set([
    ...store.coming(),
    ...(input.renew === undefined ? [] : [input.renew.name]),
    ...replaced,
  ]);
  await refuseForeign(folder, config.name, await running);
  await refuseOtherCompose(folder);
  return render(
    { input, config, store, wanted, basis },
    { secrets: { generate, rotate: [...rotate] }, notes },
    engine,
  );
}

/**
 * Renders the site of a plan again, with images that the host has now. Secrets are those of the plan.
 * @param pulled names of the images that this run pulled
 */
export const prepareWithImages = (
  { plan: { secrets, notes }, ...prepared }: Prepared,
  engine: Engine,
  pulled: ReadonlySet<string>,
): Promise<Prepared> => render(prepared, { secrets, notes }, engine, pulled);

/** Whether files that the plan was made from have changed since. */
export async function isOutdated({
  input: { folder, discardKept },
  site,
  changes,
  basis,
}: Prepared): Promise<boolean> {
  if ((await basisOf(folder)) !== basis) return true;
  const found = await compare(folder, site.files, discardKept);
  return JSON.stringify(found.map(stateOf)) !== JSON.stringify(changes.map(stateOf));
}

const stateOf = ({ path, kind, edited, found }: Change): unknown[] => [path, kind, edited, found];

/** Hash of the files that a plan is made from, besides the generated ones. */
async function basisOf(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const name of [CONFIG_FILE, LOCK_FILE, STORE_FILE, join(OWN, 'manifest.json')])
    hash.update(name).update(await readFile(join(folder, name)).catch(() => ''));
  for (const [name, text] of Object.entries(await customFiles(folder))) hash.update(name).update(text);
  return hash.digest('hex');
}

/** What a change leaves behind, in sentences. Throws a Problem (exit 3) if answers changed that cannot change. */
function notesOn(config: Config, answers: Answers, running: Answers): string[] {
  const { refused, leaves } = changed(questionsFor(config.apps.map(({ id }) => id)), running, answers);
  if (refused.length > 0) {
    throw new Problem(EXIT.REFUSED, refused.join('\n'), {
      means: 'Nothing was changed.',
      next: 'Change it back, or create a new site in another directory. `fedi-setup reset` empties a site that was never live.',
    });
  }
  const before = String(running['apps'] ?? '').split(',');
  const removed = APP_IDS.filter((id) => before.includes(id) && !config.apps.some((app) => app.id === id));
  return [
    ...leaves,
    ...removed.map(
      (id) => `${appOf(id).name} will be removed. Its data stay until \`fedi-setup remove ${id} --data\`.`,
    ),
  ];
}

/** What a chosen image may do to the data, in sentences. */
async function notesOnImages(
  folder: string,
  config: Config,
  wanted: Readonly<Record<string, WantedImage>>,
): Promise<string[]> {
  const ran = Object.entries(await runningLock(folder)).map(([name, { tag }]): [string, string] => [
    name,
    tag,
  ]);
  return olderImages(config, Object.fromEntries(ran))
    .filter(({ name, to }) => wanted[name]?.reference === to)
    .map(
      ({ name, from, to }) =>
        `${name} changes from ${from} to ${to}, which may change its data: the old version cannot use them then. To install it after a backup, and undo it if it fails, set it in fedi.yaml and run \`fedi-setup upgrade --images\`.`,
    );
}

async function render(
  prepared: Pick<Prepared, 'input' | 'config' | 'store' | 'wanted' | 'basis'>,
  known: Pick<Plan, 'secrets' | 'notes'>,
  engine: Engine,
  pulled?: ReadonlySet<string>,
): Promise<Prepared> {
  const { input, config, store, wanted } = prepared;
  const { folder, resolved, savedText } = input;
  const locked = input.lock ?? (await readLock(folder));
  const { lock, missing } = await lockOf(engine, wanted, locked, pulled);
  // A missing image is shown by its tag; the lock is written after the pull.
  const shown: Lock = {
    ...lock,
    ...Object.fromEntries(
      missing.map((name) => [name, { tag: wanted[name]?.reference ?? '', id: '', source: 'built' as const }]),
    ),
  };
  const gone = APP_IDS.filter((id) => !config.apps.some((app) => app.id === id));
  const questions = questionsFor(config.apps.map(({ id }) => id));
  const rendered = await renderSite({
    config,
    store,
    lock: shown,
    answersText: saveInto(savedText && withoutApps(savedText, gone), worthSaving(questions, resolved)),
    customCaddy: Object.entries(await customFiles(folder))
      .filter(([name]) => name.startsWith('caddy/'))
      .map(([name, text]) => `${name}\n${text}`)
      .join('\n'),
    ownCas: await ownCasOf(folder, config),
    pictures: (await readPictures(folder, config)).files,
    noProxy: await engine.noProxy(),
    networks: config.tls.isLab ? await engine.networks() : [],
  });
  const site = { ...rendered, files: [...rendered.files, ...(await gitignore(folder))] };
  const changes = await compare(folder, site.files, input.discardKept);
  const images = missing.flatMap((name): ImageAction[] => {
    const spec = wanted[name];
    if (spec === undefined) return [];
    return spec.build === undefined
      ? [{ name, reference: referenceToPull(locked, name, spec), action: 'pull' }]
      : [{ name, reference: spec.reference, action: 'build' }];
  });
  const plan: Plan = { ...(await planOf({ ...prepared, site, changes }, engine)), ...known, images };
  return { ...prepared, lock, site, changes, plan };
}

/** Throws a Problem if there is no such file: containers would start without its certificates. */
async function ownCasOf(folder: string, config: Config): Promise<string | undefined> {
  const pem = await readOwnCas(folder, config);
  if (pem !== undefined || config.ownCas === undefined) return pem;
  const path = join(folder, CUSTOM_TRUST, config.ownCas);
  throw new Problem(EXIT.USAGE, `There are no certificates in ${path}, which trust.ca names.`, {
    means: 'Nothing was changed.',
    next: 'Put the CA certificates there, or remove trust.ca from fedi.yaml.',
  });
}

/** The part of a plan that follows from the rendered site, the disk and the containers. */
async function planOf(
  { input, config, store, site, changes }: Omit<Prepared, 'plan' | 'lock'>,
  engine: Engine,
): Promise<Omit<Plan, 'images' | 'secrets' | 'notes'>> {
  const { folder, swapGiB } = input;
  const { generation } = await readManifest(folder);
  const containers = await engine.containers(config.name);
  const behind = await stale(containers, folder, site);
  const there = new Set(containers.map(({ service }) => service));
  const files = filesOf(changes);
  const several = config.apps.length > 1;
  const receipt = await lastReceipt(folder);
  return {
    folder,
    generation,
    ...(swapGiB > 0 && !(await swapIsThere()) ? { swap: { file: SWAP.file, gib: swapGiB } } : {}),
    files,
    ownFiles: await ownFilesChanged(folder),
    containers: {
      create: behind.filter((name) => !there.has(name)),
      recreate: behind.filter((name) => there.has(name)),
      remove: leftovers(containers, site),
    },
    starts: await startsOf(folder),
    reload:
      generation > 0 &&
      !behind.includes('caddy') &&
      (files.some(({ path }) => path.startsWith('caddy/')) || !(await isCaddyCurrent(engine, folder, site))),
    steps: [
      ...componentsOf(config).flatMap(({ steps }) =>
        (steps?.(config, (name) => store.get(name)) ?? []).map(({ id, title }) => ({ id, title })),
      ),
      ...config.apps.flatMap((app) =>
        due(appOf(app.id).steps(app), store).map(({ id, title }) => ({
          id,
          title: several ? `${appOf(app.id).name}: ${title}` : title,
        })),
      ),
    ],
    passwords: config.apps.filter(({ id }) => !store.wasShown(appOf(id).adminSecret)).map(({ id }) => id),
    prove: files.length > 0 || receipt?.proven !== true || receipt.generation !== generation,
  };
}

/** Conflicts between answers, and unusable pictures, in sentences. */
export async function problemsOf(
  folder: string,
  { answers, secrets }: Pick<Resolved, 'answers' | 'secrets'>,
): Promise<string[]> {
  const config = configOf(answers);
  const store = await Store.open(folder);
  return [
    ...config.apps.flatMap((app) => appOf(app.id).problems?.(config, app) ?? []),
    ...sameNames(config),
    ...samePlaces(config, (name) =>
      secrets[name] === undefined ? store.get(name) : new Secret(secrets[name]),
    ),
    ...(await readPictures(folder, config)).problems,
    ...(await trustProblems(folder, config, new Date())),
    ...(config.tls.ca?.isPublic === true && config.tls.email?.endsWith('@localhost') === true
      ? ['A public CA accepts no contact address at localhost: give another one as --tls-email.']
      : []),
  ];
}

/** Finds public hosts of buckets that Caddy already serves for something else. */
function sameNames(config: Config): string[] {
  const names = allNamesOf(config);
  return config.apps.flatMap(({ id, bucket }) =>
    bucket?.isProxied === true && names.filter((name) => name === bucket.alias).length > 1
      ? [
          `${bucket.alias ?? ''} is already a name of this site. Give the bucket another one as --${id}-s3-alias.`,
        ]
      : [],
  );
}

/** Finds apps that share a database or a Redis database number. */
function samePlaces(config: Config, secret: (name: string) => Secret): string[] {
  const owners = new Map<string, string>();
  return config.apps.flatMap((app) =>
    appOf(app.id)
      .markers(app.options)
      .flatMap((marker) => {
        let place: string;
        try {
          place = placeOf(config, marker, secret);
        } catch (error) {
          if (error instanceof Problem) return []; // A missing address is reported later.
          throw error;
        }
        const other = owners.get(place);
        owners.set(place, appOf(app.id).name);
        return other === undefined
          ? []
          : [`${other} and ${appOf(app.id).name} would both use ${place}. Each needs its own.`];
      }),
  );
}

/** Throws a Problem (exit 2) with every conflict between answers. */
async function refuseProblems(
  folder: string,
  resolved: Pick<Resolved, 'answers' | 'secrets'>,
): Promise<void> {
  const cannot = await problemsOf(folder, resolved);
  if (cannot.length > 0)
    throw gather(
      EXIT.USAGE,
      'These answers conflict:',
      cannot,
      'Change them and run this again. Nothing was changed.',
    );
}

/** Every name under which Compose looks for a file, besides overrides. */
const COMPOSE_FILES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];

/** Refuses to create a site in a directory with the Compose file of another server: ours would hide it. */
async function refuseOtherCompose(folder: string): Promise<void> {
  if ((await readManifest(folder)).generation > 0) return;
  for (const name of COMPOSE_FILES) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
    // Ours, whose manifest was lost, counts as edited.
    if (text === undefined || (name === 'compose.yaml' && text.includes('fedi-setup'))) continue;
    throw new Problem(EXIT.REFUSED, `${folder} already has a ${name} that fedi-setup did not write.`, {
      means: 'From then on `docker compose` there would mean the new site. Nothing was changed.',
      next: 'Choose another directory with --dir. To take the place of that server, stop it and move its file away first.',
    });
  }
}

/** File with the hash of the administrator's own files at the last start. */
const PRIOR_FILE = join(OWN, 'own-files');

const priorHash = (folder: string): Promise<string | undefined> =>
  readFile(join(folder, PRIOR_FILE), 'utf8').catch(() => undefined);

/** Whether the administrator's own files for Compose or Caddy changed since the last start; false before the first one. */
export async function ownFilesChanged(folder: string): Promise<boolean> {
  const prior = await priorHash(folder);
  return prior !== undefined && prior !== (await ownFilesHash(folder));
}

/** Records that the containers run with the current versions of the administrator's own files. */
export const keepOwnFilesHash = async (folder: string): Promise<void> =>
  writeWhole(join(folder, PRIOR_FILE), await ownFilesHash(folder), 0o600);

/** The id in the Caddyfile on the disk, which the user may have edited and kept. */
async function caddyId(folder: string, site: RenderedSite): Promise<string> {
  const text = await readFile(join(folder, 'caddy/Caddyfile'), 'utf8').catch(() => '');
  return /^\s*respond (\w+)$/m.exec(text)?.[1] ?? site.caddyId;
}

/** Asks Caddy which configuration it runs. */
export async function isCaddyCurrent(engine: Engine, folder: string, site: RenderedSite): Promise<boolean> {
  const id = await caddyRunsOn(runtimeOf(engine, site.compose.name));
  return id !== undefined && id === (await caddyId(folder, site));
}

/** References of the images to pull, without a plan; none if the engine does not answer. */
export async function pullsOf(folder: string, config: Config, engine: Engine): Promise<string[]> {
  const locked = await readLock(folder);
  const held = await withoutLostBuilds(engine, await heldImages(folder, locked)).catch(() => ({}));
  const wanted = wantedImages(config, held);
  const { missing } = await lockOf(engine, wanted, locked).catch((error: unknown) => {
    if (error instanceof Problem && !(error instanceof EngineGone)) throw error;
    return { missing: [] };
  });
  return missing.flatMap((name) => {
    const spec = wanted[name];
    return spec === undefined || spec.build !== undefined ? [] : referenceToPull(locked, name, spec);
  });
}

/** Seconds that each service was down when it was last recreated, as far as known. */
export async function startsOf(folder: string): Promise<Readonly<Record<string, number>>> {
  try {
    const starts: unknown = JSON.parse(await readFile(join(folder, OWN, STARTS), 'utf8'));
    return typeof starts === 'object' ? ((starts ?? {}) as Record<string, number>) : {};
  } catch {
    return {}; // only for display
  }
}
