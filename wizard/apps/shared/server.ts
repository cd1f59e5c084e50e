/** Servers that keep the data of an app: in a container of the site, or external. */
import type { Command } from '../../docker/engine.ts';
import type { ComposeFile } from '../../stack/compose.ts';
import type { EnvGroup } from '../../stack/env.ts';
import type { Secret } from '../../secrets/secret.ts';

export type Secrets = (name: string) => Secret;

/** The user of the postgres, mariadb and valkey images, which owns their data. */
export const SERVER_OWNER = '999:999';

/**
 * The ownership marker, which ties data to secrets and domains. It is stored with the data, so that copies contain it, and
 * is written before the app first starts.
 */
export type DataMarker = VolumeMarker | ServerMarker;

/** A file in the data volume. */
export interface VolumeMarker {
  /** Name of the image that `service` runs. */
  readonly image: string;
  /** Compose service that mounts the volume. */
  readonly service: string;
  /** Volume key in the app's Compose file. */
  readonly volume: string;
  /** Mount point. */
  readonly mount: string;
  /** A file that exists as soon as there are data. */
  readonly data: string;
  /** `uid:gid` that owns the data. */
  readonly owner: string;
}

/** On an external server: three commands of a client. */
export interface ServerMarker {
  /**
   * Name of a disposable store (queues, a cache), as the last part of its key in `x-data`. It may move, and is marked again
   * when it was emptied. Absent: the app's data.
   */
  readonly storeName?: string;
  /** Name of the image that has the client. */
  readonly image: string;
  /** Place of the data, as text. compose.yaml records it (`x-data`), so its text must not change. */
  readonly place: (secret: (name: string) => Secret) => string;
  /** Variables by which the client finds the server. */
  readonly env: (secret: (name: string) => Secret) => EnvGroup;
  /** Prints the marker, or nothing. */
  readonly read: readonly string[];
  /** Prints `t` if the app has data there. */
  readonly data: readonly string[];
  /** Writes the marker. */
  readonly write: (text: string) => Command;
}

/** A password that one of the app's servers stores, and the command that changes it there. */
export interface Rotation {
  readonly service: string;
  /** An interrupted run may have changed it already. */
  readonly change: (password: Secret, secret: (name: string) => Secret) => Command;
}

/** How a database is copied to a file and back, by clients of its server's image that reach it over the network. */
export interface Dump {
  /** Name of the file in a backup. It must not change. */
  readonly file: string;
  /** Its content: "the database of Mastodon". */
  readonly what: string;
  /** The image with the client: its name, and its reference if the site has no image of that name. */
  readonly image: { readonly name: string; readonly reference: string };
  /** Compose service of the server; absent: it is external. */
  readonly service?: string;
  /** Variables by which the client finds the server. */
  readonly env: (secret: Secrets) => EnvGroup;
  /** Writes the dump to a file, prints table → rows as JSON. Without rows: `{}`. */
  readonly dump: (path: string) => readonly string[];
  /** Loads a file into the empty server, or writes it to the volume of the stopped server, at `volumeAt`. */
  readonly restore: (path: string) => readonly string[];
  /** Mount point of the volume if `restore` needs the server to be stopped. */
  readonly volumeAt?: string;
  /** Prints table → rows as JSON; absent: it has no tables. */
  readonly count?: () => readonly string[];
  /** Prints a checksum of the schema and of the rows of one table; absent: it has no tables. */
  readonly state?: (table: string) => readonly string[];
  /** Replaces what is in an external database by a file, or changes nothing; absent: its server cannot do that. */
  readonly reload?: {
    readonly load: (path: string) => readonly string[];
    /** Prints what it could not replace, one thing a line: "the extension x". */
    readonly besides: () => readonly string[];
  };
  /** Commands that load a file into a new database on an external server, for its administrator. */
  readonly byHand?: (env: EnvGroup, file: string) => readonly string[];
  /** Starts a server without a network in an empty directory, loads a file, writes what `count` prints to `ready` in it, and waits. */
  readonly drill?: {
    readonly start: (folder: string, path: string) => readonly string[];
    /** Port on 127.0.0.1. */
    readonly port: number;
  };
}

