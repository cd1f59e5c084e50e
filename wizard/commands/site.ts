/** Commands for an existing site: inspect it, prove it, use its tools, remove it. */
import { readdir, realpath, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { appOf } from '../apps/index.ts';
import { bucketOf } from '../apps/s3.ts';
import { exists } from '../atomic.ts';
import { OWN, PICTURES } from '../layout.ts';
import { dataOf, dataStay, placesBefore, placesIn } from '../apply/data.ts';
import { readManifest } from '../apply/files.ts';
import { answersOf, readGeneration } from '../apply/generations.ts';
import { takeLock } from '../apply/runlock.ts';
import { doctor } from '../checks/preflight.ts';
import { servicesOf } from '../checks/site.ts';
import { LOCK_FILE, lockedReference, readLock } from '../plan/lock.ts';
import { ALL_QUESTIONS } from '../answers/questions.ts';
import { CONFIG_FILE } from '../answers/sources.ts';
import type { Config } from '../config/config.ts';
import type { Container } from '../docker/engine.ts';
import { isYoung } from '../docker/health.ts';
import { EXIT, Problem } from '../problem.ts';
import { allReceipts, lastReceipt, proveSite } from '../apply/receipt.ts';
import { STORE_FILE, Store } from '../secrets/store.ts';
import { confirmed, existingSite, out } from './command.ts';
import type { Command, CommandContext, Site } from './command.ts';

export const statusCommand: Command = async (context) => {
  const { folder, config, engine } = await existingSite(context);
  await engine.info();
  const containers = await engine.containers(config.name);
  const receipt = await lastReceipt(folder);
  if (context.flags.json) {
    context.progress.emit({
      event: 'status',
      folder,
      containers: containers.map(({ service, state, health, restarts }) => ({
        service,
        state,
        health,
        restarts,
      })),
      proven: receipt?.proven ?? false,
      at: receipt?.at,
    });
    return EXIT.OK;
  }
  out(`Site in ${folder}`);
  for (const { id, domain } of config.apps) out(`  ${appOf(id).name}: https://${domain}`);
  const services = (await servicesOf(folder)) ?? new Map<string, boolean>();
  const width = Math.max(...[...services.keys()].map((name) => name.length));
  for (const [name, oneShot] of services) {
    const container = containers.find(({ service }) => service === name);
    if (container !== undefined)
      out(`  ${name.padEnd(width)}  ${stateOf(container, oneShot, context.now())}`);
    else if (containers.length > 0) out(`  ${name.padEnd(width)}  missing`);
  }
  if (containers.length === 0) out('  no containers');
  out(
    receipt === undefined
      ? '  never proven'
      : `  ${receipt.proven ? 'proven' : 'not proven'} at ${receipt.at}`,
  );
  return EXIT.OK;
};

function stateOf(container: Container, oneShot: boolean, now: Date): string {
  const { state, health, exitCode } = container;
  if (state === 'exited') return oneShot && exitCode === 0 ? 'done' : `exited with code ${exitCode}`;
  if (state === 'running' && health === 'unhealthy' && isYoung(container, now))
    return 'running (not healthy yet)';
  return `${state}${health ? ` (${health})` : ''}`;
}

export const doctorCommand: Command = async (context) => {
  const { flags, progress, now } = context;
  const { folder, config, engine } = await existingSite(context);
  const images = Object.fromEntries(
    Object.entries(await readLock(folder)).map(([name, entry]) => [name, lockedReference(entry)]),
  );
  const look = (fix: boolean): Promise<void> =>
    doctor({
      folder,
      config,
      engine,
      skip: flags.skipCheck,
      progress,
      now,
      images,
      caddy: images['caddy'],
      fix,
    });
  if (!flags.fix) {
    await look(false);
    return EXIT.OK;
  }
  const release = await takeLock(folder);
  context.onLocked(release);
  try {
    await look(true);
  } finally {
    await release();
  }
  return EXIT.OK;
};

export const proveCommand: Command = async (context) => {
  const { folder, config, engine } = await existingSite(context);
  await engine.info();
  const release = await takeLock(folder);
  context.onLocked(release);
  try {
    const { flags, progress, now } = context;
    const store = await Store.open(folder);
    const receipt = await proveSite({ folder, config, store, engine, progress, now, mail: flags.mail });
    return receipt.proven ? EXIT.OK : EXIT.UNPROVEN;
  } finally {
    await release();
  }
};

interface CaughtMail {
  readonly ID: string;
  readonly From: { readonly Address: string };
  readonly To: readonly { readonly Address: string }[];
  readonly Subject: string;
  readonly Created: string;
}

/** Shows the mails in the catcher, oldest first. It has no published port, so it is asked from its own network. */
export const mailCommand: Command = async (context) => {
  const { folder, config, engine } = await existingSite(context);
  await engine.info();
  if (config.mail.mode !== 'catcher') {
    throw new Problem(EXIT.USAGE, `This site has no mail catcher: mail.mode is ${config.mail.mode}.`, {
      next: 'To get one, set mail.mode to catcher in fedi.yaml and run `fedi-setup apply`.',
    });
  }
  const caddy = (await readLock(folder))['caddy'];
  if (caddy === undefined)
    throw new Problem(EXIT.FAILED, 'The site has never been set up.', { next: 'Run `fedi-setup apply`.' });
  const catcher = (await engine.containers(config.name)).find(({ service }) => service === 'mail');
  const get = async <T>(path: string): Promise<T> => {
    const { code, stdout, stderr } = await engine.run({
      image: lockedReference(caddy),
      argv: ['curl', '--silent', '--show-error', '--fail', `http://127.0.0.1:8025${path}`],
      network: catcher === undefined ? 'none' : `container:${catcher.id}`,
    });
    if (code !== 0) {
      throw new Problem(EXIT.FAILED, `The mail catcher does not answer: ${stderr.trim()}`, {
        next: 'Check with `fedi-setup status` that the site runs.',
      });
    }
    return JSON.parse(stdout) as T;
  };
  const { messages } = await get<{ messages: CaughtMail[] }>('/api/v1/messages');
  for (const mail of messages.toReversed()) {
    const { Text: text } = await get<{ Text: string }>(`/api/v1/message/${mail.ID}`);
    const to = mail.To.map(({ Address }) => Address).join(', ');
    context.progress.emit({
      event: 'mail',
      from: mail.From.Address,
      to,
      subject: mail.Subject,
      at: mail.Created,
      text,
    });
    if (!context.flags.json)
      out(
        `${mail.Created}  ${mail.From.Address} → ${to}\n${mail.Subject}\n\n${text.trim().replace(/^/gm, '  ')}\n`,
      );
  }
  if (messages.length === 0) context.progress.say('No mail yet.');
  return EXIT.OK;
};

/** `fedi-setup snac …` and so on: runs the app's own tool in its container and returns its exit code. */
export const toolCommand =
  (name: string): Command =>
  async (context) => {
    const { folder, config, engine } = await existingSite(context);
    await engine.info();
    const app = config.apps.find(({ id }) => appOf(id).cli.name === name);
    if (app === undefined)
      throw new Problem(EXIT.USAGE, `This site has no ${name}.`, {
        next: `It runs ${config.apps.map(({ id }) => id).join(', ')}.`,
      });
    const { service, argv } = appOf(app.id).cli;
    const running = (await engine.containers(config.name)).some(
      (one) => one.service === service && one.state === 'running',
    );
    const terminal = process.stdin.isTTY && process.stdout.isTTY ? [] : ['--no-TTY'];
    const [program = '', ...rest] = argv(context.words);
    return engine.composeAttached(
      folder,
      running
        ? ['exec', ...terminal, service, program, ...rest]
        : ['run', '--rm', '--no-deps', ...terminal, '--entrypoint', program, service, ...rest],
    );
  };

/**
 * Removes the containers, their volumes if `data` is set, then the files. Names what stays: the user's own directories, servers
 * and files.
 */
async function removeSite(
  context: CommandContext,
  { folder, engine, config }: Site,
  what: string,
  data: boolean,
  files: () => Promise<void>,
): Promise<void> {
  const { progress } = context;
  const elsewhere = data ? await dataElsewhere(folder, config) : [];
  const places = data ? [...(await dataOf(engine, config.name)).values()].flat() : [];
  const devices = places.flatMap(({ device }) => device ?? []);
  const release = await takeLock(folder);
  context.onLocked(release);
  progress.start('down', `Removing ${what}`);
  try {
    // Later nothing shows which anonymous volumes were theirs.
    const anonymous = (await engine.containers(config.name)).flatMap((one) => one.anonymous ?? []);
    // Without a Compose file there were no containers.
    if (await exists(join(folder, 'compose.yaml'))) {
      const result = await engine.compose(
        folder,
        ['down', '--remove-orphans', ...(data ? ['--volumes'] : [])],
        (line) => progress.update(line),
      );
      if (result.code !== 0)
        throw new Problem(
          EXIT.FAILED,
          `docker compose down failed: ${result.stderr.trim().split('\n').at(-1) ?? ''}`,
          { next: 'Fix that and run this again.' },
        );
    }
    // Networks of earlier settings are not in the Compose file.
    await engine.removeNetworks(config.name, () => true);
    if (data) {
      await engine.removeUnused(anonymous);
      await engine.removeVolumes(config.name);
    }
    await files();
    progress.done();
  } catch (error) {
    progress.fail();
    throw error;
  } finally {
    await release();
  }
  for (const device of devices) progress.say(`  ${dataStay(device).replace(/^d/, 'D')}`);
  for (const place of elsewhere) progress.say(`  Data stay in ${place}.`);
  progress.emit({ event: 'left', directories: devices, servers: elsewhere });
}

/** External databases, Redis servers and buckets with data of the site, for messages. */
async function dataElsewhere(folder: string, config: Config): Promise<string[]> {
  const servers = Object.values(await placesBefore(folder)).filter((one) => !one.startsWith('the volume '));
  const buckets = config.apps.flatMap(({ id }) => bucketOf(config.answers, id) ?? []);
  return [...new Set([...servers, ...buckets.map(({ name }) => `the bucket ${name}`)])];
}

/** Removes containers and networks, with --data the data too. The user must confirm the site's name. */
export const uninstallCommand: Command = async (context) => {
  const { data } = context.flags;
  const site = await existingSite(context);
  await site.engine.info();
  const what = data
    ? 'the containers, ALL DATA and the site directory'
    : 'the containers; data, secrets and answers stay';
  await confirmed(
    context,
    site.config.name,
    `removes ${what}: ${site.folder}`,
    data ? '' : ' (and --data to remove the data too)',
  );
  await removeSite(context, site, what, data, () => (data ? removeOurs(site.folder) : Promise.resolve()));
  if (data) {
    const own = await readdir(site.folder).catch(() => []);
    if (own.length > 0) context.progress.say(`  Your own files stay in ${site.folder}: ${own.join(', ')}`);
    return EXIT.OK;
  }
  const places = [...(await dataOf(site.engine, site.config.name)).values()].flat();
  context.progress.say(
    `  The data stay${places.length > 0 ? ` in ${placesIn(places)}` : ''}; \`fedi-setup apply --dir ${site.folder}\` restores the site.`,
  );
  return EXIT.OK;
};

/**
 * Removes containers, data and generated files; keeps the answers. Refused for a site that was live, since other servers know
 * its accounts, unless --data is given.
 */
export const resetCommand: Command = async (context) => {
  const { progress, flags } = context;
  const site = await existingSite(context);
  const { folder } = site;
  await site.engine.info();
  const live = await wasLive(folder);
  if (live !== undefined && !flags.data) {
    throw new Problem(EXIT.REFUSED, `This site was live: proven with public certificates at ${live}.`, {
      means:
        'Other servers may know its accounts. Without the data those account names cannot be used again: other servers would not follow them. Nothing was removed.',
      next: `To delete it anyway: \`fedi-setup reset --data\`. To stop it and keep the data: \`fedi-setup uninstall\`.`,
    });
  }
  const what = 'the containers, ALL DATA, the generated files and secrets; the answers stay';
  await confirmed(
    context,
    site.config.name,
    `removes ${what}: ${site.folder}`,
    live === undefined ? '' : ' --data',
  );
  await removeSite(context, site, what, true, async () => {
    const store = await Store.open(folder);
    store.keepOnly(ALL_QUESTIONS.filter(({ secret }) => secret).map(({ key }) => key));
    await removeOurs(folder, [CONFIG_FILE, ...(store.list().length > 0 ? [STORE_FILE] : [])]);
    if (store.list().length > 0) await store.save();
  });
  progress.say(`  \`fedi-setup --dir ${folder}\` starts again with the saved answers.`);
  return EXIT.OK;
};

/** When the site was proven with publicly trusted certificates; undefined: never. */
async function wasLive(folder: string): Promise<string | undefined> {
  for (const { at, proven, generation } of await allReceipts(folder)) {
    if (!proven) continue;
    const then = await readGeneration(folder, generation);
    // A generation that cannot be read may have been live.
    if (then === undefined || (await answersOf(then))['tls.mode'] !== 'internal') return at;
  }
  return undefined;
}

/** Removes generated files, secrets last, and empty directories. Keeps `stay` and the user's own files. */
async function removeOurs(folder: string, stay: readonly string[] = []): Promise<void> {
  const { files } = await readManifest(folder);
  const remove = async (path: string): Promise<void> => {
    if (stay.includes(path)) return;
    const target = await realpath(join(folder, path)).catch(() => undefined);
    // If the user replaced our file by a link, its target is ours too.
    if (target !== undefined && target !== join(folder, path) && (await stat(target)).isFile())
      await rm(target);
    await rm(join(folder, path), { recursive: true, force: true });
  };
  for (const path of [...Object.keys(files), CONFIG_FILE, LOCK_FILE, OWN, STORE_FILE]) await remove(path);
  // Deepest first; a directory with files of the user is not empty and stays.
  for (const inner of [
    'caddy/sites',
    'caddy/tls',
    'caddy/pki',
    PICTURES,
    'caddy',
    'env',
    'front',
    'trust',
    '.',
  ]) {
    const path = join(folder, inner);
    const left = await readdir(path).catch(() => ['?']);
    if (left.length === 0) await rm(path, { recursive: true, force: true });
  }
}
