/** Pixelfed's first run. Checks read the data, because several commands exit 0 although they did nothing. */
import type { AppIdentity } from '../../config/config.ts';
import type { Command } from '../../docker/engine.ts';
import type { AppStep, CleanUp, Uploads } from '../app.ts';
import { brandingStep } from './branding.ts';
import { NEW_PASSWORD, createAccount, setPassword } from './people.ts';
import { laravel, query } from './php.ts';

/** Secret that holds the admin's password. */
export const PASSWORD = 'pixelfed.admin';

/** First id of client apps: if a client has the same id as a user, Pixelfed rejects that user's tokens. */
const FIRST_CLIENT = 1_000_000_000;

/** Directory in the image with the initial content of the volume. */
const STORAGE = '/var/www/html/storage';
const SHOWN = 'app/public';
/** Files below it that the image brings and that pages always refer to. */
const SHIPPED = ['avatars/default.jpg', 'avatars/default.png', 'headers/default.jpg', 'no-preview.png'];
const PUBLIC = `${STORAGE}/${SHOWN}`;

const makePictures = (): Command =>
  laravel('make-pictures.php', { folder: PUBLIC, files: SHIPPED.join(',') });

/** @param owner `uid:gid` of the image's user */
export const pixelfedUploads = (owner: string): Uploads => ({
  volume: 'pixelfed_storage',
  shown: SHOWN,
  owner,
  image: 'pixelfed',
  shipped: { from: STORAGE, files: SHIPPED, make: makePictures, service: 'pixelfed_web' },
});

export function pixelfedSteps(app: AppIdentity): AppStep[] {
  const service = 'pixelfed_web';
  const hint = 'Look at `docker compose logs pixelfed_web`.';
  return [
    {
      // Some of upstream's images lack them, and your own data directory starts empty.
      id: 'pixelfed.files',
      title: 'Default pictures',
      service,
      check: {
        argv: [
          'test',
          '-s',
          `${PUBLIC}/${SHIPPED[0]}`,
          ...SHIPPED.slice(1).flatMap((file) => ['-a', '-s', `${PUBLIC}/${file}`]),
        ],
      },
      act: makePictures(),
      hint,
    },
    brandingStep(hint),
    {
      id: 'pixelfed.actor',
      title: 'The server’s actor',
      service,
      check: { ...query('select count(*) from instance_actors where private_key is not null'), prints: '1' },
      act: { argv: ['php', 'artisan', 'instance:actor'] },
      hint,
    },
    {
      // The command exits 0 although it did nothing, and can be killed halfway, so count the rows.
      id: 'pixelfed.cities',
      title: 'Cities, for the location of photos',
      service,
      check: { ...laravel('count-cities.php'), prints: 'all' },
      act: { argv: ['php', 'artisan', 'import:cities'] },
      hint: 'storage/app/cities.json must be the file of this version’s image.',
    },
    {
      id: 'pixelfed.ids',
      title: 'Separate ids for client apps and users',
      service,
      check: { ...laravel('client-ids.php', { first: FIRST_CLIENT, act: 0 }), prints: 'apart' },
      act: laravel('client-ids.php', { first: FIRST_CLIENT, act: 1 }),
      hint,
    },
    {
      // Each call creates another client.
      id: 'pixelfed.client',
      title: 'Client for personal access tokens',
      service,
      check: { ...laravel('personal-client.php'), prints: 'there' },
      act: {
        argv: [
          'php',
          'artisan',
          'passport:client',
          '--personal',
          `--name=${app.domain}`,
          '--provider=users',
          '--no-interaction',
        ],
      },
      hint,
    },
    {
      id: 'pixelfed.admin',
      title: `Admin ${app.admin}`,
      service,
      check: {
        ...query(
          'select count(*) from users where lower(username) = ? and is_admin and email_verified_at is not null and profile_id is not null',
          [app.admin],
        ),
        prints: '1',
      },
      act: createAccount(app.admin, app.email, true),
      capture: { pattern: NEW_PASSWORD, secret: PASSWORD },
      hint: 'Is the name or the address in use already?',
    },
    {
      // If a run is killed before it stores the password, the password is lost: set a new one.
      id: 'pixelfed.password',
      title: `Password of ${app.admin}`,
      service,
      act: setPassword(app.admin),
      capture: { pattern: NEW_PASSWORD, secret: PASSWORD },
      hint,
    },
    {
      id: 'pixelfed.chosen',
      title: `Password of ${app.admin}, as chosen`,
      service,
      act: (password) => setPassword(app.admin, password),
      sets: { answer: 'apps.pixelfed.password', as: PASSWORD },
      hint,
    },
  ];
}

/** Its scheduler runs them too; they do nothing if it works. */
export const pixelfedCleanUps: readonly CleanUp[] = (
  [
    ['media:gc', 'Uploads that were never posted'],
    ['story:gc', 'Expired stories'],
    ['gc:sessions', 'Old sessions'],
  ] as const
).map(([command, title]) => ({
  id: `pixelfed.${command.replace(':', '-')}`,
  title,
  service: 'pixelfed_web',
  argv: ['php', 'artisan', command],
}));
