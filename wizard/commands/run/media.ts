/** `media move` and `media remove-old`. */
import { configOf } from '../../answers/config.ts';
import { appOf } from '../../apps/index.ts';
import { bucketIn, bucketSecret, secretKeyOf } from '../../apps/shared/s3.ts';
import { apply } from '../../apply/apply.ts';
import { runningAnswers, runningConfig } from '../../apply/generations.ts';
import { refuseGoodbye } from '../../apply/goodbye.ts';
import { proveSite } from '../../apply/receipt.ts';
import { isAlive, lockedBy, thisProcess } from '../../apply/runlock.ts';
import { refuseUnfinished } from '../../apply/unfinished.ts';
import { sizeText } from '../../checks/check.ts';
import { publicUrl } from '../../config/bucket.ts';
import { appConfig } from '../../config/config.ts';
import type { AppConfig, Config } from '../../config/config.ts';
import { nearest } from '../../config/parse.ts';
import { runtimeOf } from '../../docker/runtime.ts';
import { decideMove, readFigures, spaceMissing } from '../../media/decide.ts';
import {
  copyMedia,
  endCopy,
  fillBucket,
  forgetLists,
  lookAtMedia,
  mediaWriters,
  movesOf,
  removeOldMedia,
} from '../../media/move.ts';
import type { MediaSite } from '../../media/move.ts';
import {
  MEDIA_PLACES,
  bucketText,
  inPlace,
  keepMedia,
  placeText,
  readMediaRecord,
} from '../../media-record.ts';
import type { MediaMove, MediaPlace, OldMedia } from '../../media-record.ts';
import { readLock } from '../../plan/lock.ts';
import { EXIT, Problem, messageOf } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import { withLine } from '../../progress.ts';
import type { Receipt } from '../../prove/proof.ts';
import { Store } from '../../secrets/store.ts';
import type { CommandContext, Run } from '../command.ts';
import { confirmed } from '../confirm.ts';
import { existingSite } from '../find-site.ts';
import type { Site } from '../find-site.ts';
import { moveByApp } from './media-own.ts';
import { checkChange, readOldFiles, wantsMove } from './media-steps.ts';
import { answersOnly, optionsFor, planFor, sayFailed } from '../setup.ts';
import type { Answered } from '../setup.ts';
import { withRunLock } from '../with-lock.ts';

export const run: Run = async (context) => {
  const [action] = context.words;
  if (action === 'move') return moveMedia(context);
  if (action === 'remove-old') return removeOld(context);
  throw new Problem(
    EXIT.USAGE,
    action === undefined ? 'What should it do?' : `There is no action ${action}.`,
    {
      next: 'Use `fedi-setup media move --to s3`, `fedi-setup media move --to local` or `fedi-setup media remove-old`.',
    },
  );
};

/** The place that --to names. */
function chosenPlace({ flags: { to } }: Pick<CommandContext, 'flags'>): MediaPlace {
  const place = MEDIA_PLACES.find((one) => to.length === 1 && to[0] === one);
  if (place !== undefined) return place;
  throw new Problem(
    EXIT.USAGE,
    to.length === 0 ? 'Where should the media be?' : `--to must be s3 or local, not ${to.join(',')}.`,
    { next: 'Give --to s3 (the bucket of the answers) or --to local (this host).' },
  );
}

/** The app that --app names; without it, the only one that may be meant. */
function chosenApp(
  { flags }: Pick<CommandContext, 'flags'>,
  { config }: Pick<Site, 'config'>,
  isMeant: (app: AppConfig) => boolean,
): AppConfig {
  const ids = config.apps.map(({ id }) => id);
  const [id] = flags.app;
  if (flags.app.length > 1)
    throw new Problem(EXIT.USAGE, `--app names ${flags.app.length} apps.`, {
      means: 'Nothing was changed.',
      next: 'Move the media of one app, then those of the next.',
    });
  if (id !== undefined) {
    const app = config.apps.find((one) => one.id === id);
    if (app !== undefined) return app;
    throw new Problem(EXIT.USAGE, `This site has no app ${id}.`, {
      next: `It has ${ids.join(', ')}.${nearest(id, ids) === undefined ? '' : ` Did you mean ${nearest(id, ids) ?? ''}?`}`,
    });
  }
  const meant = config.apps.filter(isMeant);
  const [app] = meant.length > 0 ? meant : config.apps;
  if (app !== undefined && (meant.length === 1 || config.apps.length === 1)) return app;
  throw new Problem(EXIT.USAGE, 'Which app?', {
    next: `Give it as --app: ${(meant.length > 0 ? meant.map((one) => one.id) : ids).join(' or ')}.`,
  });
}

