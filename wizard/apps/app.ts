/** The description of an app: one object. All other code treats all apps alike. */
import type { AppConfig, AppOptions, Config } from '../config/config.ts';
import type { Mail, Mailer } from '../config/mail.ts';
import type { Parsed } from '../config/parse.ts';
import type { Picture } from '../config/picture.ts';
import type { Answers, Question, Share } from '../config/question.ts';
import type { Command } from '../docker/engine.ts';
import type { Proof, ProofContext } from '../prove/proof.ts';
import type { ComposeFile } from '../stack/compose.ts';
import type { EnvGroup } from '../stack/env.ts';
import type { Secret } from '../secrets/secret.ts';
import type { SecretSpec } from '../secrets/store.ts';
import type { AppMonitoring } from './monitoring.ts';
import type { People } from './people.ts';
import type { ContainerServer, DataMarker, Dump, Secrets } from './shared/server.ts';

/** Directory of the internal CA certificate (`root.crt`) in an app's container. */
export const TRUST_FOLDER = '/etc/fedi/trust';

/** Its path in containers. */
export const OWN_CAS = `${TRUST_FOLDER}/ca.crt`;

/** Path in containers of the CA certificates that an app trusts besides the public ones; undefined: there are none. */
export const addedCas = ({ ownCas, tls }: Config): string | undefined =>
  ownCas !== undefined ? OWN_CAS : tls.isLab ? `${TRUST_FOLDER}/root.crt` : undefined;

/** A function of an app's options. Declared by a method, whose parameter TypeScript compares both ways, so that every App is an `App<AppOptions>`. */
type OfOptions<Options, Result> = { of(options: Options): Result }['of'];

/** An image of the stack. */
export interface ImageSpec<Options extends AppOptions = AppOptions> {
  /** Reference with the tag that is known to work; it may depend on an option. */
  readonly reference: string | OfOptions<Options, string>;
  /**
   * Reference → digest that is known to work. It is pulled by digest, whatever the tag points to now, and only on the
   * architectures `on`: the digest may be that of a single-platform image.
   */
  readonly known?: Readonly<
    Record<string, { readonly digest: string; readonly on: readonly NodeJS.Architecture[] }>
  >;
  /** Directory under compose/ with a Dockerfile, for software without an official image; built on the host. */
  readonly build?: string;
  /** Whether these options need it; absent: always. */
  when?(options: Options): boolean;
  /**
   * How many numbers of its version decide which data it can use: an older version is refused over existing data, and a newer
   * default does not replace it without `upgrade`. `fixed`: how many of them are the major version, which only
   * `upgrade --databases` changes. Absent: it has no data, or every version can use them.
   */
  readonly data?: { readonly parts: number; readonly fixed?: number };
}

/** An image whose reference depends on no option. */
export type FixedImage = ImageSpec & { readonly reference: string };

/** Key of the answer with the path of an app's data directory. */
export const folderKey = (app: string, { name }: Pick<DataFolder, 'name'>): string => `apps.${app}.${name}`;

/** Key of the answer with the path of an app's picture. */
export const pictureKey = (app: string, { name }: AppPicture): string => `apps.${app}.${name}`;

export function referenceOf({ reference }: ImageSpec, options: AppOptions): string {
  return typeof reference === 'string' ? reference : reference(options);
}

/**
 * A step of the first run, as data: it can be printed, and the run after a killed one does the remaining steps.
 * Order: `check`; if it fails, `act`, then `check` again.
 */
export interface AppStep {
  readonly id: string;
  /** One line of progress that names the result: "Account alice". */
  readonly title: string;
  /** Compose service whose container runs the commands; it is healthy by then. */
  readonly service: string;
  /** Done when this exits 0 and its last line is `prints`; absent: done when the captured secret is in the store. */
  readonly check?: Command & { readonly prints?: string };
  readonly act: Command | ((password: Secret) => Command);
  /** Service that runs `act`, if not `service`. */
  readonly actIn?: string;
  /** Stores group 1 of the pattern, matched in the output of `act`, as this secret at once. */
  readonly capture?: { readonly pattern: RegExp; readonly secret: string };
  /**
   * Sets a secret answer in the app, if it was given: `act` gets it, and it is stored as the secret `as`, which counts as
   * shown. Done once: later it can be changed in the app.
   */
  readonly sets?: { readonly answer: string; readonly as: string };
  /** What to do if it fails. */
  readonly hint: string;
}

