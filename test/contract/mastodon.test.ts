/**
 * What our stack assumes about Mastodon's images, as one table: files, refusals, commands with their output and
 * exit codes, endpoints, jobs. It runs on the official images where they are loaded and on the stand-ins otherwise
 * (MASTODON_IMAGES=stand-in forces those), so that neither we nor a stand-in drifts from the original.
 */
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rails } from '../../wizard/apps/mastodon/runner.ts';
import { png } from '../../wizard/prove/activitypub.ts';
import type { Reply, RequestOptions } from '../../wizard/prove/http.ts';
import { firstMessage } from '../../wizard/prove/websocket.ts';
import { answersOf, expectAnswer, expectEnd, fileUpload, until } from '../support/contract.ts';
import type { Row, Wanted } from '../support/contract.ts';
import { MAIL_DOMAIN, mastodonStack } from '../support/mastodon.ts';
import { DOMAIN } from '../support/stack.ts';
import type { Ended } from '../support/stack.ts';

const on = mastodonStack();
console.log(`Mastodon's contract on the ${on.kind} images ${on.images.web} and ${on.images.streaming}`);

const NEW_PASSWORD = /^New password: ([0-9a-f]{32})$/m;
const OUT_OF_BAND = 'urn:ietf:wg:oauth:2.0:oob';
const SCOPES = 'read write';
const ALICE = `alice@${MAIL_DOMAIN}`;
const READY = 'tmp/sidekiq_process_has_started_and_will_begin_processing_jobs';
const JSON_LD = { Accept: 'application/activity+json' };

/** Values that earlier rows pass to later ones. */
const left = { password: '', code: '', client: { client_id: '', client_secret: '' }, token: '', status: '' };

const runs = (line: string, wanted: Wanted, stdin?: string): Row => [
  `\`${line}\`${stdin === undefined ? '' : ` < ${JSON.stringify(stdin)}`} ends with ${wanted.code}`,
  () => expectEnd(on.exec('mastodon_web', line.split(' '), stdin), wanted),
];

const tootctl = (line: string, wanted: Wanted): Row => runs(`tootctl ${line}`, wanted);
const ruby = (script: string, wanted: Wanted): Row => runs('bundle exec rails runner -', wanted, script);

/** Without a network: refusals that need no other service. */
const refuses = (what: string, argv: string, env: Readonly<Record<string, string>>, stderr: RegExp): Row => [
  `${what}: \`${argv}\` ends with 1`,
  () => expectEnd(on.alone(argv.split(' '), env), { code: 1, stderr }),
];

const KEYS = ['PRIMARY_KEY', 'DETERMINISTIC_KEY', 'KEY_DERIVATION_SALT'].map(
  (name) => `ACTIVE_RECORD_ENCRYPTION_${name}`,
);
const ENOUGH = {
  LOCAL_DOMAIN: DOMAIN,
  SECRET_KEY_BASE: 'a'.repeat(128),
  ...Object.fromEntries(KEYS.map((key) => [key, 'b'.repeat(32)])),
};

const answers = answersOf(on.web);

const form = (
  fields: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): RequestOptions => ({
  method: 'POST',
  headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...headers },
  body: new URLSearchParams(fields).toString(),
});

const bearer = (token = left.token): Record<string, string> => ({ Authorization: `Bearer ${token}` });

/** A browser's cookies, and the hidden token of the form on a page. */
const cookies = new Map<string, string>();
async function browse(path: string, options: RequestOptions = {}): Promise<Reply> {
  const Cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const reply = await on.web(path, { ...options, headers: { ...options.headers, Cookie } });
  for (const line of [reply.headers['set-cookie'] ?? []].flat()) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    cookies.set(name, value);
  }
  return reply;
}
function hiddenToken(page: Reply): string {
  const input = /<input[^>]*name="authenticity_token"[^>]*>/.exec(page.text())?.[0] ?? '';
  return /value="([^"]+)"/.exec(input)?.[1] ?? '';
}
const logIn = async (password: string): Promise<Reply> =>
  browse(
    '/auth/sign_in',
    form({
      authenticity_token: hiddenToken(await browse('/auth/sign_in')),
      'user[email]': ALICE,
      'user[password]': password,
    }),
  );

