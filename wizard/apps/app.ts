/** What an app is: one object. Everything else in the wizard treats all apps alike. */
import type { AppConfig, Config } from '../config/config.ts';
import type { Parsed } from '../config/parse.ts';
import type { Picture } from '../config/picture.ts';
import type { Answers, Question, Share } from '../config/question.ts';
import type { Command } from '../docker/engine.ts';
import type { Proof, ProofContext } from '../prove/proof.ts';
import type { ComposeFile } from '../render/compose.ts';
import type { EnvGroup } from '../render/env.ts';
import type { Secret } from '../secrets/secret.ts';
import type { SecretSpec } from '../secrets/store.ts';

/** Where an app's container finds the certificate of the internal root (`root.crt`). */
export const TRUST_FOLDER = '/etc/fedi/trust';

/** An image a stack runs. */
export interface ImageSpec {
  /** Reference with a tag, of the image we know to work; it may follow from an answer. */
  readonly reference: string | ((answers: Answers) => string);
  /**
   * Reference → digest of exactly what was seen to work under it: pulled by that, whatever the name leads to by now. Only
   * on the processors that it was seen on: the digest may be that of their image alone.
   */
  readonly known?: Readonly<
    Record<string, { readonly digest: string; readonly on: readonly NodeJS.Architecture[] }>
  >;
  /** Folder under compose/ with a Dockerfile, for software that publishes no image: built on the host. */
  readonly build?: string;
  /** Whether the answers need it at all; absent: always. */
  readonly when?: (answers: Answers) => boolean;
  /**
   * How many numbers of its version say which data it can work on: an older one is refused over data that exist. `fixed`: a
   * newer one cannot read them either. Absent: it has no data, or any version reads them.
   */
  readonly data?: { readonly parts: number; readonly fixed?: true };
}

/** The answer that says where a folder of an app is. */
export const folderKey = (app: string, { name }: DataFolder): string => `apps.${app}.${name}`;

/** The answer that names a picture of an app. */
export const pictureKey = (app: string, { name }: AppPicture): string => `apps.${app}.${name}`;

export function referenceOf({ reference }: ImageSpec, answers: Answers): string {
  return typeof reference === 'string' ? reference : reference(answers);
}

/**
 * A step of the first run as data: it can be printed, and a killed run finishes what is left.
 * Order: `check`; if not so, `act`, then `check` again.
 */
export interface AppStep {
  readonly id: string;
  /** One line of progress, as a thing that will be so: "Account alice". */
  readonly title: string;
  /** Compose service whose container runs the commands; it is up and healthy by then. */
  readonly service: string;
  /** Done when this exits 0 and its last line is `prints`; absent: done when the captured secret is in the store. */
  readonly check?: Command & { readonly prints?: string };
  readonly act: Command | ((given: Secret) => Command);
  /** Service that `act` runs in, where it is another than that of the check. */
  readonly actIn?: string;
  /** Puts what `act` prints into the store at once: group 1 of the pattern. */
  readonly capture?: { readonly pattern: RegExp; readonly secret: string };
  /**
   * Puts a secret answer into the app, where the answer is given: `act` gets it, and from then on it is known as another
   * secret, which counts as seen. Done once: later it is the app's to change.
   */
  readonly puts?: { readonly answer: string; readonly as: string };
  /** What to do when it fails. */
  readonly hint: string;
}

/**
 * The mark that ties data to secrets and domain. It lies inside the data, so it travels with them, and is written before
 * the app first starts.
 */
export type Seal = VolumeSeal | ServerSeal;

/** A file in the data volume. */
export interface VolumeSeal {
  /** Name of the image that `service` runs. */
  readonly image: string;
  /** Compose service that has the volume mounted. */
  readonly service: string;
  /** Volume key in the app's Compose file. */
  readonly volume: string;
  /** Where the service mounts it. */
  readonly mount: string;
  /** A file that exists there as soon as there are data. */
  readonly data: string;
  /** `uid:gid` that owns the data. */
  readonly owner: string;
}

