/** What a backup of a site consists of. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { appOf } from '../apps/index.ts';
import type { Dump } from '../apps/shared/server.ts';
import { componentsOf } from '../components/index.ts';
import type { AppConfig, Config } from '../config/config.ts';
import { ACCESS_LOGS } from '../layout.ts';
import { lockedReference } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import { placesBefore } from '../apply/data.ts';
import type { Store } from '../secrets/store.ts';
import { isOf } from '../stack/compose.ts';
import type { ComposeFile } from '../stack/compose.ts';
import { parseYaml } from '../yaml.ts';

/** Directory in a snapshot: `site`, `volumes/KEY`, `stage/FILE` and `stage/manifest.json`. */
export const SET = '/set';
export const MANIFEST = `${SET}/stage/manifest.json`;

/** Describes one backup. It is a file in it. */
export interface Manifest {
  readonly version: 1;
  /** Version of fedi-setup. */
  readonly tool: string;
  readonly at: string;
  /** Name of the Compose project. */
  readonly site: string;
  readonly apps: readonly {
    readonly id: string;
    readonly domain: string;
    /** Reference of its image. */
    readonly image: string;
    /** Fingerprint of its permanent secrets. */
    readonly secrets: string;
  }[];
  readonly dumps: readonly {
    readonly app: string;
    readonly file: string;
    readonly what: string;
    /** Table → rows; empty: it has no tables. */
    readonly rows: Readonly<Record<string, number>>;
    /** Name and reference of the image of its server; absent in backups of earlier versions. */
    readonly image?: { readonly name: string; readonly tag: string };
  }[];
  readonly volumes: readonly {
    readonly key: string;
    /** Number of files a moment before they were copied. */
    readonly files: number;
  }[];
  /** Places with data that are not in the backup: buckets, external Redis servers. */
  readonly elsewhere: readonly string[];
}

/** A dump with the app it belongs to. */
export type AppDump = Dump & { readonly app: string };

/** The dumps of some apps. */
export const dumpsOf = (apps: readonly AppConfig[], store: Store): AppDump[] =>
  apps.flatMap(({ id, options }) => {
    const app = appOf(id);
    return [
      ...(app.servers?.(options) ?? []).map(({ dump }) => dump),
      ...(app.externalDumps?.(options, (name) => store.get(name)) ?? []),
    ].map((dump) => ({ ...dump, app: id }));
  });

/** compose.yaml as it is in the site directory. Throws a Problem if the site was never set up. */
export async function readCompose(folder: string, name = 'compose.yaml'): Promise<ComposeFile> {
  const path = join(folder, name);
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined)
    throw new Problem(EXIT.USAGE, `The site in ${folder} has not been set up yet.`, {
      next: `Run \`fedi-setup apply --dir ${folder}\`.`,
    });
  const file = parseYaml(text) as unknown as Partial<ComposeFile> | null;
  return {
    name: file?.name ?? '',
    services: file?.services ?? {},
    networks: file?.networks ?? {},
    volumes: file?.volumes ?? {},
  };
}

/** Volumes whose files are in a backup: all but those of servers, which are dumped, those with derived content, and access logs. */
export function volumesOf(
  compose: ComposeFile,
  config: Config,
  dumps: readonly AppDump[],
): { readonly key: string; readonly name: string }[] {
  const servers = dumps.flatMap(({ service }) => service ?? []);
  const derived = [
    ...config.apps.flatMap(({ id }) => appOf(id).derived ?? []),
    ...componentsOf(config).flatMap((one) => one.derived ?? []),
  ];
  return Object.entries(compose.volumes)
    .filter(
      ([key]) =>
        !servers.includes(key) && !derived.includes(key) && !['caddy_config', ACCESS_LOGS].includes(key),
    )
    .map(([key, { name }]) => ({ key, name }));
}

/** Volumes of an app, or all of them. */
export const ofApps = (keys: readonly string[], only: readonly string[] | undefined): string[] =>
  keys.filter((key) => only === undefined || only.some((app) => isOf(app, key)));

/** Docker's name of the network by which a client reaches a service. */
export function networkOf(compose: ComposeFile, service: string | undefined): string {
  // An external server.
  if (service === undefined) return 'bridge';
  const [key = ''] = Object.keys(compose.services[service]?.networks ?? {});
  const named = compose.networks[key]?.['name'];
  return typeof named === 'string' ? named : `${compose.name}_${key}`;
}

/** Reference of an image that a dump needs. */
export const imageOf = ({ image }: Dump, lock: Lock, config: Config): string => {
  const entry = lock[image.name];
  return entry === undefined ? (config.images[image.name] ?? image.reference) : lockedReference(entry);
};

/** Buckets and external servers whose data no backup has. */
export async function elsewhereOf(folder: string, config: Config): Promise<string[]> {
  const disposable = Object.entries(await placesBefore(folder)).filter(([key]) => key.includes('.'));
  return [
    ...new Set([
      ...config.apps.flatMap(({ bucket }) =>
        bucket === undefined || config.backup?.copiesBuckets === true ? [] : [`the bucket ${bucket.name}`],
      ),
      ...disposable.map(([, place]) => place),
    ]),
  ];
}