/** Half a second of silence as a WAV file. */
function silence(): Buffer {
  const samples = Buffer.alloc(8000);
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + samples.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(8000, 24);
  head.writeUInt32LE(16_000, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}

const upload = (name: string, type: string, content: Buffer): Promise<Reply> =>
  on.web('/api/v2/media', fileUpload(name, type, content, bearer()));

const mailed = (address: string, subject: RegExp): Promise<void> =>
  until(
    () =>
      on
        .mails()
        .some(({ To, Subject }) => To.some(({ Address }) => Address === address) && subject.test(Subject)),
    `a mail to ${address}`,
  );

/** Opens the user's stream; the handshake must go through. */
async function stream(
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<{ socket: Duplex; head: Buffer }> {
  const { status, socket, head } = await on.socket(path, headers);
  expect(status).toBe(101);
  if (socket === undefined || head === undefined) throw new Error('no socket');
  return { socket, head };
}

const baked = (image: string, env: readonly string[]): void =>
  expect(on.inspect(image).Env).toEqual(expect.arrayContaining([...env]));
const inside = (image: string, script: string): string =>
  on.alone(['sh', '-c', script], {}, image).stdout.trim();

const CONTRACT: Readonly<Record<string, readonly Row[]>> = {
  'the image of web and Sidekiq': [
    ['runs as mastodon', () => expect(on.inspect(on.images.web).User).toBe('mastodon')],
    ['works in /opt/mastodon', () => expect(on.inspect(on.images.web).WorkingDir).toBe('/opt/mastodon')],
    [
      'has tini as its entry point',
      () => expect(on.inspect(on.images.web).Entrypoint).toEqual(['/usr/bin/tini', '--']),
    ],
    ['has no default command', () => expect(on.inspect(on.images.web).Cmd ?? null).toBeNull()],
    ['exposes 3000', () => expect(Object.keys(on.inspect(on.images.web).ExposedPorts)).toEqual(['3000/tcp'])],
    [
      'has the settings that we do not set',
      () =>
        baked(on.images.web, [
          'BIND=0.0.0.0',
          'RAILS_ENV=production',
          'NODE_ENV=production',
          'RAILS_SERVE_STATIC_FILES=true',
          'MASTODON_SIDEKIQ_READY_FILENAME=sidekiq_process_has_started_and_will_begin_processing_jobs',
        ]),
    ],
    [
      'finds tootctl without a path',
      () => expect(inside(on.images.web, 'command -v tootctl')).toBe('/opt/mastodon/bin/tootctl'),
    ],
    ['is uid and gid 991', () => expect(inside(on.images.web, 'echo $(id -u):$(id -g)')).toBe('991:991')],
    [
      'hides its directory from other users',
      () => expect(inside(on.images.web, 'stat -c "%u %a" /opt/mastodon')).toBe('991 700'),
    ],
    ['is at /mastodon too', () => expect(inside(on.images.web, 'readlink /mastodon')).toBe('/opt/mastodon')],
    [
      'can write to tmp and public/system, and not to its code',
      () =>
        expect(
          inside(
            on.images.web,
            'for f in tmp public/system public public/packs config bin; do test -w $f && echo $f; done',
          ),
        ).toBe('tmp\npublic/system'),
    ],
    [
      'has the programs of health checks and copies',
      () =>
        expect(
          inside(
            on.images.web,
            'for c in curl wget ps file cp; do command -v $c >/dev/null && echo $c; done',
          ),
        ).toBe('curl\nwget\nps\nfile\ncp'),
    ],
    ['has no Node', () => expect(inside(on.images.web, 'command -v node || echo none')).toBe('none')],
    [
      'holds the files that Caddy serves',
      () =>
        expect(inside(on.images.web, 'cd public && ls -d assets emoji ocr packs sounds')).toBe(
          'assets\nemoji\nocr\npacks\nsounds',
        ),
    ],
  ],

  'the image of streaming': [
    [
      'runs as mastodon, uid 991',
      () => {
        expect(on.inspect(on.images.streaming).User).toBe('mastodon');
        expect(inside(on.images.streaming, 'id -u')).toBe('991');
      },
    ],
    [
      'starts without arguments',
      () => {
        expect(on.inspect(on.images.streaming).Entrypoint).toEqual(['docker-entrypoint.sh']);
        expect(on.inspect(on.images.streaming).Cmd).toEqual(['node', './streaming/index.js']);
      },
    ],
    [
      'exposes 4000',
      () => expect(Object.keys(on.inspect(on.images.streaming).ExposedPorts)).toEqual(['4000/tcp']),
    ],
    [
      'sets BIND and PORT',
      () => baked(on.images.streaming, ['BIND=0.0.0.0', 'PORT=4000', 'NODE_ENV=production']),
    ],
    [
      'has curl for the health check',
      () => expect(inside(on.images.streaming, 'command -v curl')).toBe('/usr/bin/curl'),
    ],
    [
      'refuses a database port that is no number',
      () =>
        expect(
          on.alone(['node', './streaming/index.js'], { DB_PORT: 'many' }, on.images.streaming).code,
        ).toBe(1),
    ],
  ],

  refusals: [
    refuses(
      'without the three keys',
      'bundle exec rails db:prepare',
      {},
      new RegExp(
        KEYS.toSorted()
          .map((key) => `- ${key}`)
          .join('\\s+'),
      ),
    ),
    refuses(
      'with one of them empty',
      'tootctl version',
      { ...ENOUGH, [KEYS[0] as string]: '' },
      /Mastodon now requires that these variables are set/,
    ),
    refuses(
      'with a key of the tests',
      'tootctl version',
      { ...ENOUGH, [KEYS[0] as string]: 'xDO_NOT_USE_IN_PRODUCTION' },
      /from the test environment/,
    ),
    refuses('without keys, web too', 'bundle exec puma -C config/puma.rb', {}, /Mastodon now requires/),
    refuses('without keys, Sidekiq too', 'bundle exec sidekiq', {}, /Mastodon now requires/),
    refuses(
      'with a namespace, even an empty one',
      'tootctl version',
      { ...ENOUGH, REDIS_NAMESPACE: '' },
      /REDIS_NAMESPACE environment variable is no longer supported/,
    ),
    refuses(
      'without the key of sessions',
      'tootctl version',
      { ...ENOUGH, SECRET_KEY_BASE: '' },
      /secret_key_base/,
    ),
    refuses(
      'without a database',
      'bundle exec rails db:prepare',
      { ...ENOUGH, DB_HOST: 'nowhere.invalid' },
      /could not translate host name "nowhere\.invalid"/,
    ),
    [
      'without a command: the message of tini',
      () => expectEnd(on.alone([], {}), { code: 1, stderr: /tini/ }),
    ],
    [
      'a wrong password of the database: `bundle exec rails db:prepare` ends with 1',
      () =>
        expectEnd(on.beside(['bundle', 'exec', 'rails', 'db:prepare'], { DB_PASS: 'wrong' }), {
          code: 1,
          stderr: /password authentication failed for user "mastodon"/,
        }),
    ],
  ],

  'secrets generated by the image': [
    [
      '`rails secret`: 128 hexadecimal digits',
      () =>
        expectEnd(on.alone(['bundle', 'exec', 'rails', 'secret'], {}), {
          code: 0,
          stdout: /^[0-9a-f]{128}$/m,
        }),
    ],
    [
      '`rails db:encryption:init`: three times 32 letters and digits',
      () => {
        const { code, stdout } = on.alone(['bundle', 'exec', 'rails', 'db:encryption:init'], {});
        expect(code).toBe(0);
        for (const key of KEYS) expect(stdout).toMatch(new RegExp(`^${key}=[A-Za-z0-9]{32}$`, 'm'));
      },
    ],
    [
      '`rails mastodon:webpush:generate_vapid_key`: a pair',
      () =>
        expectEnd(on.alone(['bundle', 'exec', 'rails', 'mastodon:webpush:generate_vapid_key'], {}), {
          code: 0,
          stdout: /^VAPID_PRIVATE_KEY=[\w-]{42,43}={1,2}\nVAPID_PUBLIC_KEY=B[\w-]{86}=$/m,
        }),
    ],
  ],

  'the database': [
    [
      'has the four roles',
      () =>
        expect(
          on.sql(
            "select string_agg(concat_ws(' ', id, name, position, permissions), ', ' order by position) from user_roles",
          ),
        ).toBe('-99  -1 65536, 1 Moderator 10 1049884, 2 Admin 100 2031612, 3 Owner 1000 1'),
    ],
    [
      'has the server’s own account',
      () =>
        expect(on.sql('select username, actor_type, locked from accounts where id = -99')).toBe(
          'mastodon.internal|Application|t',
        ),
    ],
    [
      'has Mastodon’s own client app',
      () =>
        expect(on.sql('select name, scopes from oauth_applications where superapp')).toBe(
          'Web|read write follow push',
        ),
    ],
    runs('bundle exec rails db:prepare', { code: 0, stdout: '' }),
    [
      '`rails db:seed` adds what a killed first run left out',
      () => {
        on.sql("delete from user_roles where name = 'Owner'");
        expectEnd(on.exec('mastodon_web', ['bundle', 'exec', 'rails', 'db:seed']), { code: 0 });
        expect(on.sql("select count(*) from user_roles where name = 'Owner' and position = 1000")).toBe('1');
      },
    ],
    runs('bundle exec rails db:migrate', { code: 0 }),
    runs('bundle exec rails db:abort_if_pending_migrations', { code: 0 }),
    [
      'is created if the role may and it does not exist',
      () => {
        expectEnd(on.beside(['bundle', 'exec', 'rails', 'db:prepare'], { DB_NAME: 'another' }), {
          code: 0,
          stdout: /Created database 'another'/,
        });
        on.sql('drop database another with (force)');
      },
    ],
  ],

  tootctl: [
    tootctl('version', { code: 0, stdout: /^4\.\d+\.\d+$/m }),
    [
      '`tootctl accounts create` makes an owner and prints the password once',
      () => {
        const made = on.exec('mastodon_web', [
          'tootctl',
          'accounts',
          'create',
          'alice',
          '--email',
          ALICE,
          '--confirmed',
          '--approve',
          '--role',
          'Owner',
        ]);
        expectEnd(made, { code: 0, stdout: /^OK\nNew password: /m });
        left.password = NEW_PASSWORD.exec(made.stdout)?.[1] ?? '';
        expect(
          on.sql(
            'select a.username, a.domain, r.name, u.approved, u.confirmed_at is not null, u.disabled from users u join accounts a on a.id = u.account_id join user_roles r on r.id = u.role_id',
          ),
        ).toBe('alice||Owner|t|t|f');
      },
    ],
    tootctl(`accounts create alice --email ${ALICE}`, {
      code: 1,
      stderr: /Failure\/Error: email\n    taken\nFailure\/Error: account\.username\n    taken/,
    }),
    tootctl(`accounts create berta --email ${ALICE}`, { code: 1, stderr: 'Failure/Error: email\n    taken' }),
    tootctl('accounts create berta --email berta@nowhere.invalid', {
      code: 1,
      stderr: /Failure\/Error: email\n    unreachable\nFailure\/Error: email\n    blocked/,
    }),
    tootctl('accounts create berta --email not-an-address', {
      code: 1,
      stderr: /Failure\/Error: email\n    invalid/,
    }),
    tootctl(`accounts create ber-ta --email berta@${MAIL_DOMAIN}`, {
      code: 1,
      stderr: 'Failure/Error: account.username\n    invalid',
    }),
    tootctl(`accounts create ${'a'.repeat(31)} --email berta@${MAIL_DOMAIN}`, {
      code: 1,
      stderr: 'Failure/Error: account.username\n    too_long',
    }),
    tootctl(`accounts create berta --email berta@${MAIL_DOMAIN} --role owner`, {
      code: 1,
      stderr: 'Cannot find user role with that name',
    }),
    tootctl('accounts create berta', { code: 1, stderr: "No value provided for required options '--email'" }),
    tootctl(`accounts create alice --email x@${MAIL_DOMAIN} --reattach`, {
      code: 0,
      stdout: /^The chosen username is currently in use\nUse --force/m,
    }),
    tootctl(`accounts create carla --email carla@${MAIL_DOMAIN}`, { code: 0, stdout: NEW_PASSWORD }),
    [
      'an account created without flags is neither confirmed nor approved',
      () =>
        expect(
          on.sql(`select approved, confirmed_at is null from users where email = 'carla@${MAIL_DOMAIN}'`),
        ).toBe('f|t'),
    ],
    tootctl(`accounts create admin --email admin@${MAIL_DOMAIN} --confirmed --approve`, {
      code: 0,
      stdout: NEW_PASSWORD,
    }),
    tootctl('accounts modify admin --role Moderator', { code: 0, stdout: 'OK' }),
    [
      '`tootctl accounts modify` takes the role away, disables and enables',
      () => {
        const after = (flag: string): string => {
          expectEnd(on.exec('mastodon_web', ['tootctl', 'accounts', 'modify', 'admin', flag]), {
            code: 0,
            stdout: 'OK',
          });
          return on.sql(`select role_id is null, disabled from users where email = 'admin@${MAIL_DOMAIN}'`);
        };
        expect(['--remove-role', '--disable', '--enable'].map(after)).toEqual(['t|f', 't|t', 't|f']);
      },
    ],
    tootctl('accounts modify admin --role Nope', { code: 1, stderr: 'Cannot find user role with that name' }),
    tootctl('accounts modify nobody --reset-password', { code: 1, stderr: 'No user with such username' }),
    [
      '`tootctl accounts modify --reset-password` prints another one',
      () => {
        const made = on.exec('mastodon_web', ['tootctl', 'accounts', 'modify', 'alice', '--reset-password']);
        expectEnd(made, { code: 0, stdout: /^OK\nNew password: /m });
        const password = NEW_PASSWORD.exec(made.stdout)?.[1] ?? '';
        expect(password).not.toBe(left.password);
        left.password = password;
      },
    ],
    tootctl('settings registrations open', { code: 0, stdout: 'OK' }),
    [
      'settings are YAML in the database',
      () => expect(on.sql("select value from settings where var = 'registrations_mode'")).toBe('--- open'),
    ],
    tootctl('settings registrations approved --require-reason', { code: 0, stdout: 'OK' }),
    tootctl('settings registrations close', { code: 0, stdout: 'OK' }),
    runs('tootctl self-destruct', { code: 1, stderr: /^Domains do not match\./m }, 'other.example\n'),
    runs('tootctl self-destruct', { code: 1, stderr: /^Operation cancelled\./m }, `${DOMAIN}\nno\n`),
    // Changes nothing: the mode begins with the variable.
    runs(
      'tootctl self-destruct',
      { code: 0, stdout: /^\s*SELF_DESTRUCT=\S+--[0-9a-f]{40,}\s*$/m },
      `${DOMAIN}\ny\n`,
    ),
    [
      'the signed value turns the mode on, and no other value does',
      () => {
        const asked = on.exec('mastodon_web', ['tootctl', 'self-destruct'], `${DOMAIN}\ny\n`);
        const value = /SELF_DESTRUCT=(\S+)/.exec(asked.stdout)?.[1] ?? '';
        const run = (given: string): Ended =>
          on.exec(
            'mastodon_web',
            ['env', `SELF_DESTRUCT=${given}`, 'tootctl', 'self-destruct'],
            'other.example\n',
          );
        expectEnd(run(value), {
          code: 0,
          stdout: /already enabled[^]*\d accounts are still pending deletion\./,
        });
        expectEnd(run(`${value}0`), { code: 1, stderr: /^Domains do not match\./m });
      },
    ],
    [
      'our count of what is left finds the accounts',
      () => {
        const { argv, stdin } = rails('count-deletions.rb', {});
        const { stdout } = on.exec('mastodon_web', argv, stdin);
        const { accounts, ...others } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as {
          accounts: number;
        };
        expect(accounts).toBe(Number(on.sql('select count(*) from accounts where domain is null')));
        expect(others).toMatchObject({ deliveries: expect.any(Number), failed: {} });
      },
    ],
    tootctl('nonsense', { code: 1, stderr: 'Could not find command "nonsense".' }),
    tootctl('accounts nonsense', { code: 1, stderr: 'Could not find command "nonsense".' }),
  ],

  'rails runner with standard input': [
    ruby(
      "Setting['site_title'] = 'A title'; Setting.media_cache_retention_period = 14; puts Setting.site_title; p Setting.media_cache_retention_period, Setting['registrations_mode']",
      {
        code: 0,
        stdout: /^A title\n14\n"none"$/m,
      },
    ),
    ruby("user = Account.find_local('ALICE').user; puts user.role.name, user.email, User.count", {
      code: 0,
      stdout: new RegExp(`^Owner\n${ALICE}\n3$`, 'm'),
    }),
    [
      'sets a chosen password',
      () => {
        left.password = 'chosen by us 1';
        expectEnd(
          on.exec(
            'mastodon_web',
            ['bundle', 'exec', 'rails', 'runner', '-'],
            `Account.find_local!('alice').user.change_password!('${left.password}')`,
          ),
          { code: 0 },
        );
      },
    ],
    ruby("raise 'boom'", { code: 1, stderr: /boom \(RuntimeError\)/ }),
    ruby("abort 'no'", { code: 1, stderr: 'no' }),
    ruby('exit 7', { code: 7 }),
    [
      'the mail library refuses TLS together with STARTTLS',
      () =>
        expectEnd(
          on.exec(
            'mastodon_web',
            ['env', 'SMTP_TLS=true', 'SMTP_ENABLE_STARTTLS=always', 'bundle', 'exec', 'rails', 'runner', '-'],
            `ActionMailer::Base.new.mail(to: '${ALICE}', subject: 'Never', content_type: 'text/plain', body: 'x').deliver!`,
          ),
          { code: 1, stderr: /ArgumentError.*mutually exclusive|mutually exclusive.*ArgumentError/s },
        ),
    ],
    [
      'a mail leaves by SMTP as configured',
      async () => {
        expectEnd(
          on.exec(
            'mastodon_web',
            ['bundle', 'exec', 'rails', 'runner', '-'],
            `ActionMailer::Base.new.mail(to: '${ALICE}', subject: 'By hand', content_type: 'text/plain', body: 'x').deliver!`,
          ),
          { code: 0 },
        );
        await mailed(ALICE, /^By hand$/);
      },
    ],
  ],

  web: [
    answers(
      '/health needs neither our host name …',
      '/health',
      { status: 200, body: 'OK' },
      { headers: { Host: 'localhost:3000' } },
    ),
    answers(
      '… nor HTTPS',
      '/health',
      { status: 200, body: 'OK' },
      { headers: { 'X-Forwarded-Proto': 'http' } },
    ),
    answers(
      'another host name is refused, without a body',
      '/',
      { status: 403, body: '' },
      { headers: { Host: 'other.example' } },
    ),
    answers(
      'and so is another one in X-Forwarded-Host',
      '/',
      { status: 403, body: '' },
      { headers: { 'X-Forwarded-Host': 'other.example' } },
    ),
    answers(
      'HTTP is redirected to HTTPS',
      '/about?a=b',
      { status: 301, headers: { location: `https://${DOMAIN}/about?a=b` } },
      { headers: { 'X-Forwarded-Proto': 'http' } },
    ),
    answers('the front page is HTML with HSTS', '/', {
      status: 200,
      headers: {
        'content-type': /^text\/html/,
        'strict-transport-security': 'max-age=63072000; includeSubDomains',
        server: 'Mastodon',
        'x-frame-options': 'DENY',
      },
    }),
    answers('static files come from public', '/robots.txt', {
      status: 200,
      headers: { 'cache-control': 'public, max-age=2419200, must-revalidate' },
    }),
    answers('a missing page is 404', '/nonsense', { status: 404 }),
    answers('WebFinger of a user', `/.well-known/webfinger?resource=acct:alice@${DOMAIN}`, {
      status: 200,
      headers: { 'content-type': /^application\/jrd\+json/ },
      json: { subject: `acct:alice@${DOMAIN}` },
    }),
    answers('WebFinger of the server itself', `/.well-known/webfinger?resource=acct:${DOMAIN}@${DOMAIN}`, {
      status: 200,
      json: { subject: `acct:mastodon.internal@${DOMAIN}` },
    }),
    answers('WebFinger of an unknown user', `/.well-known/webfinger?resource=acct:nobody@${DOMAIN}`, {
      status: 404,
    }),
    answers('WebFinger of another domain', '/.well-known/webfinger?resource=acct:alice@other.example', {
      status: 404,
    }),
    answers('WebFinger without a resource', '/.well-known/webfinger', { status: 400 }),
    answers('host-meta names WebFinger', '/.well-known/host-meta', {
      status: 200,
      body: new RegExp(
        `https://${DOMAIN.replaceAll('.', '\\.')}/\\.well-known/webfinger\\?resource=\\{uri\\}`,
      ),
    }),
    answers('NodeInfo names its document', '/.well-known/nodeinfo', {
      status: 200,
      json: { links: [{ href: `https://${DOMAIN}/nodeinfo/2.0` }] },
    }),
    answers('which names the software', '/nodeinfo/2.0', {
      status: 200,
      json: {
        version: '2.0',
        software: { name: 'mastodon' },
        protocols: ['activitypub'],
        openRegistrations: false,
      },
    }),
    answers('the instance, v2', '/api/v2/instance', {
      status: 200,
      json: {
        domain: DOMAIN,
        configuration: { urls: { streaming: `wss://${DOMAIN}` } },
        registrations: { enabled: false },
      },
    }),
    answers('the instance, v1', '/api/v1/instance', {
      status: 200,
      json: { uri: DOMAIN, urls: { streaming_api: `wss://${DOMAIN}` } },
    }),
    [
      'the actor that WebFinger names has its key and inbox',
      async () => {
        const record = (await on.web(`/.well-known/webfinger?resource=acct:alice@${DOMAIN}`)).json<{
          links: { rel: string; href: string }[];
        }>();
        const url = record.links.find(({ rel }) => rel === 'self')?.href ?? '';
        expect(url).toMatch(new RegExp(`^https://${DOMAIN.replaceAll('.', '\\.')}/ap/users/\\d+$`));
        const reply = await on.web(new URL(url).pathname, { headers: JSON_LD });
        expectAnswer(reply, {
          status: 200,
          headers: { 'content-type': /^application\/activity\+json/ },
          json: {
            id: url,
            type: 'Person',
            preferredUsername: 'alice',
            inbox: `${url}/inbox`,
            publicKey: { owner: url },
          },
        });
        expect(reply.json<{ publicKey: { publicKeyPem: string } }>().publicKey.publicKeyPem).toMatch(
          /^-----BEGIN PUBLIC KEY-----/,
        );
      },
    ],
    answers(
      'the server’s own actor',
      '/actor',
      { status: 200, json: { type: 'Application', id: `https://${DOMAIN}/actor` } },
      { headers: JSON_LD },
    ),
    answers('a profile asked for as HTML', '/@alice', {
      status: 200,
      headers: { 'content-type': /^text\/html/ },
    }),
    answers(
      'its older URL redirects there',
      '/users/alice',
      { status: 301, headers: { location: `https://${DOMAIN}/@alice` } },
      { headers: { Accept: 'text/html' } },
    ),
    answers('an unconfirmed account has no profile', '/@carla', { status: 404 }),
    answers(
      'a delivery without a signature',
      '/inbox',
      { status: 401 },
      { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/activity+json' } },
    ),
    answers('the API without a token', '/api/v1/accounts/verify_credentials', {
      status: 401,
      json: { error: 'The access token is invalid' },
    }),
  ],

  'log-in and OAuth': [
    answers(
      'a form without its token',
      '/auth/sign_in',
      { status: 422 },
      form({ 'user[email]': ALICE, 'user[password]': 'x' }),
    ),
    [
      'a wrong password shows the form again',
      async () => expectAnswer(await logIn('wrong'), { status: 200, body: /name="authenticity_token"/ }),
    ],
    [
      'the right password redirects, with a session',
      async () => {
        const reply = await logIn(left.password);
        expect([302, 303]).toContain(reply.status);
        expect(String(reply.headers['location'])).not.toContain('sign_in');
        expect(cookies.has('_mastodon_session')).toBe(true);
      },
    ],
    [
      'a client app is registered',
      async () => {
        const reply = await on.web(
          '/api/v1/apps',
          form({ client_name: 'contract', redirect_uris: OUT_OF_BAND, scopes: SCOPES }),
        );
        expectAnswer(reply, { status: 200, json: { name: 'contract' } });
        const { client_id, client_secret } = reply.json<typeof left.client>();
        left.client = { client_id, client_secret };
      },
    ],
    [
      'an anonymous client must log in first',
      async () => {
        const ask = new URLSearchParams({
          client_id: left.client.client_id,
          redirect_uri: OUT_OF_BAND,
          response_type: 'code',
          scope: SCOPES,
        });
        expectAnswer(await on.web(`/oauth/authorize?${ask}`), {
          status: 302,
          headers: { location: /\/auth\/sign_in$/ },
        });
      },
    ],
    [
      'a logged-in user consents and gets a code',
      async () => {
        const ask = {
          client_id: left.client.client_id,
          redirect_uri: OUT_OF_BAND,
          response_type: 'code',
          scope: SCOPES,
        };
        const page = await browse(`/oauth/authorize?${new URLSearchParams(ask)}`);
        expectAnswer(page, { status: 200, body: /name="authenticity_token"/ });
        const agreed = await browse(
          '/oauth/authorize',
          form({ ...ask, state: '', authenticity_token: hiddenToken(page) }),
        );
        expect([302, 303]).toContain(agreed.status);
        const location = String(agreed.headers['location']);
        left.code = /\/oauth\/authorize\/native\?code=([\w-]+)/.exec(location)?.[1] ?? '';
        expect(left.code).not.toBe('');
        const shown = await browse(
          new URL(location, `https://${DOMAIN}`).pathname + new URL(location, `https://${DOMAIN}`).search,
        );
        expectAnswer(shown, { status: 200, body: new RegExp(`value="${left.code}"`) });
      },
    ],
    [
      'the code is exchanged for a token, once',
      async () => {
        const ask = form({
          grant_type: 'authorization_code',
          code: left.code,
          redirect_uri: OUT_OF_BAND,
          scope: SCOPES,
          ...left.client,
        });
        const reply = await on.web('/oauth/token', ask);
        expectAnswer(reply, { status: 200, json: { token_type: 'Bearer', scope: SCOPES } });
        left.token = reply.json<{ access_token: string }>().access_token;
        expectAnswer(await on.web('/oauth/token', ask), { status: 400, json: { error: 'invalid_grant' } });
      },
    ],
    [
      'a wrong secret of the client is refused',
      async () =>
        expectAnswer(
          await on.web(
            '/oauth/token',
            form({
              grant_type: 'client_credentials',
              client_id: left.client.client_id,
              client_secret: 'wrong',
            }),
          ),
          {
            status: 401,
            json: { error: 'invalid_client' },
          },
        ),
    ],
    [
      'the token names its account and role',
      async () =>
        expectAnswer(await on.web('/api/v1/accounts/verify_credentials', { headers: bearer() }), {
          status: 200,
          json: { acct: 'alice', role: { name: 'Owner' } },
        }),
    ],
  ],

  media: [
    [
      'a picture is processed at once, and its file is on the volume',
      async () => {
        const reply = await upload('red.png', 'image/png', png(64, [255, 0, 0]));
        expectAnswer(reply, { status: 200, json: { type: 'image' } });
        const { id, url } = reply.json<{ id: string; url: string }>();
        expect(url).toMatch(
          new RegExp(
            `^https://${DOMAIN.replaceAll('.', '\\.')}/system/media_attachments/files/(\\d{3}/)+original/[0-9a-f]{16}\\.png$`,
          ),
        );
        expectAnswer(await on.web(`/api/v1/media/${id}`, { headers: bearer() }), { status: 200 });
        expectEnd(on.exec('mastodon_sidekiq', ['stat', '-c', '%u', `public${new URL(url).pathname}`]), {
          code: 0,
          stdout: '991',
        });
        expectAnswer(await on.web(new URL(url).pathname), {
          status: 200,
          headers: { 'content-type': 'image/png' },
        });
      },
    ],
    [
      'sound is accepted at once and processed by Sidekiq',
      async () => {
        const reply = await upload('silence.wav', 'audio/wav', silence());
        expectAnswer(reply, { status: 202, json: { type: 'audio', url: null } });
        const { id } = reply.json<{ id: string }>();
        const seen = new Set<number>();
        await until(async () => {
          const { status } = await on.web(`/api/v1/media/${id}`, { headers: bearer() });
          seen.add(status);
          return status === 200;
        }, 'the sound');
        expect([...seen].filter((status) => status !== 200 && status !== 206)).toEqual([]);
      },
    ],
    [
      'a file that is no medium is refused',
      async () =>
        expectAnswer(await upload('x.png', 'image/png', Buffer.from('just text, and nothing else')), {
          status: 422,
          json: { error: /.+/ },
        }),
    ],
  ],

  streaming: [
    [
      'is well',
      async () => expectAnswer(await on.streaming('/api/v1/streaming/health'), { status: 200, body: 'OK' }),
    ],
    [
      'counts',
      async () => expectAnswer(await on.streaming('/metrics'), { status: 200, body: /connected_clients/ }),
    ],
    [
      'opens no socket without a token',
      async () => expect((await on.socket('/api/v1/streaming?stream=user', {})).status).toBe(401),
    ],
    [
      'opens none with a wrong one',
      async () =>
        expect((await on.socket('/api/v1/streaming?stream=user&access_token=wrong', {})).status).toBe(401),
    ],
    [
      'opens one with ?access_token',
      async () =>
        void (await stream(`/api/v1/streaming?stream=user&access_token=${left.token}`, {})).socket.destroy(),
    ],
    [
      'opens one with a trailing slash, too',
      async () => void (await stream('/api/v1/streaming/?stream=user', bearer())).socket.destroy(),
    ],
    [
      'opens one with the token as the sub-protocol, and returns it',
      async () =>
        void (
          await stream('/api/v1/streaming?stream=user', { 'Sec-WebSocket-Protocol': left.token })
        ).socket.destroy(),
    ],
    [
      'lists its streams',
      async () => expectAnswer(await on.streaming('/api/v1/streaming/nonsense'), { status: 400 }),
    ],
    [
      'requires a token for events over HTTP',
      async () =>
        expectAnswer(await on.streaming('/api/v1/streaming/user'), {
          status: 401,
          json: { error: 'Missing access token' },
        }),
    ],
    [
      'receives a new post, through Sidekiq and Valkey',
      async () => {
        const { socket, head } = await stream('/api/v1/streaming?stream=user', bearer());
        const text = `live at ${Date.now()}`;
        const live = firstMessage(socket, head, (message) => message.includes(text), 60_000);
        // Subscribing takes a moment, and earlier events are lost.
        await delay(1000);
        const reply = await on.web(
          '/api/v1/statuses',
          form({ status: text, visibility: 'public' }, bearer()),
        );
        expectAnswer(reply, { status: 200, json: { visibility: 'public' } });
        const { id, uri } = reply.json<{ id: string; uri: string }>();
        left.status = id;
        expect(JSON.parse(await live)).toMatchObject({ stream: ['user'], event: 'update' });
        expectAnswer(await on.web(new URL(uri).pathname, { headers: JSON_LD }), {
          status: 200,
          json: { id: uri, type: 'Note' },
          body: new RegExp(text),
        });
      },
    ],
    [
      'and a deleted post disappears',
      async () => {
        expectAnswer(
          await on.web(`/api/v1/statuses/${left.status}?delete_media=true`, {
            method: 'DELETE',
            headers: bearer(),
          }),
          { status: 200, json: { id: left.status } },
        );
        expectAnswer(await on.web(`/api/v1/statuses/${left.status}`, { headers: bearer() }), {
          status: 404,
          json: { error: 'Not Found' },
        });
      },
    ],
    [
      'a revoked token is rejected, and its socket is closed',
      async () => {
        const { socket } = await stream('/api/v1/streaming?stream=user', bearer());
        const closed = new Promise((done) =>
          socket.on('data', (data: Buffer) => (data[0] === 0x88 ? done(true) : undefined)).on('close', done),
        );
        await delay(1000);
        expectAnswer(await on.web('/oauth/revoke', form({ token: left.token, ...left.client })), {
          status: 200,
        });
        await closed;
        socket.destroy();
        expectAnswer(await on.web('/api/v1/accounts/verify_credentials', { headers: bearer() }), {
          status: 401,
          json: { error: 'The access token was revoked' },
        });
      },
    ],
    [
      'a temporary token can be created in the container',
      async () => {
        const { code, stdout, stderr } = on.exec(
          'mastodon_web',
          ['bundle', 'exec', 'rails', 'runner', '-'],
          `app = Doorkeeper::Application.find_by(name: 'contract')
user = Account.find_local!('alice').user
puts "token " + Doorkeeper::AccessToken.create!(application: app, resource_owner_id: user.id, scopes: 'read', expires_in: 600).token`,
        );
        expect(code, stderr).toBe(0);
        const token = /^token (\S+)$/m.exec(stdout)?.[1] ?? '';
        expectAnswer(await on.web('/api/v1/accounts/verify_credentials', { headers: bearer(token) }), {
          status: 200,
          json: { acct: 'alice' },
        });
        expectAnswer(await on.web('/api/v1/statuses', form({ status: 'x' }, bearer(token))), {
          status: 403,
          json: { error: 'This action is outside the authorized scopes' },
        });
      },
    ],
  ],

  Sidekiq: [
    [
      'reports its name and version',
      () =>
        expect(on.exec('mastodon_sidekiq', ['ps', 'ax']).stdout).toMatch(
          /sidekiq \d+\.\d+\.\d+ mastodon \[\d+ of 5 busy\]/,
        ),
    ],
    [
      'reports that it is ready',
      () => expectEnd(on.exec('mastodon_sidekiq', ['test', '-e', READY]), { code: 0 }),
    ],
    [
      'describes its process and the queues of it in Redis',
      () => {
        const { stdout } = on.exec('mastodon_valkey', [
          'sh',
          '-c',
          'REDISCLI_AUTH="$VALKEY_PASSWORD" exec valkey-cli sort processes by nosort get "*->info"',
        ]);
        expect(JSON.parse(stdout)).toMatchObject({
          hostname: on.exec('mastodon_sidekiq', ['hostname']).stdout.trim(),
          queues: expect.arrayContaining(['default', 'push', 'scheduler']) as string[],
        });
      },
    ],
    [
      'has sent the mail to confirm an address',
      () => mailed(`carla@${MAIL_DOMAIN}`, /Confirmation instructions/),
    ],
    ['has sent the mail about a changed password', () => mailed(ALICE, /Password changed/)],
    ruby("p Sidekiq::ProcessSet.new.flat_map { |one| one['queues'] }.sort", {
      code: 0,
      stdout: /^\["default", "fasp", "ingress", "mailers", "pull", "push", "scheduler"\]$/m,
    }),
    [
      'is no longer ready when it is stopped',
      () => {
        const container = 'test-contract-mastodon-mastodon_sidekiq-1';
        expectEnd(on.host(['stop', '--time', '60', container]), { code: 0 });
        expect(on.host(['inspect', '--format', '{{.State.ExitCode}}', container]).stdout.trim()).toBe('0');
        expect(on.host(['diff', container]).stdout).not.toContain('sidekiq_process_has_started');
      },
    ],
    [
      'accepts queues with weights on its command line',
      () =>
        expectEnd(
          on.beside([
            'sh',
            '-c',
            `bundle exec sidekiq -q push,6 -q pull,1 & until test -e ${READY}; do kill -0 $! || exit 9; sleep 0.2; done; kill $!; wait $!`,
          ]),
          { code: 0, stdout: /Bye!/ },
        ),
    ],
  ],
};

beforeAll(() => on.up());
afterAll(() => on.remove());

for (const [part, rows] of Object.entries(CONTRACT)) {
  describe.sequential(part, () => {
    test.for(rows)('%s', ([, holds]) => holds());
  });
}
