/** Selects Pixelfed for the test sites: the official image if it is loaded, else the stand-in. */
import { spawnSync } from 'node:child_process';
import { needImages } from './acme.ts';

const VERSION = 'v0.14.4';
const OFFICIAL = `ghcr.io/pixelfed/pixelfed:${VERSION}`;

/** PIXELFED_IMAGES=stand-in selects it even if the official one is loaded. */
export const isOfficial =
  process.env['PIXELFED_IMAGES'] !== 'stand-in' &&
  spawnSync('docker', ['image', 'inspect', OFFICIAL], { stdio: 'ignore' }).status === 0;

export const PIXELFED_IMAGE = isOfficial ? OFFICIAL : 'fedi-setup/pixelfed:trixie';

// Its databases are always Debian's.
needImages('mariadb', 'nginx-cache', 'postgres', 'valkey', ...(isOfficial ? [] : ['pixelfed']));

/** Answers with this image; prints which it is. */
export function pixelfedImages(): NodeJS.ProcessEnv {
  process.stderr.write(
    isOfficial ? `Pixelfed: the official image, ${VERSION}\n` : 'Pixelfed: a stand-in, not the original\n',
  );
  return {
    FEDI_IMAGES_MARIADB: 'fedi-setup/mariadb:trixie',
    FEDI_IMAGES_NGINX: 'fedi-setup/nginx-cache:trixie',
    FEDI_IMAGES_POSTGRES: 'fedi-setup/postgres:trixie',
    FEDI_IMAGES_VALKEY: 'fedi-setup/valkey:trixie',
    FEDI_PIXELFED_RELEASE: VERSION,
    ...(isOfficial ? {} : { FEDI_IMAGES_PIXELFED: PIXELFED_IMAGE }),
  };
}

/** Answers of a site with Pixelfed instead of snac. */
export function pixelfedAnswers(domain: string): NodeJS.ProcessEnv {
  return {
    ...pixelfedImages(),
    FEDI_APPS: 'pixelfed',
    FEDI_PIXELFED_DOMAIN: domain,
    FEDI_PIXELFED_ADMIN: 'anna',
    FEDI_PIXELFED_EMAIL: 'anna@fedi.test',
    FEDI_PIXELFED_SIZE: '2gb',
  };
}