/** Connection check: an external server is tested from inside a container before anything is written. */
export interface Trial {
  readonly id: string;
  /** One line of progress: "PostgreSQL at db.example.org". */
  readonly title: string;
  /** Name of the image that has the command. */
  readonly image: string;
  readonly argv: readonly string[];
  readonly env: (secret: (name: string) => Secret) => EnvGroup;
  /** A sentence about what is wrong according to its output; undefined: nothing. */
  readonly problem: (stdout: string) => string | undefined;
  /** A warning if nothing is wrong. */
  readonly note?: (stdout: string) => string | undefined;
  /** What to do if the server did not answer as expected. */
  readonly hint: string;
  /** Flag for the certificate of a private CA; absent: there is none. */
  readonly caFlag?: string;
}

/** The largest preset that fits a share of the host. Presets are in ascending order; the first fits every host. */
export function biggestFor<Size extends string>(
  sizes: Readonly<Record<Size, { readonly memory: number; readonly cores: number }>>,
  { memoryMiB, cores }: Share,
): Size {
  const fits = (size: Size): boolean => sizes[size].memory <= memoryMiB && sizes[size].cores <= cores;
  return (Object.keys(sizes) as Size[]).findLast(fits) as Size;
}

/**
 * `${APP_PART_MEMORY}` for each part of a Compose file, from MiB. Valkey's data limit is two thirds of its memory: rewriting
 * its file needs the rest.
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
  /** Maximum number of busy processes. */
  readonly processes: number;
}

/** A volume that can be a directory of the administrator's choice. */
export interface DataFolder<Options extends AppOptions = AppOptions> {
  /** Volume key in the app's Compose file; it may depend on an option. */
  readonly volume: string | OfOptions<Options, string>;
  /** Its content: "the database". */
  readonly what: string;
  /** Last part of the answer's key. */
  readonly name: string;
  /** `uid:gid` that the app writes as. */
  readonly owner: string;
  when?(options: Options): boolean;
}

/** An app's public files. `doctor` finds those with the wrong owner or mode, and `--fix` repairs them. */
export interface Uploads {
  /** Volume key in the app's Compose file. */
  readonly volume: string;
  /** Directory in the volume that everybody may read; others may contain secrets. */
  readonly shown: string;
  /** Directory in the volume with copies of remote files; absent: it has none. */
  readonly cached?: string;
  /** `uid:gid` that the app writes as. */
  readonly owner: string;
  /** Name of the image that wrote them; it has `find` and the shipped files. */
  readonly image: string;
  readonly shipped?: {
    /** Directory in the image with the initial content of the volume. */
    readonly from: string;
    /** Files below `shown` that pages always refer to. */
    readonly files: readonly string[];
    /** Creates those that the image lacks; runs in `service`. */
    readonly make: () => Command;
    readonly service: string;
  };
}

/** An app whose media have the same names below `shown` of its volume and in a bucket. */
export interface MediaMoves<Options extends AppOptions = AppOptions> {
  /** Top directories with media. */
  readonly folders: readonly string[];
  /** Those of them whose files nobody may read without the app. */
  readonly hidden: readonly string[];
  /** Cache-Control that the app gives its objects. */
  readonly cacheControl: string;
  /** URL of a file on this host. */
  localUrl(app: AppConfig<Options>, path: string): string;
  /** Prints directories with files that only the app may read, one a line; some may not exist. */
  private(app: AppConfig<Options>): { readonly service: string; readonly check: Command };
}

/** An app that stores with each file where it is, and moves files into a bucket itself. */
export interface OwnMoves extends NoMoves {
  /** Sentences about what it does with them. */
  readonly about: string;
  readonly service: string;
  /** Prints {@link OwnMedia} as JSON, in its last line. @param after moves some of those after this one; absent: only looks */
  readonly program: (after?: string) => Command;
}

/** Files on this host that an app can move into its bucket. */
export interface OwnMedia {
  readonly files: number;
  readonly bytes: number;
  /** Files that it does not move yet. */
  readonly young: number;
  /** Of the files that were moved now; absent: it only looked. */
  readonly moved?: number;
  readonly failed?: number;
  /** Why the last of them failed. */
  readonly error?: string | null;
  /** Some that were moved: their address, and the MD5 that they had on this host. */
  readonly samples?: readonly { readonly url: string; readonly md5: string }[];
  /** Where to continue; null: there was none left. */
  readonly last?: string | null;
}

