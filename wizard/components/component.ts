/** A part of a site that has its own containers and is not an app. Its services are in `compose/ID.yaml`. */
import type { App, AppStep, FixedImage } from '../apps/app.ts';
import type { Secrets } from '../apps/shared/server.ts';
import type { Config } from '../config/config.ts';
import type { SecretSpec } from '../secrets/store.ts';
import type { ComposeFile } from '../stack/compose.ts';
import type { EnvGroup } from '../stack/env.ts';

/** An image of a component. */
export interface ComponentImage extends FixedImage {
  /** Whether this site needs it; absent: every site with the component. */
  readonly isNeeded?: (config: Config) => boolean;
}

export interface Component {
  /** Name of its Compose file, and of its service, or the start of their names. */
  readonly id: string;
  /** By the name in `${IMAGE_…}` of the Compose file. */
  readonly images: Readonly<Record<string, ComponentImage>>;
  readonly isWanted: (config: Pick<Config, 'mail' | 'monitoring'>) => boolean;
  /** Whether a service or a network with that name belongs to it. */
  readonly owns: (name: string) => boolean;
  /** Services of an app that use it: they join its network. Absent: none. */
  readonly clients?: (app: App) => readonly string[];
  /** `${NAME}` of its Compose file. */
  readonly variables?: (config: Config) => Readonly<Record<string, string>>;
  /** Edits the Compose file of the whole site. */
  readonly shape?: (file: ComposeFile, config: Config) => void;
  readonly secrets?: (config: Config) => readonly SecretSpec[];
  /** `env/NAME.env` → its variables. */
  readonly env?: (config: Config, secret: Secrets) => Readonly<Record<string, EnvGroup>>;
  /** Path in the site directory → text. No secrets: every user of the host may read them. */
  readonly files?: (config: Config) => Promise<Readonly<Record<string, string>>>;
  /** Caddy's files, by path, before values are filled in → with those of the component. */
  readonly caddy?: (
    files: Readonly<Record<string, string>>,
    config: Config,
  ) => Promise<Record<string, string>>;
  /** Steps before those of the apps, when all containers are healthy. */
  readonly steps?: (config: Config, secret: Secrets) => readonly AppStep[];
  /** Volume keys of its Compose file that are not part of a backup. */
  readonly derived?: readonly string[];
}
