/**
 * What our stack assumes about Pixelfed's image, as one table: files, entry point, commands with their output and
 * exit codes (wrong ones too), endpoints, jobs. It runs on the official image where it is loaded and on the stand-in
 * otherwise (PIXELFED_IMAGES=stand-in forces that), so that neither we nor the stand-in drifts from the original.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Command } from '../../wizard/docker/engine.ts';
import { brandingStep } from '../../wizard/apps/pixelfed/branding.ts';
import { php } from '../../wizard/apps/pixelfed/php.ts';
import { pixelfedSteps } from '../../wizard/apps/pixelfed/steps.ts';
import { png } from '../../wizard/prove/activitypub.ts';
import { Browser, form, hiddenFields } from '../../wizard/prove/browser.ts';
import type { Client, Reply, RequestOptions } from '../../wizard/prove/http.ts';
import { answersOf, expectAnswer, expectEnd, fileUpload, until } from '../support/contract.ts';
import type { Row, Wanted } from '../support/contract.ts';
import { pixelfedStack, RULES, INNER } from '../support/pixelfed.ts';
import { DOMAIN } from '../support/stack.ts';
import type { Ended } from '../support/stack.ts';

const on = pixelfedStack();
console.log(`Pixelfed's contract on the ${on.kind} image ${on.image}`);

const OUT_OF_BAND = 'urn:ietf:wg:oauth:2.0:oob';
const EMAIL = 'alice@fedi.test';
const PASSWORD = 'a password of the tests';
const JSON_LD = { Accept: 'application/activity+json' };
const JSON_ONLY = { Accept: 'application/json' };

/** Values that earlier rows pass to later ones. */
const left = { client: { client_id: '', client_secret: '' }, code: '', token: '', media: '', status: '' };

const artisan = (line: string, wanted: Wanted, service = 'pixelfed_web'): Row => [
  `\`artisan ${line}\` ends with ${wanted.code}`,
  () => expectEnd(on.exec(service, ['php', 'artisan', ...line.split(' ')]), wanted),
];

const script = (text: string, values: Record<string, string | number> = {}): Ended => {
  const { argv, stdin } = php(text, values);
  return on.exec('pixelfed_web', argv, stdin);
};

const answers = answersOf(on.web);

/** Exceptions without a status of their own are 500 in JSON, up to 0.12 at least. */
const expectRefusal = (reply: Reply, status: number, message: RegExp): void => {
  expect([status, 500]).toContain(reply.status);
  expect(reply.text()).toMatch(message);
};
const UNKNOWN = /Unauthenticated/;

const bearer = (): Record<string, string> => ({ ...JSON_ONLY, Authorization: `Bearer ${left.token}` });

/** A browser that resolves all names to web itself. */
const browser = new Browser(
  (async (url: string, options?: RequestOptions) =>
    on.web(new URL(url).pathname + new URL(url).search, options)) as Client,
  `https://${DOMAIN}`,
);
const at = (path: string): string => `https://${DOMAIN}${path}`;
const logIn = async (password: string): Promise<Reply> =>
  browser.visit(
    at('/login'),
    form({ ...hiddenFields(await browser.visit(at('/login'))), email: EMAIL, password }),
  );

const upload = (name: string, type: string, content: Buffer): Promise<Reply> =>
  on.web('/api/v2/media', fileUpload(name, type, content, bearer()));

const inside = (line: string): string =>
  on.alone(['sh', '-c', line], {}).stdout.trim().split('\n').at(-1) ?? '';
const CREATE = `$code = $kernel->call('user:create', $values);
echo json_encode(['code' => $code, 'output' => $kernel->output()]), PHP_EOL;`;
const create = (name: string, more: Record<string, string> = {}): Ended =>
  script(CREATE, {
    '--name': name,
    '--username': name,
    '--email': `${name}@fedi.test`,
    '--password': PASSWORD,
    '--is_admin': 'true',
    '--confirm_email': '1',
    ...more,
  });