/** Why an app’s media cannot be moved (an {@link OwnMoves}: moved back), and what else to do; sentences. */
export interface NoMoves {
  readonly why: string;
  readonly next: string;
}

/** An app's nginx, its service `ID_uploads`: serves uploads, and keeps copies of answers that the app marks as public. */
export interface Nginx {
  /** Directory of the uploads in the container. */
  readonly uploads: string;
  /** `service:port` of the app. */
  readonly app: string;
  /** Answers differ by the whole address, or the app ignores the query there. A variable of compose/nginx/cache.conf. */
  readonly key: '$request_uri' | '$path';
}

/** A picture of the administrator that Caddy serves in place of the app's: `caddy/pictures/APP-NAME.TYPE`. */
export interface AppPicture {
  /** Last part of the answer's key. */
  readonly name: string;
  /** "Banner". */
  readonly what: string;
  /** Why it is rejected, as a predicate: "is 800×600; …". */
  readonly problem: (picture: Picture) => string | undefined;
}

/** Uses keys in restored data that are lost without the permanent secrets. */
export interface KeyCheck {
  /** Name of the image that runs it. */
  readonly image: string;
  /** Prints their numbers, `{"keys":1,"secrets":0}`; fails if one cannot be used. @param volumes directory with the restored volumes */
  readonly command: (volumes: string) => Command;
  /** Name of the group of variables that it gets, and those that lead to a restored database on 127.0.0.1; absent: it needs only files. */
  readonly env?: { readonly group: string; readonly database: (port: number) => EnvGroup };
}

/** Data that an app keeps for a while and can remove by its own rules. No published post of a local account. */
export interface CleanUp {
  readonly id: string;
  /** What is removed, for a line of progress. */
  readonly title: string;
  /** Service whose container runs it. */
  readonly service: string;
  readonly argv: readonly string[];
  /** Word that makes it only report what it would remove; absent: the app cannot. */
  readonly dryRun?: string;
  /** Its result, in what it prints; absent: it prints nothing useful. */
  readonly reports?: RegExp;
}

/** The names of migrations, in the order in which they run. */
export interface Migrations {
  readonly before: readonly string[];
  /** Those that run after the new version was started. */
  readonly after: readonly string[];
}

/** How an app whose version is an answer is upgraded. */
export interface Upgrades<Options extends AppOptions = AppOptions> {
  /** Last part of the key of the answer with the version. */
  readonly answer: string;
  /** The version, as a tag: `v4.7.6`. */
  version(options: Options): string;
  /** Minor versions that this version of fedi-setup can install, ascending: `4.7`. */
  readonly minors: readonly string[];
  /** Upstream supports no upgrade that skips a minor version. */
  readonly stepwise: boolean;
  /** Why a version must not be installed. */
  readonly broken?: Readonly<Record<string, string>>;
  /** URL of its release notes. */
  readonly notes: (version: string) => string;
  /** Name of the image with the migrations, and a command that lists them there without a database. */
  readonly image: string;
  readonly list: readonly string[];
  readonly parse: (stdout: string) => Migrations;
  /** Table with the migrations that the database has. */
  readonly table: string;
  /** Prints the names of the migrations that the database has, one a line. */
  done(options: Options): { readonly service: string; readonly check: Command };
}

/** How long an app keeps copies of remote media, and what they cost. */
export interface RemoteMedia {
  /** Undefined: forever. */
  readonly days: number | undefined;
  /** Bytes of all copies, and of those of one day. */
  readonly bytes: number;
  readonly perDay: number;
}

/** How an app has other servers delete its accounts before it is removed. */
export interface Goodbye {
  /** Sentences about what other servers get, and what they do not. */
  readonly about: string;
  /** Compose service whose container runs both commands. */
  readonly service: string;
  /** Starts the deletion of all accounts; may run again. */
  readonly start: Command;
  /** Variables that the app needs from then on, from the output of `start`; undefined: it has them. Absent: none. */
  readonly variables?: (stdout: string) => Readonly<Record<string, string>> | undefined;
  /** Prints {@link GoodbyeLeft} as JSON, in its last line. */
  readonly look: Command;
}

