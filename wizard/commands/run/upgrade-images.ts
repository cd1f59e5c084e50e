/** `upgrade --images`: newer builds of the images, and the versions of snac, Valkey and others that this fedi-setup has. */
import { heldImages } from '../../apply/older.ts';
import type { Prepared } from '../../apply/prepare.ts';
import { namesOf } from '../../apps/index.ts';
import { olderImages, olderText } from '../../apps/majors.ts';
import type { OlderImage } from '../../apps/majors.ts';
import { readCompose } from '../../backup/set.ts';
import { databaseSpace } from '../../backup/space.ts';
import type { Space } from '../../backup/space.ts';
import { readRecord } from '../../backup-record.ts';
import { sizeText } from '../../checks/check.ts';
import { lockedReference, readLock } from '../../plan/lock.ts';
import type { Lock } from '../../plan/lock.ts';
import { EXIT, Problem } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import { copiesFor, keepVolumes, refuseFull, spaceNeeded } from '../../upgrade/copies.ts';
import {
  buildImages,
  dataChange,
  dropBuilds,
  imageText,
  isUnknown,
  nameBuilds,
  newImages,
  pullImages,
  servicesOf,
} from '../../upgrade/images.ts';
import type { DataChange, NewImage } from '../../upgrade/images.ts';
import { refuseUnsaved } from '../../upgrade/target.ts';
import { saveVersion, servicesToStop } from '../../upgrade/undo.ts';
import type { CommandContext } from '../command.ts';
import type { Site } from '../find-site.ts';
import { answersFor, planFor } from '../setup.ts';
import type { Answered } from '../setup.ts';
import { carryOut, newLock } from './carry-out.ts';

/** @param only install newer builds of these images only; absent: all builds and versions */
export async function upgradeImages(
  context: CommandContext,
  site: Site,
  only?: readonly string[],
): Promise<ExitCode> {
  const { flags, progress } = context;
  const { folder, config, engine } = site;
  if (flags.to.length > 0 || flags.app.length > 0)
    throw new Problem(EXIT.USAGE, '--images is about all images of the site.', {
      means: 'Nothing was changed.',
      next: 'Omit --app and --to.',
    });
  const answered = {
    ...(await answersFor({ ...context, sources: [] }, folder, [], false)),
    upgrading: true as const,
    moved: only === undefined ? (await newVersions(site)).map(({ name }) => name) : [],
  };
  const prepared = await planFor(context, folder, answered, engine);
  const running = await readLock(folder);
  const found = await newImages(engine, prepared.wanted, running);
  const images = found.filter(
    (image) =>
      !isUnknown(config, image) &&
      (only === undefined || (image.digest !== undefined && only.includes(image.name))),
  );
  for (const { name, reference } of found.filter((image) => isUnknown(config, image)))
    progress.print(
      `${name}: ${reference} has a newer build, which is not installed: you set this image, and its tag does not name its version. Remove ${name} from images.lock.yaml and run \`fedi-setup apply\`, after a backup.`,
    );
  if (images.length === 0) {
    const loaded = Object.entries(running).filter(([, entry]) => 'id' in entry && entry.source === 'loaded');
    progress.print('There are no newer builds of the images.');
    if (loaded.length > 0)
      progress.print(
        `  Loaded on this host, so there is no registry to ask: ${loaded.map(([name]) => name).join(', ')}.`,
      );
    return EXIT.OK;
  }
  if (flags.check) {
    for (const image of images) progress.print(`${image.name}: ${imageText(image)}`);
    progress.print('  `fedi-setup upgrade --images`');
    return EXIT.OK;
  }
  return install(context, site, { answered, prepared, running, images });
}

/** Versions of snac, Valkey and others that are wanted but did not run yet: `apply` keeps those that ran. */
async function newVersions({ folder, config }: Site): Promise<OlderImage[]> {
  const held = await heldImages(folder, await readLock(folder));
  const tags = Object.entries(held).map(([name, { tag }]) => [name, tag]);
  return olderImages(config, Object.fromEntries(tags) as Record<string, string>);
}

