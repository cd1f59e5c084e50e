/** The validated answers as a typed structure. */
import type { Tls } from '../ingress/tls.ts';
import type { Backup } from './backup.ts';
import type { Bucket } from './bucket.ts';
import type { Mail } from './mail.ts';
import type { Monitoring } from './monitoring.ts';

/** Key of the answer with the CA certificates of the administrator's own servers. */
export const OWN_CAS_KEY = 'trust.ca';

/** What every app has. */
export interface AppIdentity {
  readonly id: string;
  readonly domain: string;
  /** The admin's user name, without the domain. */
  readonly admin: string;
  readonly email: string;
}

/** Options that only one app has. */
export interface AppOptions {
  /** Id of the app. */
  readonly app: string;
  /** File in `trust/custom` with the CA certificates of its external database; absent: the public CAs. */
  readonly databaseCa?: string | undefined;
  /** The site has CA certificates of the administrator's own servers. */
  readonly hasOwnCas?: true;
}

/** One app of the site. */
export interface AppConfig<Options extends AppOptions = AppOptions> extends AppIdentity {
  /** Preset by memory; absent: the app has none. */
  readonly size?: string;
  /** Which part of the visitors' addresses its access log has; absent: there is no access log. */
  readonly accessLog?: 'short' | 'full';
  /** Bucket for its media; absent: they are on this host. */
  readonly bucket?: Bucket;
  /** Paths of data directories by `DataFolder.name`; the other data are in Docker volumes. */
  readonly folders: Readonly<Record<string, string>>;
  /** Paths of the administrator's pictures by `AppPicture.name`. */
  readonly pictures: Readonly<Record<string, string>>;
  readonly options: Options;
}

export interface Config {
  /** Compose project name: the prefix of all volumes, networks and containers. */
  readonly name: string;
  readonly apps: readonly AppConfig[];
  readonly tls: Tls;
  readonly mail: Mail;
  /** File in `trust/custom` with the CA certificates of the administrator's own servers; undefined: there is none. */
  readonly ownCas: string | undefined;
  /** Undefined: it is not monitored. */
  readonly monitoring: Monitoring | undefined;
  /** Undefined: no backups are configured. */
  readonly backup: Backup | undefined;
  /** What `maintain` does with new patch releases of the apps. */
  readonly upgrades: 'notify' | 'patch' | 'off';
  /** The public status page; absent: there is none. */
  readonly statusPage?: {
    /** Announcement; undefined: none. */
    readonly notice: string | undefined;
  };
  /** Days from one clean-up to the next; 0: never. */
  readonly cleanUpDays: number;
  /** Copies of what the apps mark as public answer for them. */
  readonly hasCache: boolean;
  /** Address of this host that Caddy listens on. */
  readonly bind: string;
  /** Image name → reference: the chosen image, or the default. Absent: the default. */
  readonly images: Readonly<Record<string, string>>;
}

/** Returns the app with that id. Throws if the site does not have it: that is a bug. */
export function appConfig(config: Config, id: string): AppConfig {
  const found = config.apps.find((app) => app.id === id);
  if (found === undefined) throw new Error(`the site has no ${id}`);
  return found;
}

/** Whether `ownCas` verifies the ACME directory and the certificates from there: `tls.directory-root` counts before it. */
export const hasOwnDirectory = ({ ownCas, tls }: Config): boolean =>
  ownCas !== undefined && tls.ca?.isPublic === false && tls.ca.root === undefined;

/** The address at which this host reaches Caddy. */
export const ingressAddress = ({ bind }: Config): string =>
  bind === '0.0.0.0' || bind === '::' ? '127.0.0.1' : bind;