async function moveMedia(context: CommandContext): Promise<ExitCode> {
  const { progress, now, flags } = context;
  const to = chosenPlace(context);
  const site = await existingSite(context);
  const { folder, engine } = site;
  const app = chosenApp(
    context,
    site,
    ({ id }) => !('why' in appOf(id).moves) || 'program' in appOf(id).moves,
  );
  const { id } = app;
  const { name, moves } = appOf(id);
  const isOwn = 'program' in moves && to === 's3';
  if (!isOwn) movesOf(app);
  await engine.info();
  const running = await runningAnswers(folder);
  if (running === undefined)
    throw new Problem(EXIT.USAGE, `The site in ${folder} has not been set up yet.`, {
      next: 'Give the place of media to `fedi-setup apply`, which sets it up.',
    });
  await refuseUnfinished(folder, 'media');
  await refuseGoodbye(folder, site.config.apps);

  const record = await readMediaRecord(folder);
  const before = record.moves[id];
  if (before !== undefined && (await isAlive(before.owner))) throw lockedBy(before.owner);
  const place = { text: to, from: '--to' };
  const given = await answersOnly(
    { ...context, sources: [new Map([[`apps.${id}.media`, place]]), ...context.sources] },
    folder,
  );
  if (isOwn) return moveByApp(context, site, id, moves, given);
  const answered: Answered = { ...given, movesMedia: true };
  const wanted = configOf(answered.resolved.answers);
  const decision = decideMove({
    app: id,
    name,
    to,
    running: bucketIn(running, id),
    wanted: appConfig(wanted, id).bucket,
    move: before,
    old: record.old[id],
  });
  if (decision.kind === 'already') {
    progress.say(
      `Nothing to move: ${name}’s media are ${to === 's3' ? 'in the bucket' : 'on this host'} already.`,
    );
    return EXIT.OK;
  }
  if (decision.kind === 'cancel') {
    const { move } = decision;
    if (flags.dryRun) {
      progress.say(
        `This cancels the move to ${placeText(move.to, move.bucket)}. Dry run: nothing was changed.`,
      );
      return EXIT.OK;
    }
    await keepMedia(folder, id, { move: undefined });
    // With an old copy they are still needed: they say what belongs to it.
    if (record.old[id] === undefined) await forgetLists({ ...site, app });
    progress.say(
      `The move to ${placeText(move.to, move.bucket)} is cancelled. ${name} uses its media as before; what was copied is still there.`,
    );
    return EXIT.OK;
  }

  const prepared = await planFor(context, folder, answered, engine);
  await checkChange(context, prepared, running, to);
  const { bucket } = decision;
  const media: MediaSite = {
    ...site,
    app: appConfig(wanted, id),
    lock: await readLock(folder),
    progress,
    to,
    bucket,
    secretKey: bucketSecret(id, (key) => prepared.store.get(key)),
    at: before?.at ?? now().toISOString(),
  };
  if (decision.kind === 'fill') return fill(context, media);

  const isDone = before?.phase === 'switched';
  if (!isDone && !(await agrees(context, media, before))) return EXIT.OK;
  const move: MediaMove = before ?? {
    to,
    at: media.at,
    owner: await thisProcess(),
    bucket,
    phase: 'copying',
  };
  // From now on this process runs it.
  await keepMedia(folder, id, { move: { ...move, owner: await thisProcess() } });
  // So that a signal is not reported as a run that changed nothing.
  context.onLocked(() => Promise.resolve());
  context.onInterrupted(
    `The media are in both places. Run \`fedi-setup media move --to ${to} --app ${id}\` again; it continues.`,
  );
  if (move.phase === 'copying') await copyMedia(media, decision.ours);
  const isProven = isDone
    ? (await prove(context, site)).proven
    : await switchPlace(context, site, media, answered, decision.ours);
  await complete(context, media);
  return isProven ? EXIT.OK : EXIT.UNPROVEN;
}

