/** A part of a site that has its own container and is not an app. Its services are in `compose/ID.yaml`. */
import type { App, FixedImage } from '../apps/app.ts';
import type { Config } from '../config/config.ts';
import type { ComposeFile } from '../stack/compose.ts';

export interface Component {
  /** Name of its Compose service, its network and its image. */
  readonly id: string;
  readonly image: FixedImage;
  readonly isWanted: (config: Pick<Config, 'mail'>) => boolean;
  /** Services of an app that use it: they join its network. */
  readonly clients: (app: App) => readonly string[];
  /** Edits the Compose file of the whole site. */
  readonly shape?: (file: ComposeFile, config: Config) => void;
}
