/** Selects Mastodon for the test sites: the official images if they are loaded, else the stand-ins. */
import { spawnSync } from 'node:child_process';
import { needImages } from './acme.ts';

const VERSION = 'v4.6.5';

const isLoaded = (image: string): boolean =>
  spawnSync('docker', ['image', 'inspect', image], { stdio: 'ignore' }).status === 0;

/** MASTODON_IMAGES=stand-in selects them even if the official ones are loaded. */
export const isOfficial =
  process.env['MASTODON_IMAGES'] !== 'stand-in' &&
  ['mastodon', 'mastodon-streaming'].every((name) => isLoaded(`ghcr.io/mastodon/${name}:${VERSION}`));

// Its databases are always Debian's.
needImages('nginx-cache', 'postgres', 'valkey', ...(isOfficial ? [] : ['mastodon', 'mastodon-streaming']));

/** Answers with these images; prints which they are. */
export function mastodonImages(): NodeJS.ProcessEnv {
  process.stderr.write(
    isOfficial ? `Mastodon: the official images, ${VERSION}\n` : 'Mastodon: stand-ins, not the original\n',
  );
  return {
    FEDI_IMAGES_NGINX: 'fedi-setup/nginx-cache:trixie',
    FEDI_IMAGES_POSTGRES: 'fedi-setup/postgres:trixie',
    FEDI_IMAGES_VALKEY: 'fedi-setup/valkey:trixie',
    FEDI_MASTODON_RELEASE: VERSION,
    ...(isOfficial
      ? {}
      : {
          FEDI_IMAGES_MASTODON: 'fedi-setup/mastodon:trixie',
          FEDI_IMAGES_MASTODON_STREAMING: 'fedi-setup/mastodon-streaming:trixie',
        }),
  };
}

/** Answers of a site with Mastodon instead of snac. */
export function mastodonAnswers(domain: string): NodeJS.ProcessEnv {
  return {
    ...mastodonImages(),
    FEDI_APPS: 'mastodon',
    FEDI_MASTODON_DOMAIN: domain,
    FEDI_MASTODON_ADMIN: 'anna',
    FEDI_MASTODON_EMAIL: 'anna@fedi.test',
    FEDI_MASTODON_SIZE: '2gb',
  };
}