/** Shows the plan and asks. */
async function agrees(
  context: CommandContext,
  media: MediaSite,
  before: MediaMove | undefined,
): Promise<boolean> {
  const { progress, flags } = context;
  const { app, to, bucket } = media;
  const { name } = appOf(app.id);
  const figures = readFigures(await lookAtMedia(media));
  const { files, bytes, cached, lackingFiles, lackingBytes, free } = figures;
  progress.emit({ event: 'media', app: app.id, to, state: 'plan', files, bytes, left: lackingBytes });
  const from = to === 's3' ? 'this host' : bucketText(bucket);
  progress.say(`\n  ${name}: ${files} files, ${sizeText(bytes)}, from ${from} to ${placeText(to, bucket)}`);
  if (cached > 0)
    progress.say(
      `    ${sizeText(cached)} of it are copies of remote files. \`fedi-setup cleanup\` removes old ones first.`,
    );
  if (lackingFiles < files)
    progress.say(
      `    ${files - lackingFiles} are there already; ${lackingFiles} (${sizeText(lackingBytes)}) are copied.`,
    );
  if (to === 'local') progress.say(`    Free on this host: ${sizeText(free)}`);
  progress.say(
    `    The site runs meanwhile. ${name} stops for the last files and its new start; its database does not.`,
  );
  progress.say(`    Nothing is deleted from ${from}.`);
  const missing = spaceMissing(to, figures);
  if (missing > 0)
    throw new Problem(
      EXIT.PREFLIGHT,
      `The media need ${sizeText(lackingBytes)}, and the site needs some more; this host has ${sizeText(free)} free.`,
      {
        means: `${sizeText(missing)} are missing. Nothing was changed.`,
        next: 'Free some space (`fedi-setup cleanup`), use a larger disk, or a data directory on another one.',
      },
    );
  if (before !== undefined && !flags.dryRun) return true;
  return wantsMove(context);
}

/** Copies files that stayed on this host when the place was changed without a move. */
async function fill({ progress, flags }: CommandContext, media: MediaSite): Promise<ExitCode> {
  const { app, bucket } = media;
  const { files, bytes, lackingFiles, lackingBytes } = readFigures(await lookAtMedia(media));
  if (lackingFiles === 0 || flags.dryRun) {
    progress.say(
      lackingFiles === 0
        ? `Nothing to move: ${bucketText(bucket)} has all files of this host.`
        : `${lackingFiles} files (${sizeText(lackingBytes)}) of this host are not in ${bucketText(bucket)}. Dry run: nothing was changed.`,
    );
    return EXIT.OK;
  }
  const count = await withLine(
    progress,
    `media.${app.id}.fill`,
    `Files of this host that ${bucketText(bucket)} lacks`,
    () => fillBucket(media),
  );
  await forgetLists(media);
  progress.emit({ event: 'media', app: app.id, to: 's3', state: 'filled', files, bytes, left: 0 });
  progress.say(`  ${count} files were copied. Those on this host stay there.`);
  return EXIT.OK;
}

/** Stops the app for the last files, and starts it with the new place. @returns whether the site is proven then */
async function switchPlace(
  context: CommandContext,
  site: Site,
  media: MediaSite,
  answered: Answered,
  ours: boolean,
): Promise<boolean> {
  const { progress } = context;
  const { folder, engine, config } = site;
  const { app, to } = media;
  const { id } = app;
  const { name } = appOf(id);
  const keep = async (phase: MediaMove['phase'], moved?: MediaMove['moved']): Promise<void> => {
    const before = (await readMediaRecord(folder)).moves[id];
    if (before === undefined) throw new Error('the move is not recorded');
    await keepMedia(folder, id, { move: { ...before, phase, ...(moved === undefined ? {} : { moved }) } });
  };
  const writers = await mediaWriters(media);
  const compose = async (action: 'start' | 'stop'): Promise<void> => {
    const { code, stderr } = await engine.compose(folder, [action, ...writers]);
    if (code === 0) return;
    throw new Problem(
      EXIT.FAILED,
      `docker compose ${action} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`,
      {
        means: 'The site uses its media as before.',
        next: `Fix that and run this again; it continues from here. \`fedi-setup start\` starts the app.`,
      },
    );
  };
  const isSwitched = async (): Promise<boolean> =>
    (bucketIn((await runningAnswers(folder)) ?? {}, id) === undefined) === (to === 'local');
  const startAgain = async (error: unknown): Promise<never> => {
    if (await isSwitched()) throw error;
    await compose('start').catch((also: unknown) => progress.say(`  ! ${messageOf(also)}`));
    await keep('copying');
    throw error;
  };
  if (!(await isSwitched())) {
    const privates = to === 's3' ? '' : await privateFolders(site, app);
    await withRunLock(context, folder, async () => {
      await refuseUnfinished(folder, 'media');
      await keep('switching');
      await withLine(progress, `media.${id}.end`, `${name} stopped, the last files copied`, async () => {
        await compose('stop');
        await keep('switching', await endCopy(media, ours, privates));
      }).catch(startAgain);
    });
  }
  const applied = await apply(optionsFor(context, folder, answered)).catch(startAgain);
  await keep('switched');
  // A run that was killed after the change has not proven it.
  const receipt = applied.changed ? applied.receipt : await prove(context, site);
  if (receipt !== undefined) sayFailed(progress, receipt, config);
  return receipt?.proven === true;
}

