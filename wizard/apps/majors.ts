/** Major versions of database servers in containers: those of the data, of the images, and volumes with data of earlier ones. */
import type { AppConfig, Config } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { isOlder, numbersOf } from '../versions.ts';
import { referenceOf } from './app.ts';
import type { ImageSpec } from './app.ts';
import { appOf } from './index.ts';
import type { ContainerServer, Majors } from './shared/server.ts';

/** The tag of a reference, without a digest. */
export const tagOf = (reference: string): string => /:([^:/@]*)(?:@.*)?$/.exec(reference)?.[1] ?? '';

/** The major version that the tag of a database server names: `17` of `postgres:17-trixie`; undefined: it names none. */
export const majorOf = (reference: string, { data }: Pick<ImageSpec, 'data'>): string | undefined =>
  data?.fixed === undefined ? undefined : numbersOf(tagOf(reference))?.slice(0, data.fixed).join('.');

/** The numbers of a reference that decide which data it can use: `11.8` of `mariadb:11.8.2`; undefined: it names none. */
export const dataVersionOf = (reference: string, { data }: Pick<ImageSpec, 'data'>): string | undefined =>
  data === undefined ? undefined : numbersOf(tagOf(reference))?.slice(0, data.parts).join('.');

/** Whether two references of an image use data of different versions, as far as their tags say. */
export function isOtherData(one: string, other: string, spec: Pick<ImageSpec, 'data'>): boolean {
  const [before, now] = [dataVersionOf(one, spec), dataVersionOf(other, spec)];
  return before !== undefined && now !== undefined && before !== now;
}

/** Whether two references of a database server have different major versions, as far as their tags say. */
export function isOtherMajor(one: string, other: string, spec: Pick<ImageSpec, 'data'>): boolean {
  const [before, now] = [majorOf(one, spec), majorOf(other, spec)];
  return before !== undefined && now !== undefined && before !== now;
}

/** An image of the apps by its name, with the reference that the answers want; undefined: no app of the site uses it. */
export function wantedOf(
  { apps, images }: Pick<Config, 'apps' | 'images'>,
  name: string,
): { readonly spec: ImageSpec; readonly reference: string } | undefined {
  for (const { id, options } of apps) {
    const spec = appOf(id).images[name];
    if (spec !== undefined && (spec.when?.(options) ?? true))
      return { spec, reference: images[name] ?? referenceOf(spec, options) };
  }
  return undefined;
}

/** A database server in a container, with its app. */
export interface DatabaseServer extends ContainerServer {
  readonly app: AppConfig;
  readonly majors: Majors;
}

/** All database servers in containers whose data fix their major version. */
export const databaseServers = ({ apps }: Pick<Config, 'apps'>): DatabaseServer[] =>
  apps.flatMap((app) =>
    (appOf(app.id).servers?.(app.options) ?? []).flatMap((server) =>
      server.majors === undefined ? [] : [{ ...server, app, majors: server.majors }],
    ),
  );

/** An image of database servers whose major version differs from the one that the answers want. */
export interface OlderDatabase {
  /** Name of the image. */
  readonly image: string;
  readonly product: string;
  /** All servers that run it. */
  readonly servers: readonly DatabaseServer[];
  readonly from: string;
  readonly to: string;
}

/** Database servers that can be upgraded to a newer major version. @param images the images that run, by name */
export function olderDatabases(
  config: Pick<Config, 'apps' | 'images'>,
  images: Readonly<Record<string, string>>,
): OlderDatabase[] {
  const all = databaseServers(config);
  return [...new Set(all.map(({ image }) => image))].flatMap((image) => {
    const servers = all.filter((one) => one.image === image);
    const wanted = wantedOf(config, image);
    const [server, running] = [servers[0], images[image]];
    if (wanted === undefined || server === undefined || running === undefined) return [];
    const [from, to] = [majorOf(running, wanted.spec), majorOf(wanted.reference, wanted.spec)];
    if (from === undefined || to === undefined || !isOlder(numbersOf(from) ?? [], numbersOf(to) ?? []))
      return [];
    return [{ image, product: server.majors.product, servers, from, to }];
  });
}

/** An image that runs, and that a newer default or a chosen image would replace by another version of the software. */
export interface OlderImage {
  /** Name of the image. */
  readonly name: string;
  /** References. */
  readonly from: string;
  readonly to: string;
}

/**
 * Images whose software may change its data when it changes to the version that the answers want, without those that only
 * `upgrade --databases` changes.
 * @param images the images that run, by name
 */
export const olderImages = (
  config: Pick<Config, 'apps' | 'images'>,
  images: Readonly<Record<string, string>>,
): OlderImage[] =>
  Object.entries(images).flatMap(([name, from]) => {
    const wanted = wantedOf(config, name);
    if (wanted === undefined || typeof wanted.spec.reference !== 'string') return [];
    const { spec, reference: to } = wanted;
    return isOtherData(from, to, spec) && !isOtherMajor(from, to, spec) ? [{ name, from, to }] : [];
  });

/** As a sentence. */
export const olderText = ({ from, to }: OlderImage): string => `The site runs ${from}; ${to} is available.`;

/** The names of the apps of some servers: "Mastodon, Pixelfed". */
export const appNames = (servers: readonly DatabaseServer[]): string =>
  servers.map(({ app }) => appOf(app.id).name).join(', ');

/** Name of the volume for the old data of a server, without the name of the site: `mastodon_db_pg15_2026-11-30`. */
export const keptKey = ({ service, majors }: DatabaseServer, version: string, at: Date): string =>
  `${service}_${majors.short}${version}_${at.toISOString().slice(0, 10)}`;

const KEPT = /^(.+)_(?:[a-z]+)[\d.]+_\d{4}-\d\d-\d\d(?:-\d+)?$/;

/** Key of the volume that one with old data was; undefined: its data are not old. */
export const keptFrom = (key: string): string | undefined => KEPT.exec(key)?.[1];

/** Volumes with the data of an earlier major version, and the keys of the volumes that they were. */
export async function keptVolumes(
  engine: Pick<Engine, 'volumes'>,
  site: string,
): Promise<{ readonly volume: string; readonly key: string }[]> {
  return (await engine.volumes(site)).flatMap((volume) => {
    const key = volume.startsWith(`${site}_`) ? keptFrom(volume.slice(site.length + 1)) : undefined;
    return key === undefined ? [] : [{ volume, key }];
  });
}