/** A database server whose new major versions cannot read the data of older ones. */
export interface Majors {
  /** "PostgreSQL". */
  readonly product: string;
  /** In the names of volumes with old data. */
  readonly short: string;
  /** Mount point of its volume for `version`. */
  readonly mount: string;
  /** Prints the version of the data in the volume, or an empty line, then the version of the server in the image. */
  readonly version: () => readonly string[];
  /** Prints what data must keep when they move, as lines of name, tab and value: encoding, collations. A client as `count`. */
  readonly traits: () => readonly string[];
  /** Prints what the server has besides the database of the app, one thing a line: a dump does not have it. Runs in its container. */
  readonly besides: () => readonly string[];
}

/** How Prometheus gets the figures of a server. Its Compose service is a copy of `template`. */
export interface Exporter {
  /** Service of compose/monitoring.yaml. */
  readonly template: string;
  /** Name of its image. */
  readonly image: string;
  readonly port: number;
  /** Metric that is 1 while it reaches the server. */
  readonly up: string;
  /** Its arguments; absent: those of the template. */
  readonly command?: readonly string[];
  /** Files that it reads, by path below monitoring/. */
  readonly files?: Readonly<Record<string, string>>;
  /** Its variables, with the password of its account. */
  readonly env: (password: Secret) => EnvGroup;
  /** Finds out whether the account has that password, and creates it; both run in the server's container. Absent: see `prepare`. */
  readonly account?: (password: Secret) => { readonly check: Command; readonly act: Command };
  /** Edits the Compose file so that the server creates the account. @param env path of the exporter's env file */
  readonly prepare?: (file: ComposeFile, env: string) => void;
}

/** A server in a container. Its volume has the name of its Compose service, its env file too, with dashes. */
export interface ContainerServer {
  readonly service: string;
  /** Name of its image. */
  readonly image: string;
  /** Variables of its container. */
  readonly env: (secret: Secrets) => EnvGroup;
  /** Passwords that it stores, by name of the secret. Absent: none, its container gets the password. */
  readonly rotations?: Readonly<Record<string, Rotation>>;
  /** Ownership marker in its volume; absent: its data are disposable. */
  readonly marker?: VolumeMarker;
  readonly dump: Dump;
  /** Absent: newer versions read the data of older ones. */
  readonly majors?: Majors;
  readonly exporter: Exporter;
}

/** What every use of a server's image has in common; see `ImageSpec`. */
export interface ServerImage {
  readonly reference: string;
  readonly data: { readonly parts: number; readonly fixed?: number };
}

/** `env/NAME.env` → variables, of each server. */
export const serverEnv = (servers: readonly ContainerServer[], secret: Secrets): Record<string, EnvGroup> =>
  Object.fromEntries(servers.map(({ service, env }) => [service.replaceAll('_', '-'), env(secret)]));

export const serverRotations = (servers: readonly ContainerServer[]): Record<string, Rotation> =>
  Object.assign({}, ...servers.map(({ rotations }) => rotations ?? {})) as Record<string, Rotation>;

export const volumeMarker = (
  service: string,
  image: string,
  { mount, data }: { readonly mount: string; readonly data: string },
): VolumeMarker => ({
  service,
  image,
  volume: service,
  mount,
  data: `${mount}/${data}`,
  owner: SERVER_OWNER,
});

/** The marker of an external server, by a program that reads, looks for data or writes. */
export function externalMarker({
  at,
  ...marker
}: Pick<ServerMarker, 'image' | 'place' | 'env' | 'storeName'> & {
  readonly at: (action: 'read' | 'data' | 'write') => readonly string[];
}): ServerMarker {
  return {
    ...marker,
    read: at('read'),
    data: at('data'),
    write: (text): Command => ({ argv: at('write'), stdin: text }),
  };
}