/** Names versions that this fedi-setup has and the site does not run yet. */
export async function reportImages({ progress }: CommandContext, site: Site): Promise<void> {
  for (const image of await newVersions(site))
    progress.print(`${olderText(image)}\n  \`fedi-setup upgrade --images\``);
}

interface Installing {
  readonly answered: Answered;
  readonly prepared: Prepared;
  readonly running: Lock;
  readonly images: readonly NewImage[];
}

/** Installs images, with what undoes it. */
async function install(
  context: CommandContext,
  site: Site,
  { answered, prepared, running, images }: Installing,
): Promise<ExitCode> {
  const { progress } = context;
  const { folder, config, engine } = site;
  refuseUnsaved(site);
  const change = dataChange(config, images);
  const services = await servicesOf(site, running, images);
  const changing = await servicesOf(site, running, change.images);
  const copies = copiesFor(await readCompose(folder), changing);
  const caddy = lockedReference(running['caddy'] as Lock[string]);
  const withData = changing.length > 0;
  const space = withData ? await databaseSpace(site, Object.keys(copies), caddy) : { used: 0, free: 0 };
  if (withData) refuseFull('This upgrade', space, 1, 'a copy of the data');
  const isBuilt = (name: string): boolean =>
    images.some((one) => one.name === name && one.build !== undefined);
  const wanted = Object.fromEntries(Object.entries(prepared.wanted).filter(([name]) => !isBuilt(name)));
  await newLock(context, site, { changes: prepared.changes, wanted });
  const lock = await pullImages(engine, prepared.wanted, running, images, progress);
  try {
    await buildImages(engine, images, progress);
    return await carryOut(context, site, {
      name: 'The site',
      key: 'images',
      apps: withData ? change.apps : config.apps,
      from: 'the previous images',
      to: 'the new images',
      withData,
      images: { services, ...(withData ? { apps: change.apps.map(({ id }) => id), copies } : {}) },
      answered: { ...answered, lock },
      plan: () => planLines(site, images, services, change, Object.keys(copies), space),
      save: async () => {
        await saveVersion(site, [], progress, false);
        if (withData) await keepVolumes(site, changing, copies, caddy, progress);
      },
      move: () => nameBuilds(engine, images),
    });
  } finally {
    await dropBuilds(engine, images);
  }
}

async function planLines(
  { folder, config, engine }: Site,
  images: readonly NewImage[],
  services: readonly string[],
  { images: changing, apps }: DataChange,
  copied: readonly string[],
  space: Space,
): Promise<string[]> {
  const running = (await engine.containers(config.name)).filter(({ state }) => state === 'running');
  const names = running.map(({ service }) => service);
  const last = (await readRecord(folder)).upgraded?.['images']?.seconds ?? 0;
  const stopped = [...new Set([...apps.flatMap((app) => servicesToStop(app, names)), ...services])];
  return [
    '',
    '  Images',
    ...images.map((image) => `    ${image.name.padEnd(13)}  ${imageText(image)}`),
    `    Backup         to ${(config.backup?.repositories ?? []).map(({ text }) => text).join(', ')}, before anything changes`,
    ...(changing.length === 0
      ? [
          `    Restarted      ${services.join(', ')}`,
          '    If it fails    images and configuration are restored as they were',
        ]
      : [
          `    Copied         ${copied.join(', ')}: ${sizeText(space.used * 1024)}, since a new version may change the data. ${sizeText(spaceNeeded(space, 1) * 1024)} are needed, ${sizeText(space.free * 1024)} are free`,
          `    Maintenance    ${apps.flatMap((app) => namesOf(app)).join(', ')}: visitors see a page, other servers get 503 and try again later`,
          `    Stopped        ${stopped.join(', ')}${last === 0 ? '' : ` (last time: ${last} s)`}`,
          '    If it fails    images, configuration and data are restored as they were',
          '    No return      once the site is proven and the maintenance mode ends: then the only way back is to restore the backup',
        ]),
    '',
  ];
}