const CONTRACT: Readonly<Record<string, readonly Row[]>> = {
  'the image': [
    ['runs as www-data', () => expect(on.inspect().User).toBe('www-data')],
    ['which is 33:33', () => expect(inside('echo $(id -u):$(id -g)')).toBe('33:33')],
    ['works in /var/www/html', () => expect(on.inspect().WorkingDir).toBe('/var/www/html')],
    [
      'has the entry point of its base image',
      () => expect(on.inspect().Entrypoint).toEqual(['docker-php-serversideup-entrypoint']),
    ],
    [
      'starts FrankenPHP by default',
      () => expect(on.inspect().Cmd.slice(0, 2)).toEqual(['frankenphp', 'run']),
    ],
    ['exposes 8080', () => expect(Object.keys(on.inspect().ExposedPorts)).toContain('8080/tcp')],
    [
      'has a health check that requests a page',
      () => expect(on.inspect().Healthcheck?.Test.join(' ')).toMatch(/curl/),
    ],
    [
      'has the programs of checks and steps',
      () =>
        expect(
          on
            .alone(
              [
                'sh',
                '-c',
                'for c in curl php test stat mkdir healthcheck-horizon healthcheck-schedule; do command -v $c >/dev/null && echo $c; done',
              ],
              {},
            )
            .stdout.trim()
            .split('\n')
            .slice(-7),
        ).toEqual(['curl', 'php', 'test', 'stat', 'mkdir', 'healthcheck-horizon', 'healthcheck-schedule']),
    ],
    [
      'has the extensions that we use',
      () =>
        expect(on.alone(['php', '-m'], {}).stdout.split('\n')).toEqual(
          expect.arrayContaining(['gd', 'pcntl', 'pdo_mysql', 'pdo_pgsql', 'redis', 'openssl']),
        ),
    ],
    [
      'reads PHP settings from one more directory, and has curl and DNS for them',
      () =>
        expect(
          inside(
            `mkdir /tmp/x && echo openssl.cafile=/r >/tmp/x/php.ini && PHP_INI_SCAN_DIR=:/tmp/x php -r 'echo ini_get("openssl.cafile"), function_exists("curl_init") ? " curl" : "", function_exists("dns_get_record") ? " dns" : "", PHP_EOL;'`,
          ),
        ).toBe('/r curl dns'),
    ],
    [
      'has a directory of certificates named by hash for OpenSSL',
      () => expect(inside('ls /etc/ssl/certs | grep -c "\\.0$" | grep -qv "^0$"; echo $?')).toBe('0'),
    ],
    [
      'treats the addresses of a lab as public',
      () =>
        expect(
          inside(
            `php -r 'echo json_encode(array_map(fn ($one) => filter_var($one, FILTER_VALIDATE_IP, FILTER_FLAG_GLOBAL_RANGE), ["192.88.99.5", "172.18.0.5", "fd00::5"])), PHP_EOL;'`,
          ),
        ).toBe('["192.88.99.5",false,false]'),
    ],
    ['has no .env', () => expect(inside('test -e .env; echo $?')).toBe('1')],
    [
      'can write to storage and bootstrap/cache',
      () => expect(inside('test -w storage -a -w bootstrap/cache; echo $?')).toBe('0'),
    ],
    ['contains the cities', () => expect(inside('test -s storage/app/cities.json; echo $?')).toBe('0')],
    [
      'contains the directories of storage',
      () => expect(inside('test -d storage/framework/views; echo $?')).toBe('0'),
    ],
  ],

  'the entry point': [
    ['does nothing by default', () => expect(inside('test -e public/storage; echo $?')).toBe('1')],
    [
      'creates links and caches for any command',
      () => {
        const { code, stdout } = on.alone(
          ['sh', '-c', 'test -L public/storage && test -s bootstrap/cache/config.php && echo both'],
          {
            APP_KEY: `base64:${Buffer.alloc(32).toString('base64')}`,
            AUTORUN_ENABLED: 'true',
            AUTORUN_LARAVEL_MIGRATION: 'false',
            AUTORUN_LARAVEL_ROUTE_CACHE: 'false',
          },
        );
        expect([code, stdout.trim().split('\n').at(-1)]).toEqual([0, 'both']);
      },
    ],
    [
      'ends the container when there is no database to migrate',
      () =>
        expect(
          on.alone(['true'], {
            AUTORUN_ENABLED: 'true',
            AUTORUN_LARAVEL_MIGRATION_TIMEOUT: '2',
            DB_HOST: 'nowhere.invalid',
          }).code,
        ).not.toBe(0),
    ],
  ],

  'the database': [
    [
      '`migrate` alone is refused in production',
      () =>
        expectEnd(on.exec('pixelfed_web', ['php', 'artisan', 'migrate', '--no-interaction']), {
          code: 1,
          prints: /production|cancel/i,
        }),
    ],
    artisan('migrate --force', { code: 0, prints: /Nothing to migrate/ }),
    artisan('migrate:status --pending', { code: 0, prints: /No pending migrations/ }),
    [
      'without a database `migrate --force` ends with 1',
      () => expectEnd(on.alone(['php', 'artisan', 'migrate', '--force']), { code: 1 }),
    ],
    [
      'also with a wrong password',
      () =>
        expectEnd(
          on.alone(
            ['php', 'artisan', 'migrate', '--force'],
            {
              APP_ENV: 'production',
              DB_CONNECTION: 'mysql',
              DB_HOST: 'pixelfed_db',
              DB_DATABASE: 'pixelfed',
              DB_USERNAME: 'pixelfed',
              DB_PASSWORD: 'wrong',
            },
            on.data,
          ),
          { code: 1, prints: /Access denied/ },
        ),
    ],
    [
      'has the tables and columns that we query',
      () => {
        for (const [table, columns] of Object.entries({
          users: 'id, username, email, password, is_admin, email_verified_at, profile_id, last_active_at',
          instance_actors: 'private_key, public_key',
          oauth_clients: 'id, personal_access_client, revoked',
          oauth_access_tokens: 'id, user_id, client_id, revoked',
          places: 'id',
        }))
          on.sql(`select ${columns} from ${table} limit 1`);
      },
    ],
    [
      'numbers clients from 1',
      () =>
        expect(
          on.sql(
            "select data_type from information_schema.columns where table_schema = 'pixelfed' and table_name = 'oauth_clients' and column_name = 'id'",
          ),
        ).toBe('bigint'),
    ],
  ],

  'commands of the first run': [
    artisan('key:generate --show', { code: 0, prints: /^base64:[A-Za-z0-9+/]{43}=$/m }),
    artisan('instance:actor', { code: 0, prints: /Instance actor succesfully generated/ }),
    artisan('instance:actor', { code: 0, prints: /Instance actor succesfully generated/ }),
    [
      'creates one actor, also when repeated',
      () => expect(on.sql('select count(*) from instance_actors')).toBe('1'),
    ],
    [
      '`import:cities` ends with 0 when the list is damaged, and imports nothing',
      () => {
        const file = 'storage/app/cities.json';
        on.exec('pixelfed_web', ['sh', '-c', `cp ${file} /tmp/cities && echo '[]' >${file}`]);
        try {
          expectEnd(on.exec('pixelfed_web', ['php', 'artisan', 'import:cities']), {
            code: 0,
            prints: /Invalid or corrupt/,
          });
          expect(on.sql('select count(*) from places')).toBe('0');
        } finally {
          on.exec('pixelfed_web', ['sh', '-c', `cat /tmp/cities >${file}`]);
        }
      },
    ],
    artisan('import:cities', { code: 0, prints: /Successfully imported/ }),
    [
      'imports every city of the list',
      () =>
        expect(
          script(
            `ini_set('memory_limit', '512M'); echo count(json_decode(file_get_contents('storage/app/cities.json'))), PHP_EOL;`,
          ).stdout.trim(),
        ).toBe(on.sql('select count(*) from places')),
    ],
    artisan('passport:keys', { code: 0, prints: /generated/ }),
    artisan('passport:keys', { code: 1, prints: /already exist/ }),
    [
      'there is no personal client at first, as Passport reports',
      () =>
        expect(
          script(
            `try { $app->make(Laravel\\Passport\\ClientRepository::class)->personalAccessClient('users'); echo 'there'; } catch (RuntimeException) { echo 'none'; }`,
          ).stdout.trim(),
        ).toBe('none'),
    ],
    artisan('passport:client --personal --name=one --provider=users --no-interaction', {
      code: 0,
      prints: /created successfully/,
    }),
    artisan('passport:client --personal --name=two --provider=users --no-interaction', { code: 0 }),
    [
      'each call creates another one',
      () => expect(on.sql('select count(*) from oauth_clients where personal_access_client')).toBe('2'),
    ],
    artisan('no:such', { code: 1, prints: /not defined|no commands/i }),
  ],

  accounts: [
    [
      '`user:create` called from inside makes an admin',
      () => {
        const { code, stdout } = create('alice');
        expect(code).toBe(0);
        expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({
          code: 0,
          output: expect.stringContaining('Successfully created user!'),
        });
        expect(
          on.sql(
            "select is_admin, email_verified_at is not null, profile_id is not null from users where username = 'alice'",
          ),
        ).toBe('1\t1\t1');
      },
    ],
    [
      '`--is_admin=1` makes none',
      () => {
        create('berta', { '--is_admin': '1' });
        expect(on.sql("select is_admin from users where username = 'berta'")).toBe('0');
      },
    ],
    [
      'a used name: an error, and exit code 1',
      () =>
        expectEnd(create('alice', { '--email': 'other@fedi.test' }), { code: 1, prints: /Duplicate entry/ }),
    ],
    [
      'an account without a profile is created again by our step; otherwise it blocks the name',
      () => {
        create('clara');
        on.sql("update users set profile_id = null where username = 'clara'");
        expectEnd(create('clara'), { code: 1, prints: /Duplicate entry/ });
        const step = pixelfedSteps({
          id: 'pixelfed',
          domain: DOMAIN,
          admin: 'clara',
          email: 'clara@fedi.test',
        }).find(({ id }) => id === 'pixelfed.admin');
        const { argv, stdin } = (step as NonNullable<typeof step>).act as Command;
        expectEnd(on.exec('pixelfed_web', argv, stdin), { code: 0, prints: /^New password: \S+$/m });
        expect(
          on.sql(
            "select count(*), sum(users.is_admin), sum(users.profile_id = profiles.id) from users join profiles on profiles.user_id = users.id where users.username = 'clara'",
          ),
        ).toBe('1\t1\t1');
      },
    ],
    ['it does not check reserved names', () => expect(create('support').code).toBe(0)],
    artisan('user:create --name=x', { code: 1 }),
    artisan('user:show alice', { code: 0, prints: /User ID:/ }),
    artisan('user:show nobody', { code: 0 }),
    [
      '`user:admin` without a terminal changes nothing and ends with 0',
      () => {
        expect(
          on.exec('pixelfed_web', ['php', 'artisan', 'user:admin', 'berta', '--no-interaction']).code,
        ).toBe(0);
        expect(on.sql("select is_admin from users where username = 'berta'")).toBe('0');
      },
    ],
    [
      '`user:admin` toggles when its question is answered',
      () => {
        const isAdmin = (answer: string): string => {
          expectEnd(on.exec('pixelfed_web', ['php', 'artisan', 'user:admin', 'berta'], answer), {
            code: 0,
            prints: /Found username: berta/,
          });
          return on.sql("select is_admin from users where username = 'berta'");
        };
        expect(['', 'no\n', 'yes\n', 'yes\n'].map(isAdmin)).toEqual(['0', '0', '1', '0']);
      },
    ],
    [
      '`user:suspend` and `user:unsuspend` ask too, and set the state of account and profile',
      () => {
        const state = (command: string, answer: string): string => {
          expectEnd(on.exec('pixelfed_web', ['php', 'artisan', command, 'berta'], answer), {
            code: 0,
            prints: /Found user, username: berta/,
          });
          return on.sql(
            "select users.status, profiles.status from users join profiles on profiles.id = users.profile_id where users.username = 'berta'",
          );
        };
        expect([
          state('user:suspend', ''),
          state('user:suspend', 'yes\n'),
          state('user:unsuspend', 'no\n'),
          state('user:unsuspend', 'yes\n'),
        ]).toEqual(['NULL\tNULL', 'suspended\tsuspended', 'suspended\tsuspended', 'NULL\tNULL']);
      },
    ],
    ...['user:admin', 'user:suspend', 'user:unsuspend'].map((command) =>
      artisan(`${command} nobody`, { code: 0, prints: /Could not find any user with that username or id/ }),
    ),
    [
      '`user:verifyemail` confirms an address',
      () => {
        create('dora', { '--confirm_email': '0' });
        expectEnd(on.exec('pixelfed_web', ['php', 'artisan', 'user:verifyemail', 'dora']), {
          code: 0,
          prints: /Successfully verified email address for dora/,
        });
        expect(on.sql("select email_verified_at is not null from users where username = 'dora'")).toBe('1');
      },
    ],
  ],

  'anonymous access': [
    answers('the health check of PHP', '/api/service/health-check', { status: 200, body: /^OK$/ }),
    answers(
      'the same under any host',
      '/api/service/health-check',
      { status: 200 },
      { headers: { Host: 'other.example' } },
    ),
    answers('the health check of the server in front', '/healthcheck', { status: 200 }),
    answers('no page for another host', '/login', { status: 404 }, { headers: { Host: 'other.example' } }),
    answers('the front page, with https URLs', '/', {
      status: 200,
      body: new RegExp(`https://${DOMAIN}/`),
    }),
    answers('the instance', '/api/v1/instance', {
      status: 200,
      json: {
        uri: DOMAIN,
        title: 'Contract',
        version: expect.stringMatching(/^[\d.]+ \(compatible; Pixelfed [\d.]+\)$/),
        configuration: { statuses: { max_media_attachments: 2 } },
        rules: RULES.map((text, i) => ({ id: String(i + 1), text })),
        // No variable changes this location.
        thumbnail: expect.stringMatching(/^(https:.*)?\/storage\/headers\/default\.jpg$/),
      },
    }),
    [
      'which is cached, as branding.ts reads it, until it is removed from the cache',
      async () => {
        const [check, forget] = [brandingStep('').check, brandingStep('').act] as Command[];
        const cached = `echo implode(' ', array_map(fn ($key) => $app['cache']->get($key) === null ? 'none' : 'kept', ['api:v1:instance-data:rules', 'api:v1:instance-data-response-v1'])), PHP_EOL;`;
        const run = (command: Command | undefined): string =>
          on.exec('pixelfed_web', command?.argv ?? [], command?.stdin).stdout.trim();
        expect(script(cached).stdout.trim()).toBe('kept kept');
        expect(run(check)).toBe('current');
        const V1 = 'api:v1:instance-data-response-v1';
        const V2 = 'api:v2:instance-data-response-v2';
        const rows = [
          [V1, '/api/v1/instance', "$kept['registrations'] = !$kept['registrations']"],
          [V2, '/api/v2/instance', "$kept['configuration']['statuses']['max_media_attachments']++"],
          [V2, '/api/v2/instance', "$kept['title'] = 'old'"],
          ['api:v1:instance-data:rules', '/api/v1/instance', "$kept[0]['text'] = 'old'"],
        ] as const;
        for (const [key, path, change] of rows) {
          await on.web(path);
          expect(run(check)).toBe('current');
          const put = script(
            `$kept = $app['cache']->get('${key}'); ${change}; $app['cache']->put('${key}', $kept, 60);`,
          );
          expect(put.stderr).toBe('');
          expect([change, run(check)]).toEqual([change, 'old']);
          run(forget);
          expect(script(cached).stdout.trim()).toBe('none none');
        }
        expect(run(check)).toBe('current');
      },
    ],
    answers('NodeInfo names its document', '/.well-known/nodeinfo', {
      status: 200,
      json: { links: [{ href: expect.stringContaining(`https://${DOMAIN}/api/nodeinfo/2.0`) }] },
    }),
    answers('and names the software', '/api/nodeinfo/2.0.json', {
      status: 200,
      json: { software: { name: 'pixelfed' } },
    }),
    answers('WebFinger of a user', `/.well-known/webfinger?resource=acct:alice@${DOMAIN}`, {
      status: 200,
      json: {
        subject: `acct:alice@${DOMAIN}`,
        links: expect.arrayContaining([
          expect.objectContaining({ rel: 'self', href: `https://${DOMAIN}/users/alice` }),
        ]),
      },
    }),
    answers(
      'WebFinger of an unknown user is a bad request',
      `/.well-known/webfinger?resource=acct:nobody@${DOMAIN}`,
      {
        status: 400,
      },
    ),
    answers(
      'the actor of a user',
      '/users/alice',
      {
        status: 200,
        json: {
          id: `https://${DOMAIN}/users/alice`,
          publicKey: { publicKeyPem: expect.stringContaining('PUBLIC KEY') },
        },
      },
      { headers: JSON_LD },
    ),
    answers(
      'the actor of the server',
      '/i/actor',
      {
        status: 200,
        headers: { 'content-type': /activity\+json/ },
        json: {
          id: `https://${DOMAIN}/i/actor`,
          publicKey: { publicKeyPem: expect.stringContaining('PUBLIC KEY') },
        },
      },
      { headers: JSON_LD },
    ),
    [
      'an account without a token: refused with a message',
      async () =>
        expectRefusal(
          await on.web('/api/v1/accounts/verify_credentials', { headers: JSON_ONLY }),
          401,
          UNKNOWN,
        ),
    ],
    answers('a script among the uploads: forbidden', '/storage/x.php', { status: 403 }),
  ],

  'log-in and tokens': [
    [
      'a form without its token: 419',
      async () =>
        expect((await on.web('/login', form({ email: EMAIL, password: PASSWORD }))).status).toBe(419),
    ],
    [
      'the cookie is for HTTPS and for the domain',
      async () => {
        const cookies = [(await on.web('/login')).headers['set-cookie'] ?? []].flat();
        expect(cookies.find((one) => one.startsWith('pxfs='))).toMatch(
          new RegExp(`domain=\\.?${DOMAIN}; secure`, 'i'),
        );
      },
    ],
    [
      'a wrong password redirects to the form',
      async () => {
        const reply = await logIn('wrong password');
        expect([reply.status, String(reply.headers['location'])]).toEqual([
          302,
          expect.stringMatching(/\/login$/),
        ]);
      },
    ],
    [
      'the right one does not',
      async () => {
        const reply = await logIn(PASSWORD);
        expect([reply.status, String(reply.headers['location'])]).toEqual([
          302,
          expect.not.stringMatching(/\/login$/),
        ]);
      },
    ],
    [
      'a client app',
      async () => {
        const reply = await on.web(
          '/api/v1/apps',
          form({ client_name: 'test', redirect_uris: OUT_OF_BAND, scopes: 'read write' }),
        );
        expectAnswer(reply, { status: 200, json: { client_id: expect.stringMatching(/^\d+$/) } });
        left.client = reply.json();
      },
    ],
    [
      'consent gives the code as JSON',
      async () => {
        const ask = new URLSearchParams({
          client_id: left.client.client_id,
          redirect_uri: OUT_OF_BAND,
          response_type: 'code',
          scope: 'read write',
        });
        const page = await browser.visit(at(`/oauth/authorize?${ask.toString()}`));
        expect(page.status).toBe(200);
        const reply = await browser.visit(at('/oauth/authorize'), form(hiddenFields(page)));
        expect(reply.status).toBe(200);
        left.code = reply.json<{ code: string }>().code;
      },
    ],
    [
      'a wrong secret: 401',
      async () =>
        expect(
          (
            await on.web(
              '/oauth/token',
              form({
                grant_type: 'authorization_code',
                code: left.code,
                redirect_uri: OUT_OF_BAND,
                client_id: left.client.client_id,
                client_secret: 'wrong',
              }),
            )
          ).status,
        ).toBe(401),
    ],
    [
      'the code is exchanged for a token, once',
      async () => {
        const ask = form({
          grant_type: 'authorization_code',
          code: left.code,
          redirect_uri: OUT_OF_BAND,
          ...left.client,
        });
        const reply = await on.web('/oauth/token', ask);
        expect(reply.status, reply.text()).toBe(200);
        left.token = reply.json<{ access_token: string }>().access_token;
        expect((await on.web('/oauth/token', ask)).status).toBe(400);
      },
    ],
    [
      'an unused account cannot upload',
      async () => {
        on.sql("update users set last_active_at = null where username = 'alice'");
        script(`$app['redis']->connection('cache')->flushDB();`);
        const reply = await upload('x.png', 'image/png', png(10, [1, 2, 3]));
        expect([reply.status, reply.json()]).toEqual([200, []]);
      },
    ],
    [
      'the token is alice’s, and a request makes her account a used one',
      async () => {
        const reply = await on.web('/api/v1/accounts/verify_credentials', { headers: bearer() });
        expectAnswer(reply, { status: 200, json: { acct: 'alice' } });
        expect(on.sql("select last_active_at is not null from users where username = 'alice'")).toBe('1');
      },
    ],
    [
      'a token is in the database under its id, and is invalid when revoked there',
      async () => {
        const claims = JSON.parse(Buffer.from(left.token.split('.')[1] ?? '', 'base64url').toString()) as {
          jti: string;
        };
        expect(
          on.sql(`update oauth_access_tokens set revoked = 1 where id = '${claims.jti}'; select row_count()`),
        ).toBe('1');
        expectRefusal(
          await on.web('/api/v1/accounts/verify_credentials', { headers: bearer() }),
          401,
          UNKNOWN,
        );
      },
    ],
    [
      'a token whose client id equals its user id is rejected, from Passport 13 on',
      async () => {
        const user = on.sql("select id from users where username = 'alice'");
        const older = script(
          "echo (int) class_exists('Laravel\\\\Passport\\\\PersonalAccessClient'), PHP_EOL;",
        ).stdout.trim();
        const number = (id: string): string => {
          on.sql(`update oauth_clients set id = ${id} where name = 'two'`);
          if (older === '1') on.sql(`update oauth_personal_access_clients set client_id = ${id}`);
          const { stdout } = script(
            `$model = $app['config']['auth.providers.users.model'];
echo json_encode(['token' => $model::where('username', 'alice')->firstOrFail()->createToken('test', ['read', 'write'])->accessToken]), PHP_EOL;`,
          );
          return (JSON.parse(stdout) as { token: string }).token;
        };
        const me = (): Promise<Reply> => on.web('/api/v1/accounts/verify_credentials', { headers: bearer() });
        on.sql(`delete from oauth_clients where name = 'one' or (id = ${user} and name <> 'two')`);
        left.token = number(user);
        if (older === '1') expectAnswer(await me(), { status: 200 });
        else expectRefusal(await me(), 401, UNKNOWN);
        left.token = number('1000000000');
        expectAnswer(await me(), { status: 200, json: { acct: 'alice' } });
      },
    ],
  ],

  'pictures and posts': [
    [
      'a file that is no picture: 422',
      async () =>
        expectRefusal(await upload('x.png', 'image/png', Buffer.from('<?php echo 1;')), 422, /file/),
    ],
    [
      'a picture over the limit: 422',
      async () => {
        const big = Buffer.concat([png(10, [1, 2, 3]), Buffer.alloc(1100 * 1024)]);
        expectRefusal(await upload('x.png', 'image/png', big), 422, /1024 kilobytes/);
      },
    ],
    [
      'a picture is stored, and shown unchanged until Horizon has run',
      async () => {
        const reply = await upload('x.png', 'image/png', png(900, [1, 2, 3]));
        expect([200, 202]).toContain(reply.status);
        left.media = reply.json<{ id: string }>().id;
        expect(left.media).toMatch(/^\d+$/);
      },
    ],
    [
      'Horizon creates a small one',
      () =>
        until(async () => {
          const reply = await on.web(`/api/v1/media/${left.media}`, { headers: bearer() });
          return /_thumb\.\w+$/.test(reply.json<{ preview_url: string }>().preview_url);
        }, 'a small picture'),
    ],
    [
      'the upload server can read the files',
      () =>
        expect(
          on
            .exec('pixelfed_web', [
              'sh',
              '-c',
              'cd storage/app/public/m; find . -type f ! -perm -o=r; find . -type d ! -perm -o=x',
            ])
            .stdout.trim(),
        ).toBe(''),
    ],
    [
      'a post without a picture: 403',
      async () =>
        expect(
          (
            await on.web('/api/v1/statuses', {
              ...form({ status: 'x' }),
              headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...bearer() },
            })
          ).status,
        ).toBe(403),
    ],
    [
      'a post with one, as other servers fetch it',
      async () => {
        const sent = await on.web('/api/v1/statuses', {
          ...form({ status: 'a post', 'media_ids[]': left.media }),
          headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...bearer() },
        });
        expect(sent.status, sent.text()).toBe(200);
        const { id, url } = sent.json<{ id: string; url: string }>();
        left.status = id;
        expect(url).toBe(`https://${DOMAIN}/p/alice/${id}`);
        const read = await on.web(`/p/alice/${id}`, { headers: JSON_LD });
        expectAnswer(read, {
          status: 200,
          json: { type: 'Note', attachment: [{ url: expect.stringContaining('/storage/m/') }] },
        });
      },
    ],
    [
      'a deleted post is removed when Horizon has run',
      async () => {
        expect(
          (await on.web(`/api/v1/statuses/${left.status}`, { method: 'DELETE', headers: bearer() })).status,
        ).toBe(200);
        await until(
          async () => (await on.web(`/api/v1/statuses/${left.status}`, { headers: bearer() })).status === 404,
          'the end of the post',
        );
      },
    ],
  ],

  'Horizon and the scheduler': [
    artisan('horizon:status', { code: 0, prints: /running/ }),
    artisan('horizon:status', { code: 0, prints: /running/ }, 'pixelfed_horizon'),
    [
      'its supervisors describe in Redis which queues they serve',
      () => {
        const { stdout } = on.exec('pixelfed_valkey', [
          'sh',
          '-c',
          'REDISCLI_AUTH="$VALKEY_PASSWORD" exec valkey-cli sort pixelfed-horizon:supervisors by nosort get "pixelfed-horizon:supervisor:*->processes"',
        ]);
        const queues = stdout
          .split('\n')
          .filter(Boolean)
          .flatMap((line) => Object.keys(JSON.parse(line) as object))
          .flatMap((pool) => pool.replace(/^\w+:/, '').split(','));
        expect(queues).toEqual(expect.arrayContaining(['default', 'feed', 'delete']));
      },
    ],
    [
      'it can be stopped only in its own container',
      async () => {
        on.exec('pixelfed_web', ['php', 'artisan', 'horizon:terminate']);
        expectEnd(on.exec('pixelfed_web', ['php', 'artisan', 'horizon:status']), { code: 0 });
        const before = on.host([
          'inspect',
          '--format',
          '{{.State.StartedAt}}',
          on.container('pixelfed_horizon'),
        ]).stdout;
        on.exec('pixelfed_horizon', ['php', 'artisan', 'horizon:terminate']);
        await until(
          () =>
            on.host(['inspect', '--format', '{{.State.StartedAt}}', on.container('pixelfed_horizon')])
              .stdout !== before,
          'a new start of Horizon',
        );
        await until(
          () => on.exec('pixelfed_web', ['php', 'artisan', 'horizon:status']).code === 0,
          'Horizon',
        );
      },
    ],
    [
      'paused: 1, and going on: 0',
      async () => {
        on.exec('pixelfed_horizon', ['php', 'artisan', 'horizon:pause']);
        await until(
          () => on.exec('pixelfed_web', ['php', 'artisan', 'horizon:status']).code === 1,
          'the pause',
        );
        on.exec('pixelfed_horizon', ['php', 'artisan', 'horizon:continue']);
        await until(
          () => on.exec('pixelfed_web', ['php', 'artisan', 'horizon:status']).code === 0,
          'the end of the pause',
        );
      },
    ],
    [
      'the scheduler is healthy while its loop runs',
      () => {
        expect(on.exec('pixelfed_scheduler', ['healthcheck-schedule']).code).toBe(0);
        expect(on.exec('pixelfed_web', ['healthcheck-schedule']).code).not.toBe(0);
      },
    ],
    [
      'resolves no server at a private address, and no unknown one',
      () =>
        expect(
          script(
            `echo json_encode(array_map([App\\Util\\ActivityPub\\Helpers::class, 'resolvePublicIps'], ['${INNER}', 'nobody.fedi.test'])), PHP_EOL;`,
          ).stdout.trim(),
        ).toBe('[[],[]]'),
    ],
    artisan('schedule:list', { code: 0, prints: /horizon:snapshot/ }),
    [
      'the scheduler prints its tasks, the original each minute',
      () =>
        until(
          () =>
            /No scheduled commands are ready to run|Running \[[^\]]*\]/.test(
              on.host(['logs', on.container('pixelfed_scheduler')]).stdout,
            ),
          'a word of the scheduler',
          90,
        ),
    ],
    [
      'a snapshot stores its time in Redis',
      () => {
        expectEnd(on.exec('pixelfed_web', ['php', 'artisan', 'horizon:snapshot']), { code: 0 });
        const takenAt = Number(
          script(`echo (int) $app['redis']->connection('horizon')->get('last_snapshot_at'), PHP_EOL;`).stdout,
        );
        expect(Math.abs(Date.now() / 1000 - takenAt)).toBeLessThan(600);
      },
    ],
    [
      'stopped, it is inactive: 2',
      async () => {
        on.host(['stop', on.container('pixelfed_horizon')]);
        await until(
          () => on.exec('pixelfed_web', ['php', 'artisan', 'horizon:status']).code === 2,
          'the end of Horizon',
        );
      },
    ],
  ],

  mail: [
    [
      'is sent by Laravel’s mailer, which sets an id',
      () =>
        expect(
          script(
            `$sent = $app['mailer']->raw('text', fn ($mail) => $mail->to('x@fedi.test')->subject('subject')); echo $sent->getMessageId(), PHP_EOL;`,
          ).stdout.trim(),
        ).toMatch(/^\S+@\S+$/),
    ],
  ],
};

beforeAll(() => on.up());
afterAll(() => on.remove());

describe.sequential.each(Object.entries(CONTRACT))('%s', (_, rows) => {
  test.each(
    rows.map(
      ([what, holds], i) =>
        [`${what}${rows.slice(0, i).some(([other]) => other === what) ? ', again' : ''}`, holds] as const,
    ),
  )('%s', (_what, holds) => holds());
});
