/** `upgrade --images`: newer builds of the images, without a new version of an app or a database. */
import { appOf } from '../../apps/index.ts';
import { readLock } from '../../plan/lock.ts';
import { EXIT, Problem } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import { buildImages, imageText, newImages, pullImages, servicesOf } from '../../upgrade/images.ts';
import type { NewImage } from '../../upgrade/images.ts';
import { refuseUnsaved } from '../../upgrade/target.ts';
import { saveVersion } from '../../upgrade/undo.ts';
import type { CommandContext } from '../command.ts';
import type { Site } from '../find-site.ts';
import { answersFor, planFor } from '../setup.ts';
import { carryOut, newLock } from './carry-out.ts';

export async function upgradeImages(context: CommandContext, site: Site): Promise<ExitCode> {
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
  };
  const prepared = await planFor(context, folder, answered, engine);
  const running = await readLock(folder);
  const images = await newImages(engine, prepared.wanted, running);
  const migrating = images.find((image) => changesData(config, image));
  if (migrating !== undefined)
    throw new Problem(
      EXIT.REFUSED,
      `This fedi-setup brings another version of ${migrating.name}: ${imageText(migrating)}.`,
      {
        means: 'It may migrate its data, which an upgrade of the images could not undo. Nothing was changed.',
        next: 'Run `fedi-setup backup`, then `fedi-setup apply`, and this again.',
      },
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
  refuseUnsaved(site);
  await newLock(context, site, prepared);
  const services = await servicesOf(site, running, images);
  const lock = await pullImages(engine, prepared.wanted, running, images, progress);
  return carryOut(context, site, {
    name: 'The site',
    key: 'images',
    apps: config.apps,
    from: 'the previous images',
    to: 'the new images',
    withData: false,
    images: { services },
    answered: { ...answered, lock },
    plan: () => Promise.resolve(planLines(site, images, services)),
    save: async () => void (await saveVersion(site, [], progress, false)),
    move: () => buildImages(engine, images, progress),
  });
}

/** Whether an image is another version of software that migrates its data: undoing it would need the old data. */
const changesData = ({ apps }: Site['config'], { name, before }: NewImage): boolean =>
  before !== undefined && apps.some(({ id }) => appOf(id).images[name]?.data !== undefined);

function planLines({ config }: Site, images: readonly NewImage[], services: readonly string[]): string[] {
  return [
    '',
    '  Images',
    ...images.map((image) => `    ${image.name.padEnd(13)}  ${imageText(image)}`),
    `    Backup         to ${(config.backup?.repositories ?? []).map(({ text }) => text).join(', ')}, before anything changes`,
    `    Restarted      ${services.join(', ')}`,
    '    If it fails    images and configuration are restored as they were',
    '',
  ];
}