/** Proves the site with its new place. */
async function prove(context: CommandContext, { folder, engine }: Site): Promise<Receipt> {
  const config = (await runningConfig(folder)) as Config;
  const store = await Store.open(folder);
  const { progress, now } = context;
  return withRunLock(context, folder, () => proveSite({ folder, engine, config, store, progress, now }));
}

/** Directories whose files only the app may read. */
async function privateFolders({ engine, config }: Site, app: AppConfig): Promise<string> {
  const { service, check } = movesOf(app).moves.private(app);
  const { code, stdout, stderr } = await runtimeOf(engine, config.name).exec(service, check);
  if (code === 0) return stdout;
  throw new Problem(
    EXIT.FAILED,
    `The files that nobody may see cannot be listed: ${stderr.trim().split('\n').at(-1) ?? ''}`,
    {
      means: 'The site uses its media as before.',
      next: 'Fix that and run this again; it continues from here.',
    },
  );
}

/** Reads old files at their public addresses, and records what is left in the old place. */
async function complete(context: CommandContext, media: MediaSite): Promise<void> {
  const { progress, now } = context;
  const { folder, app, to, bucket } = media;
  const { id } = app;
  const { name } = appOf(id);
  const moved = (await readMediaRecord(folder)).moves[id]?.moved ?? { files: 0, bytes: 0, samples: [] };
  await withLine(progress, `media.${id}.old`, 'Old files at their public addresses', () =>
    readOldFiles(
      media,
      moved.samples.map(({ path, md5 }) => ({
        url:
          to === 's3'
            ? publicUrl(bucket, encodeURI(path))
            : movesOf(app).moves.localUrl(app, encodeURI(path)),
        md5,
      })),
    ),
  );
  const old: OldMedia = {
    place: to === 's3' ? 'local' : 's3',
    bucket,
    at: now().toISOString(),
    files: moved.files,
    bytes: moved.bytes,
  };
  await keepMedia(folder, id, { move: undefined, old });
  context.onInterrupted();
  progress.emit({
    event: 'media',
    app: id,
    to,
    state: 'moved',
    files: moved.files,
    bytes: moved.bytes,
    left: 0,
  });
  progress.say(`
  ${name}’s media are ${inPlace(to, bucket)} now: ${moved.files} files, ${sizeText(moved.bytes)}.
  The copy ${inPlace(old.place, bucket)} is kept.${old.place === 'local' ? ' Other servers may still load pictures from there for some weeks, and backups contain it.' : ''} To delete it then: \`fedi-setup media remove-old --app ${id}\``);
}

async function removeOld(context: CommandContext): Promise<ExitCode> {
  const { progress } = context;
  const site = await existingSite(context);
  const { folder, config, engine } = site;
  const record = await readMediaRecord(folder);
  const app = chosenApp(context, site, ({ id }) => record.old[id] !== undefined);
  const { id } = app;
  const { name } = appOf(id);
  const old = record.old[id];
  if (old === undefined) {
    progress.say(`Nothing to remove: no move has left a copy of ${name}’s media.`);
    return EXIT.OK;
  }
  await engine.info();
  await refuseUnfinished(folder);
  const where = inPlace(old.place, old.bucket);
  const uses = bucketIn((await runningAnswers(folder)) ?? {}, id) === undefined ? 'local' : 's3';
  if (record.moves[id] !== undefined || uses === old.place)
    throw new Problem(EXIT.REFUSED, `${name} uses its media ${where}, or a move to there is not complete.`, {
      means: 'Nothing was removed.',
      next: `Complete the move first: \`fedi-setup media move --to ${record.moves[id]?.to ?? uses} --app ${id}\`.`,
    });
  await confirmed(
    context,
    id,
    `deletes the old copy of ${name}’s media ${where}: ${old.files} files, ${sizeText(old.bytes)}`,
  );
  const store = await Store.open(folder);
  const media: MediaSite = {
    ...site,
    app,
    lock: await readLock(folder),
    progress,
    to: old.place === 'local' ? 's3' : 'local',
    bucket: old.bucket,
    secretKey: store.get(secretKeyOf(id)),
    at: old.at,
  };
  await withRunLock(context, folder, () =>
    withLine(progress, `media.${id}.remove`, `Old media ${where} removed`, () => removeOldMedia(media)),
  );
  await keepMedia(folder, id, { old: undefined });
  progress.emit({
    event: 'media',
    app: id,
    to: media.to,
    state: 'removed',
    files: old.files,
    bytes: old.bytes,
    left: 0,
  });
  if (old.place === 's3' && config.apps.every(({ bucket }) => bucket?.name !== old.bucket.name))
    progress.say(`  ${bucketText(old.bucket)} itself stays. Remove it at your provider.`);
  return EXIT.OK;
}