/** What an app has left to do until all servers that can be reached have deleted its accounts. */
export interface GoodbyeLeft {
  /** Accounts whose deletion is in no queue yet. */
  readonly accounts: number;
  /** Deliveries that were not tried yet, and work in progress. */
  readonly deliveries: number;
  /** Server → how often a delivery to it failed; the smallest number. Absent: the app does not record it. */
  readonly failed?: Readonly<Record<string, number>>;
  /** Deliveries that will not be tried again. */
  readonly lost?: number;
}

/** A process that takes background jobs. */
export interface Worker {
  /** Of the process: several may be one, as the supervisors of a Horizon. */
  readonly process: string;
  /** Host name, which is that of its container. */
  readonly host: string;
  /** Queues that it takes jobs from. */
  readonly queues: readonly string[];
  /** It takes no new jobs. */
  readonly isPaused: boolean;
}

/** The background jobs of an app at one time. Times are in milliseconds since 1970. */
export interface JobFigures {
  /** Jobs that no worker has taken yet. */
  readonly waiting: number;
  /** When the one that waits longest was added; undefined: none waits, or the app does not record it. */
  readonly oldest: number | undefined;
  /** Jobs that are due later: failed ones that will be tried again, and delayed ones. */
  readonly later: number;
  /** Jobs that failed for good, as far as the app keeps them. */
  readonly failed: number;
  /** When the newest of them failed, and the hundredth newest; undefined: there is none, or the app does not record it. */
  readonly failedAt: { readonly newest: number | undefined; readonly hundredth: number | undefined };
  /** Queue → waiting jobs; queues without jobs may be missing. */
  readonly queues: Readonly<Record<string, number>>;
  /** Queue → the same as `oldest`; those without may be missing. */
  readonly oldestIn: Readonly<Record<string, number>>;
  /** Undefined: the app has no workers apart from itself, or they are unknown. */
  readonly workers: readonly Worker[] | undefined;
}

/** How the background jobs of an app are counted. */
export interface Jobs {
  /** Compose service whose container runs it. */
  readonly service: string;
  /** Only reads. It ends without a reader too: `status` does not wait for it longer than a second. */
  readonly look: Command;
  /** Throws if it is not the output of `look`. */
  readonly parse: (stdout: string, now: Date) => JobFigures;
  /** Queues that need a worker even while they are empty. */
  readonly always: readonly string[];
  /** A queue that only one process may serve, and what follows from a second one; absent: there is none. */
  readonly sole?: { readonly queue: string; readonly means: string };
  /** Services that must not have a second container, and what follows from one. */
  readonly single: Readonly<Record<string, string>>;
  /** Path of the page with the failed jobs, for the owner; absent: the app has none. */
  readonly failedPage?: string;
}

