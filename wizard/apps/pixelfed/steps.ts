/** Pixelfed's first run. Checks read the data, because several commands exit 0 although they did nothing. */
import type { AppIdentity } from '../../config/config.ts';
import type { Command } from '../../docker/engine.ts';
import type { AppStep, Uploads } from '../app.ts';
import { brandingStep } from './branding.ts';
import { NEW_PASSWORD, createAccount, setPassword } from './people.ts';
import { php, query } from './php.ts';

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

/** Creates missing pictures in one plain colour. */
const MAKE_PICTURES = `foreach (explode(',', $values['files']) as $file) {
  $path = $values['folder'].'/'.$file;
  if (is_file($path) && filesize($path) > 0) continue;
  if (!is_dir(dirname($path))) mkdir(dirname($path), 0755, true);
  $picture = imagecreatetruecolor(400, 400);
  imagefill($picture, 0, 0, imagecolorallocate($picture, 222, 226, 230));
  str_ends_with($path, '.png') ? imagepng($picture, $path) : imagejpeg($picture, $path);
}`;

const makePictures = (): Command => php(MAKE_PICTURES, { folder: PUBLIC, files: SHIPPED.join(',') });

/** @param owner `uid:gid` of the image's user */
export const pixelfedUploads = (owner: string): Uploads => ({
  volume: 'pixelfed_storage',
  shown: SHOWN,
  owner,
  image: 'pixelfed',
  shipped: { from: STORAGE, files: SHIPPED, make: makePictures(), service: 'pixelfed_web' },
});

const COUNT_CITIES = `ini_set('memory_limit', '512M');
$all = count(json_decode(file_get_contents('storage/app/cities.json')));
$there = current((array) $app['db']->selectOne('select count(*) from places'));
echo $there > 0 && $there >= $all ? 'all' : "$there of $all", PHP_EOL;`;

/** Sets or prints the next id of client apps. Ids that are not numbers cannot equal a user's. */
const CLIENT_IDS = `$pg = $app['db']->getDriverName() === 'pgsql';
if ($values['act']) {
  $app['db']->statement($pg ? "select setval('oauth_clients_id_seq', {$values['first']}, false)" : "alter table oauth_clients auto_increment = {$values['first']}");
}
$type = current((array) $app['db']->selectOne("select data_type from information_schema.columns where table_name = 'oauth_clients' and column_name = 'id' and table_schema = ".($pg ? 'current_schema()' : 'database()')));
if (str_contains($type, 'int')) {
  $next = $pg
    ? current((array) $app['db']->selectOne('select last_value from oauth_clients_id_seq'))
    : (preg_match('/AUTO_INCREMENT=(\\\\d+)/', implode(' ', (array) $app['db']->selectOne('show create table oauth_clients')), $found) ? $found[1] : 1);
}
echo isset($next) && $next < $values['first'] ? $next : 'apart', PHP_EOL;`;

const PERSONAL_CLIENT = `try {
  $app->make(Laravel\\Passport\\ClientRepository::class)->personalAccessClient('users');
  echo 'there', PHP_EOL;
} catch (RuntimeException) {
  echo 'none', PHP_EOL;
}`;

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
      check: { ...php(COUNT_CITIES), prints: 'all' },
      act: { argv: ['php', 'artisan', 'import:cities'] },
      hint: 'storage/app/cities.json must be the file of this version’s image.',
    },
    {
      id: 'pixelfed.ids',
      title: 'Separate ids for client apps and users',
      service,
      check: { ...php(CLIENT_IDS, { first: FIRST_CLIENT, act: 0 }), prints: 'apart' },
      act: php(CLIENT_IDS, { first: FIRST_CLIENT, act: 1 }),
      hint,
    },
    {
      // Each call creates another client.
      id: 'pixelfed.client',
      title: 'Client for personal access tokens',
      service,
      check: { ...php(PERSONAL_CLIENT), prints: 'there' },
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
      puts: { answer: 'apps.pixelfed.password', as: PASSWORD },
      hint,
    },
  ];
}