/** On a server of the person's own: three commands of a client. */
export interface ServerSeal {
  /**
   * Last part of the place's name, where it is not that of the data but of what comes again by itself (queues, a cache):
   * another place may be taken, and one that was emptied is sealed anew.
   */
  readonly beside?: string;
  /** Name of the image that has the client. */
  readonly image: string;
  /** Where the data are, for people. */
  readonly place: (secret: (name: string) => Secret) => string;
  /** How the client finds the server. */
  readonly env: (secret: (name: string) => Secret) => EnvGroup;
  /** Prints the seal, or nothing. */
  readonly read: readonly string[];
  /** Prints `t` when the app has data there. */
  readonly data: readonly string[];
  /** Takes the seal on standard input. */
  readonly write: (text: string) => Command;
}

/** Something the person named that is tried from inside a container before anything is written. */
export interface Trial {
  readonly id: string;
  /** One line of progress: "PostgreSQL at db.example.org". */
  readonly title: string;
  /** Name of the image that the command is in. */
  readonly image: string;
  readonly argv: readonly string[];
  readonly env: (secret: (name: string) => Secret) => EnvGroup;
  /** What is wrong with what it printed, in a sentence; undefined: nothing. */
  readonly problem: (stdout: string) => string | undefined;
  /** What is worth knowing where nothing is wrong. */
  readonly note?: (stdout: string) => string | undefined;
  readonly hint: string;
}

/** The biggest preset for such a part of a host; they are in order, and the first fits every one. */
export function biggestFor<Size extends string>(
  sizes: Readonly<Record<Size, { readonly memory: number; readonly cores: number }>>,
  { memoryMiB, cores }: Share,
): Size {
  const fits = (size: Size): boolean => sizes[size].memory <= memoryMiB && sizes[size].cores <= cores;
  return (Object.keys(sizes) as Size[]).findLast(fits) as Size;
}

/**
 * `${APP_PART_MEMORY}` for each part of a Compose file, from MiB. Valkey refuses writes at two thirds of it: the copy that it
 * makes when it rewrites its file takes the rest.
 */
export function memoryVariables(
  app: string,
  limits: Readonly<Record<string, number>>,
): Record<string, string> {
  const name = (part: string): string => `${app}_${part}`.toUpperCase();
  return {
    ...Object.fromEntries(Object.entries(limits).map(([part, mib]) => [`${name(part)}_MEMORY`, `${mib}m`])),
    [`${name('valkey')}_DATA`]: `${Math.floor(((limits['valkey'] ?? 0) * 2) / 3)}mb`,
  };
}

export interface Load {
  readonly memoryMiB: number;
  /** Most processes that compute at the same time. */
  readonly processes: number;
}

/** A volume that can lie in a directory of the person's choosing instead of with Docker. */
export interface DataFolder {
  /** Volume key in the app's Compose file; it may follow from an answer. */
  readonly volume: string | ((answers: Answers) => string);
  /** What is in it: "the database". */
  readonly what: string;
  /** Last part of the answer's key. */
  readonly name: string;
  /** `uid:gid` that the app writes as. */
  readonly owner: string;
  readonly when?: (answers: Answers) => boolean;
}

/** What an app keeps for everybody to see: for the doctor, who finds and mends files that somebody else made or closed. */
export interface Uploads {
  /** Volume key in the app's Compose file. */
  readonly volume: string;
  /** Folder in the volume that everybody may read; what lies beside it may be secret. */
  readonly shown: string;
  /** `uid:gid` that the app writes as. */
  readonly owner: string;
  /** Name of the image that wrote them; it has `find` and the shipped files. */
  readonly image: string;
  readonly shipped?: {
    /** Where the image has what is in the volume of a new site. */
    readonly from: string;
    /** Files below `shown` that pages show without asking whether they are there. */
    readonly files: readonly string[];
    /** Makes those that the image lacks, in the service that has the volume. */
    readonly make: Command;
    readonly service: string;
  };
}

/** A password that a server of the app keeps itself, and how that is told another one. */
export interface Rotation {
  readonly service: string;
  /** It may have been told already, by a run that was cut short. */
  readonly tell: (given: Secret, secret: (name: string) => Secret) => Command;
}