export interface App<Options extends AppOptions = AppOptions> {
  readonly id: string;
  /** Product name. */
  readonly name: string;
  /** One line for the choice of apps. */
  readonly about: string;
  /** `cores`: how many it uses when it is busy. */
  readonly minimum: { readonly memoryMiB: number; readonly diskGiB: number; readonly cores: number };
  /** Its typed options. In the wizard some answers may be missing. */
  options(answers: Answers): Options;
  /** Its use of the host; absent: its minimum, in one process. */
  load?(options: Options): Load;
  /** Questions besides domain, admin and e-mail; keys start with `apps.ID.`. */
  readonly questions: readonly Question[];
  /** The app's own rule for user names. */
  readonly parseAdmin: (text: string) => Parsed<string>;
  /** Warnings about an accepted name; sentences. */
  readonly aboutAdmin?: (name: string) => readonly string[];
  /** By the name in `${IMAGE_…}` of the Compose file. */
  readonly images: Readonly<Record<string, ImageSpec<Options>>>;
  readonly secrets: readonly SecretSpec[];
  /** Secret that holds the admin's password. */
  readonly adminSecret: string;
  /** URL of the page where an account logs in; absent: the front page. */
  loginPage?(domain: string, user: string): string;
  /** Its servers in containers: databases, Redis. Absent: none. */
  servers?(options: Options): readonly ContainerServer[];
  /** How its external databases are dumped. An external Redis has queues and caches only, and is not part of a backup. */
  externalDumps?(options: Options, secret: Secrets): readonly Dump[];
  /** Volume keys of its Compose file whose content is created again from the image; not part of a backup. */
  readonly derived?: readonly string[];
  keyCheck(options: Options): KeyCheck;
  /** One for each place that must belong to this app only; its data first. */
  markers(options: Options): readonly DataMarker[];
  trials?(options: Options): readonly Trial[];
  readonly folders?: readonly DataFolder<Options>[];
  readonly uploads?: Uploads;
  /** How its media move between this host and a bucket, or why they do not. */
  readonly moves: MediaMoves<Options> | OwnMoves | NoMoves;
  readonly nginx?: Nginx;
  readonly pictures?: readonly AppPicture[];
  /** `env/NAME.env` → its variables. Undefined ones are omitted: an empty value is not the same. */
  env(
    config: Config,
    app: AppConfig<Options>,
    secret: (name: string) => Secret,
    /** Earlier values of a secret, newest first. */
    previous: (name: string) => readonly Secret[],
  ): Readonly<Record<string, EnvGroup>>;
  /** `${NAME}` of the Compose file and `{$NAME}` of the Caddy snippet. */
  variables(app: AppConfig<Options>): Readonly<Record<string, string>>;
  /** Conflicts between valid answers; sentences. */
  problems?(config: Config, app: AppConfig<Options>): readonly string[];
  /** Volumes of the app that Caddy serves files from: `volume:target`, mounted read-only. */
  readonly caddyMounts?: readonly string[];
  /** Names by which other servers know the app, its domain first; they cannot change. Absent: the domain. */
  names?(app: AppConfig<Options>): readonly string[];
  /** Those of them that Caddy serves; they are its aliases on the app's network. Absent: all. */
  served?(app: AppConfig<Options>): readonly string[];
  /** Answer, as a flag, for a domain whose website stays on another server; undefined: there is none. */
  elsewhere?(app: AppConfig<Options>): string | undefined;
  /** Caddy snippets of the app; absent: the one with its id. */
  snippets?(app: AppConfig<Options>): readonly string[];
  /** Ingress network, which connects Caddy to the app. */
  readonly front: string;
  /**
   * It rejects servers at private addresses, even its own. So Caddy has no aliases on its network, except in a lab, where
   * that network has addresses that count as public.
   */
  readonly publicOnly?: boolean;
  /** Name → text of further files in `trust/`, for software that needs one to find CA certificates. @param cas see {@link addedCas} */
  trustFiles?(cas: string): Readonly<Record<string, string>>;
  /** How its mail library uses a server. */
  mailer(app: AppConfig<Options>, mail: Mail): Mailer;
  /** What does not work while the site sends no mail; a sentence. */
  readonly withoutMail: string;
  /** Compose services that send mail. */
  readonly mailClients: readonly string[];
  /** Edits the parsed Compose file according to the options. */
  shape(compose: ComposeFile, config: Config, app: AppConfig<Options>): void;
  steps(app: AppConfig<Options>): readonly AppStep[];
  proofs(context: ProofContext, app: AppConfig<Options>): readonly Proof[];
  /** Absent: its version comes with fedi-setup. */
  readonly upgrades?: Upgrades<Options>;
  /** Prints {@link RemoteMedia} as JSON; absent: it keeps none. */
  remoteMedia?(options: Options): { readonly service: string; readonly check: Command };
  /** Absent: it has none. */
  jobs?(options: Options): Jobs;
  monitoring(app: AppConfig<Options>): AppMonitoring;
  /** @param days how long it keeps copies of remote media; undefined: forever */
  cleanUps(app: AppConfig<Options>, days: number | undefined): readonly CleanUp[];
  /** Called before it is removed, if the administrator wants that. */
  goodbye(app: AppConfig<Options>): Goodbye;
  /** Its accounts, for `fedi-setup user`. */
  people(options: Options): People;
  /**
   * It has live updates over WebSockets, which a reverse proxy in front must forward. The service refuses a WebSocket on that path
   * without a log-in (401), and answers other requests there with another error.
   */
  readonly webSockets?: { readonly service: string; readonly path: string };
  /** `fedi-setup NAME …` runs this in a container of the app. */
  readonly cli: {
    readonly name: string;
    readonly service: string;
    /** Arguments → command in the container. */
    readonly argv: (words: readonly string[]) => readonly string[];
  };
}
