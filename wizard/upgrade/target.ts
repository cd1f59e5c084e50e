/** What an upgrade is about: an app whose version is an answer. */
import { appOf } from '../apps/index.ts';
import { referenceOf } from '../apps/app.ts';
import type { App, Upgrades } from '../apps/app.ts';
import type { BackupSite } from '../backup/backup.ts';
import type { AppConfig } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { EXIT, Problem } from '../problem.ts';
import { isOlder, numbersOf } from '../versions.ts';
import { newestPatch } from './versions.ts';

/** An app whose version is an answer. */
export interface Target {
  readonly app: AppConfig;
  readonly name: string;
  readonly upgrades: Upgrades;
  readonly from: string;
}

/** All apps of a site whose version is an answer. */
export const upgradable = ({ config }: Pick<BackupSite, 'config'>): Target[] =>
  config.apps.flatMap((app): Target[] => {
    const { name, upgrades } = appOf(app.id);
    return upgrades === undefined ? [] : [{ app, name, upgrades, from: upgrades.version(app.options) }];
  });

/** Reference of the image of a version. */
export function imageOf({ app, upgrades }: Target, version: string): string {
  const spec = (appOf(app.id) as App).images[upgrades.image];
  if (spec === undefined) throw new Error(`no image ${upgrades.image}`);
  return referenceOf(spec, { ...app.options, [upgrades.answer]: version } as AppConfig['options']);
}

/** The newest patch release of an app. Throws a Problem if the registry does not answer. */
export const newestOf = (engine: Engine, target: Target): Promise<string | undefined> =>
  newestPatch(engine, target.from, (version) => imageOf(target, version), target.upgrades.broken);

/** The newest patch release that `maintain` found, if it is newer than the running version. */
export function releaseFor(
  { app, from }: Target,
  newest: Readonly<Record<string, string>> = {},
): string | undefined {
  const found = newest[app.id];
  const isNewer = found !== undefined && isOlder(numbersOf(from) ?? [], numbersOf(found) ?? []);
  return isNewer ? found : undefined;
}

/** Refuses an image that the user chose: its version is not the answer. */
export function refuseOwnImage(
  { app, name, upgrades }: Target,
  { config }: Pick<BackupSite, 'config'>,
): void {
  const own = Object.entries((appOf(app.id) as App).images).find(
    ([image, spec]) =>
      image.startsWith(upgrades.image) &&
      (config.images[image] ?? referenceOf(spec, app.options)) !== referenceOf(spec, app.options),
  )?.[0];
  if (own === undefined) return;
  throw new Problem(EXIT.REFUSED, `You set a custom image for ${name}: ${config.images[own] ?? ''}.`, {
    means: 'Its version is not known here. Nothing was changed.',
    next: `Remove images.${own} from fedi.yaml, or change it there and run \`fedi-setup apply\`.`,
  });
}

/** Refuses to upgrade a site without backups. Throws exit 3. */
export function refuseUnsaved({ config }: Pick<BackupSite, 'config'>): void {
  if (config.backup !== undefined) return;
  throw new Problem(EXIT.REFUSED, 'No backups are configured for this site.', {
    means: 'After an upgrade, the only way back is to restore a backup. Nothing was changed.',
    next: '`fedi-setup apply --backup-to PLACE`, then run this again.',
  });
}