/** A picture of the person's own that Caddy shows in place of one that comes with the app: `caddy/pictures/APP-NAME.TYPE`. */
export interface AppPicture {
  /** Last part of the answer's key. */
  readonly name: string;
  /** "Banner". */
  readonly what: string;
  /** Why this one will not do, as a predicate: "is 800×600; …". */
  readonly problem: (picture: Picture) => string | undefined;
}

export interface App {
  readonly id: string;
  /** As its makers write it. */
  readonly name: string;
  /** One line for the choice of apps. */
  readonly about: string;
  /** `cores`: what it wants for itself when it is busy. */
  readonly minimum: { readonly memoryMiB: number; readonly diskGiB: number; readonly cores: number };
  /** What it takes of the host, tuned by these answers; absent: its minimum, in one process. */
  readonly load?: (answers: Answers) => Load;
  /** Rows besides domain, admin and e-mail; keys start with `apps.ID.`. */
  readonly questions: readonly Question[];
  /** The app's own rule for user names. */
  readonly parseAdmin: (text: string) => Parsed<string>;
  /** What is worth knowing about a name that is taken; sentences. */
  readonly aboutAdmin?: (name: string) => readonly string[];
  /** By image name, as it stands in `${IMAGE_…}` of the Compose file. */
  readonly images: Readonly<Record<string, ImageSpec>>;
  readonly secrets: readonly SecretSpec[];
  /** Secret that holds the admin's password. */
  readonly adminSecret: string;
  /** By name of the secret; every other one that can change at all only has to be made anew. */
  readonly rotations?: (config: Config) => Readonly<Record<string, Rotation>>;
  /** One for each place that has to be this app's alone; that of its data first. */
  readonly seals: (answers: Answers) => readonly Seal[];
  readonly trials?: (config: Config) => readonly Trial[];
  readonly folders?: readonly DataFolder[];
  readonly uploads?: Uploads;
  readonly pictures?: readonly AppPicture[];
  /** `env/NAME.env` → its variables. Unset ones are left out: an empty line is not the same as none. */
  readonly env: (
    config: Config,
    app: AppConfig,
    secret: (name: string) => Secret,
    /** What a secret was before, newest first. */
    previous: (name: string) => readonly Secret[],
  ) => Readonly<Record<string, EnvGroup>>;
  /** `${NAME}` of the Compose file and `{$NAME}` of the Caddy snippet. */
  readonly variables: (config: Config, app: AppConfig) => Readonly<Record<string, string>>;
  /** Answers that are fine by themselves but that this app cannot do together; sentences. */
  readonly problems?: (config: Config) => readonly string[];
  /** Volumes of the app that Caddy serves files from: `volume:target`, mounted read-only. */
  readonly caddyMounts?: readonly string[];
  /** Names Caddy answers for, the app's domain first; they lead to Caddy on the app's own network too. Absent: the domain. */
  readonly names?: (config: Config, app: AppConfig) => readonly string[];
  /** Caddy snippets of the app; absent: the one named like it. */
  readonly snippets?: (config: Config, app: AppConfig) => readonly string[];
  /** Network on which Caddy meets the app. */
  readonly front: string;
  /**
   * Takes no server at a private address, itself included: no name of the site leads it through Docker's own network,
   * which in a lab has addresses that count as public.
   */
  readonly publicOnly?: boolean;
  /** Files for `trust/`, beside the root of `internal` certificates, by name: for software that finds it through one. */
  readonly trustFiles?: Readonly<Record<string, string>>;
  /** Edits the parsed Compose file for the answers. */
  readonly shape: (compose: ComposeFile, config: Config, app: AppConfig) => void;
  readonly steps: (config: Config, app: AppConfig) => readonly AppStep[];
  readonly proofs: (context: ProofContext, app: AppConfig) => readonly Proof[];
  /** It shows things live over WebSockets, which a proxy in front has to pass on. */
  readonly webSockets?: true;
  /** `fedi-setup NAME …` runs this in a container of the app. */
  readonly cli: {
    readonly name: string;
    readonly service: string;
    /** The person's words → the command inside. */
    readonly argv: (words: readonly string[]) => readonly string[];
  };
}
