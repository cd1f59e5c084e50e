/** The receipt of Pixelfed: what its owner, a client app and other servers see. */
import type { AppConfig, Config } from '../../config/config.ts';
import type { Command } from '../../docker/engine.ts';
import { discoveryProofs } from '../../prove/activitypub.ts';
import { Browser, form, hiddenFields } from '../../prove/browser.ts';
import { ClientApi, picture, refusedBy } from '../../prove/client-api.ts';
import { PICTURE_BYTES, expectStatus } from '../../prove/http.ts';
import type { Reply } from '../../prove/http.ts';
import { mailEvidence, mailText } from '../../prove/mail.ts';
import type { MailOutcome } from '../../prove/mail.ts';
import { PATIENCE_S, neighbourProofs } from '../../prove/neighbours.ts';
import type { Sight } from '../../prove/neighbours.ts';
import { Skipped, until } from '../../prove/proof.ts';
import type { Proof, ProofContext } from '../../prove/proof.ts';
import { proveBucket, publicUrl } from '../../prove/s3.ts';
import { expectSaid, pictureProofs } from './branding.ts';
import type { Said } from './branding.ts';
import { CIPHER, wantsTls } from './data.ts';
import { php, query } from './php.ts';
import { bucketOf, secretKeyOf } from '../s3.ts';

/** For what Horizon does. */
const JOB_PATIENCE_MS = 5 * 60_000;
/** The most frequent tasks come every five minutes; the clock looks every minute, and says what it found to do. */
const CLOCK_PATIENCE_MS = 6 * 60_000;
const SNAPSHOT_AGE_S = 11 * 60;
const TICK_S = 70;
const TICK = /No scheduled commands are ready to run|Running \[[^\]]*\]/g;

/** A short-lived token from the inside: on a server that is live the owner's password is the owner's. */
const MINT = `Laravel\\Passport\\Passport::personalAccessTokensExpireIn(new DateInterval('PT10M'));
$model = $app['config']['auth.providers.users.model'];
$user = $model::where('username', $values['name'])->firstOrFail();
echo json_encode(['token' => $user->createToken('fedi-setup', ['read', 'write'])->accessToken]), PHP_EOL;`;

/** Pixelfed has no way for an app to give its token back. */
const REVOKE = `echo $app['db']->update('update oauth_access_tokens set revoked = true where id = ?', [$values['id']]), PHP_EOL;`;

const UNDELETED = 'select count(*) from statuses where id = ? and deleted_at is null';

/** When Horizon's statistics were last taken: a task of the scheduler's. Seconds since 1970, or nothing. */
const SNAPSHOT = `echo (int) $app['redis']->connection('horizon')->get('last_snapshot_at'), PHP_EOL;`;

/** Fails too if the mailer did not read MAIL_URL and so does not require TLS. */
const MAIL = `try {
  $transport = method_exists($app['mailer'], 'getSymfonyTransport') ? $app['mailer']->getSymfonyTransport() : null;
  if ($values['tls'] && $transport && method_exists($transport, 'isTlsRequired') && !$transport->isTlsRequired())
    throw new RuntimeException('Pixelfed would send passwords in the clear where no encryption is offered');
  $sent = $app['mailer']->raw($values['text'], fn ($mail) => $mail->to($values['to'])->subject($values['subject']));
  echo json_encode(['accepted' => (string) $sent?->getMessageId()]), PHP_EOL;
} catch (Throwable $e) {
  echo json_encode(['error' => get_class($e).': '.$e->getMessage()], JSON_INVALID_UTF8_SUBSTITUTE), PHP_EOL;
}`;

/**
 * As its ActivityPub\\Helpers::resolvePublicIps looks names up (0.12.9 and later). The way there is tried as it goes it:
 * by curl, at the address that was found.
 */
const LOOK = `$seen = [];
foreach (json_decode($values['names']) as $name) {
  $records = array_merge(@dns_get_record($name.'.', DNS_A) ?: [], @dns_get_record($name.'.', DNS_AAAA) ?: []);
  $seen[$name] = ['addresses' => array_values(array_unique(array_map(fn ($one) => $one['ip'] ?? $one['ipv6'], $records)))];
  if (!$values['ask'] || !$records) continue;
  $curl = curl_init("https://$name/");
  curl_setopt_array($curl, [CURLOPT_CONNECT_ONLY => true, CURLOPT_TIMEOUT => ${PATIENCE_S}]);
  if (curl_exec($curl) === false && curl_getinfo($curl, CURLINFO_APPCONNECT_TIME_T) === 0) $seen[$name]['error'] = curl_error($curl);
}
echo json_encode($seen), PHP_EOL;`;

/** How the API says that it does not know who asks: 401, or, up to 0.12 at least, an error of its own. Undefined: it does not. */
export const refusal = (reply: Reply): string | undefined =>
  reply.status === 500 && reply.text().includes('Unauthenticated')
    ? '500, which is how Pixelfed says it'
    : refusedBy(401, 403)(reply);

/** @param cipher as the app's own connection says */
export function expectCipher({ answers }: Config, cipher: string): string {
  if (cipher !== '') return cipher;
  throw new Error(
    `${String(answers['apps.pixelfed.release'])} goes to it in the clear though its address asks for TLS: take a newer --pixelfed-release, or a network that nobody listens in on`,
  );
}

interface Media {
  readonly id: string;
  readonly url: string;
  readonly preview_url: string;
}

export function pixelfedProofs(context: ProofContext, app: AppConfig): Proof[] {
  const { http, config } = context;
  const base = `https://${app.domain}`;
  const bucket = bucketOf(config.answers, 'pixelfed');
  const tls = wantsTls(config.answers, context.secret);
  // What one proof leaves for the next.
  const api = new ClientApi(http, base);
  let media: string | undefined;
  let stored = bucket === undefined;

  /** The last line of what PHP prints. */
  const inside = async (service: string, command: Command): Promise<string> => {
    const { code, stdout, stderr } = await context.inside(service, command);
    if (code !== 0)
      throw new Error(stderr.trim().split('\n').at(-1) || `${command.argv.join(' ')} ended with ${code}`);
    return stdout.trim().split('\n').at(-1) ?? '';
  };

  /** As a person with a browser: the log-in form, the consent form, the code. */
  const passwordToken = async (): Promise<string> => {
    const password = context.secret('pixelfed.admin');
    if (password === undefined) throw new Error('the password is not known here');
    const client = await api.register();
    const browser = new Browser(http, base);
    const page = await browser.visit(`${base}/login`);
    expectStatus(page, 200, 'the log-in page');
    const entered = await browser.visit(
      `${base}/login`,
      form({ ...hiddenFields(page), email: app.email, password: password.reveal() }),
    );
    expectStatus(entered, 302, 'the log-in');
    if (String(entered.headers['location']).endsWith('/login')) throw new Error('the password is not taken');
    const ask = new URLSearchParams(api.consent(client));
    const consent = await browser.visit(`${base}/oauth/authorize?${ask.toString()}`);
    expectStatus(consent, 200, 'the page that asks for consent');
    const agreed = await browser.visit(`${base}/oauth/authorize`, form(hiddenFields(consent)));
    expectStatus(agreed, 200, 'the consent');
    return api.exchange(client, agreed.json<{ code: string }>().code);
  };

  return [
    ...discoveryProofs(http, app, 'pixelfed', 'pixelfed_web'),
    ...neighbourProofs(
      context,
      app,
      async (names, ask) =>
        JSON.parse(
          await inside('pixelfed_horizon', php(LOOK, { names: JSON.stringify(names), ask: ask ? 1 : 0 })),
        ) as Record<string, Sight>,
      { own: true, refusedBy: 'Pixelfed' },
    ),
    {
      id: 'server-actor',
      title: 'The server’s own actor and its key',
      run: async () => {
        const reply = await http(`${base}/i/actor`, { headers: { Accept: 'application/activity+json' } });
        expectStatus(reply, 200, 'the actor of the server');
        const actor = reply.json<{ id?: string; type?: string; publicKey?: { publicKeyPem?: string } }>();
        if (actor.id !== `${base}/i/actor`) throw new Error(`it calls itself ${actor.id ?? 'nothing'}`);
        if (!actor.publicKey?.publicKeyPem?.includes('PUBLIC KEY')) throw new Error('it has no public key');
        return `${actor.type ?? '?'} at ${new URL(actor.id).pathname}`;
      },
    },
    {
      id: 'instance',
      title: 'Instance API: name and rules as answered',
      run: async () => {
        const reply = await http(`${base}/api/v1/instance`);
        expectStatus(reply, 200, 'the instance API');
        const said = reply.json<Said & { uri: string; version: string }>();
        if (said.uri !== app.domain) throw new Error(`it calls itself ${said.uri}`);
        return `${expectSaid(config, said)}, ${said.uri}, ${said.version}`;
      },
    },
    ...pictureProofs(context, base),
    {
      id: 'pictures',
      title: 'The default picture, out of the volume',
      run: async () => {
        const path = '/storage/avatars/default.jpg';
        const reply = await http(`${base}${path}`, { most: PICTURE_BYTES });
        expectStatus(reply, 200, path);
        if (!String(reply.headers['content-type']).startsWith('image/'))
          throw new Error(`${path} is no picture`);
        return `${reply.body.length} bytes at ${path}`;
      },
    },
    ...(tls
      ? [
          {
            id: 'database-tls',
            inside: true,
            title: 'Your database, by TLS',
            run: async () => expectCipher(config, await inside('pixelfed_horizon', php(CIPHER))),
          },
        ]
      : []),
    {
      id: 'horizon',
      inside: true,
      title: 'Horizon, by its own word',
      run: () => inside('pixelfed_horizon', { argv: ['php', 'artisan', 'horizon:status'] }),
    },
    {
      id: 'login',
      title: context.first
        ? `Log-in as ${app.admin}, as in a browser`
        : `A token for ${app.admin}, for ten minutes`,
      run: async () => {
        api.token = context.first
          ? await passwordToken()
          : (JSON.parse(await inside('pixelfed_web', php(MINT, { name: app.admin }))) as { token: string })
              .token;
        const me = await api.call('GET', '/api/v1/accounts/verify_credentials');
        if (refusal(me) !== undefined)
          throw new Error(
            `the token is nobody’s (${me.status}): an app’s id is the same as the account’s, or the keys changed`,
          );
        expectStatus(me, 200, 'the account');
        const { acct } = me.json<{ acct: string }>();
        if (acct !== app.admin) throw new Error(`logged in as ${acct}`);
        return acct;
      },
    },
    ...(bucket === undefined
      ? []
      : [
          {
            id: 'storage',
            title: `A file in the bucket ${bucket.name}, read by a stranger, and deleted`,
            run: async () => {
              const secretKey = context.secret(secretKeyOf('pixelfed'));
              const seen = await proveBucket({ http, bucket, secretKey, origin: base });
              stored = true;
              return seen;
            },
          },
        ]),
    {
      id: 'upload',
      title: 'A photo, uploaded, made small by Horizon, and both read back',
      needs: ['pixelfed_horizon'],
      run: async () => {
        if (!stored) throw new Skipped('it would go to the bucket');
        const sent = await api.upload('/api/v2/media', picture(900));
        if (sent.status !== 202) expectStatus(sent, 200, 'the upload');
        const { id } = sent.json<Partial<Media>>();
        if (id === undefined) throw new Error('the upload was not kept: the account counts as never used');
        const made = await until(JOB_PATIENCE_MS, 500, 'Horizon did not make a small picture', async () => {
          const reply = await api.call('GET', `/api/v1/media/${id}`);
          expectStatus(reply, 200, 'the photo');
          const one = reply.json<Media>();
          const ready = one.preview_url !== one.url && !one.preview_url.endsWith('/no-preview.png');
          return ready && (bucket === undefined || new URL(one.url).host !== app.domain) ? one : undefined;
        });
        media = id;
        const sizes: number[] = [];
        for (const url of [made.url, made.preview_url]) {
          const read = await http(url, { most: PICTURE_BYTES });
          expectStatus(read, 200, url);
          if (!String(read.headers['content-type']).startsWith('image/') || read.body.length < 50)
            throw new Error(`${url} is no picture`);
          sizes.push(read.body.length);
        }
        if (bucket !== undefined && !made.url.startsWith(publicUrl(bucket, '')))
          throw new Error(`the photo is at ${made.url}, not in the bucket`);
        return `${sizes.join(' and ')} bytes at ${new URL(made.preview_url).pathname}`;
      },
    },
    {
      id: 'post',
      title: 'A post with it, read by another server, and deleted',
      run: async () => {
        if (media === undefined) throw new Skipped('there is no photo');
        const sent = await api.call('POST', '/api/v1/statuses', {
          status: `fedi-setup was here at ${new Date().toISOString()}`,
          visibility: 'public',
          'media_ids[]': media,
        });
        expectStatus(sent, 200, 'the post');
        const { id, url } = sent.json<{ id: string; url: string }>();
        try {
          const read = await http(url, { headers: { Accept: 'application/activity+json' } });
          expectStatus(read, 200, 'the post, as other servers fetch it');
          const { attachment } = read.json<{ attachment?: { url?: string }[] }>();
          if (attachment?.[0]?.url === undefined) throw new Error('the post does not hold its photo');
        } finally {
          await api.call('DELETE', `/api/v1/statuses/${id}`);
        }
        // Not by the web: whoever asks there amid the deletion has Pixelfed keep the post in its cache for six hours.
        await until(JOB_PATIENCE_MS, 500, 'the deleted post is still there', async () =>
          (await inside('pixelfed_web', query(UNDELETED, [id]))) === '0' ? true : undefined,
        );
        const { status: gone } = await api.call('GET', `/api/v1/statuses/${id}`);
        if (gone === 200) throw new Error('the deleted post is still shown');
        return `${new URL(url).pathname}, gone again (${gone})`;
      },
    },
    ...(config.mail.mode === 'none' || !context.mail
      ? []
      : [
          {
            id: 'mail',
            inside: true,
            title: `A mail to ${app.email}`,
            run: async () => {
              const said = await inside(
                'pixelfed_horizon',
                php(MAIL, {
                  to: app.email,
                  tls: config.mail.security === 'none' ? 0 : 1,
                  ...mailText(app.domain),
                }),
              );
              return mailEvidence(config.mail, app.email, JSON.parse(said) as MailOutcome);
            },
          },
        ]),
    {
      id: 'tidy',
      title: 'The token revoked',
      run: async () => {
        const { jti } = JSON.parse(
          Buffer.from(api.signedIn().split('.')[1] ?? '', 'base64url').toString(),
        ) as { jti: string };
        await inside('pixelfed_web', php(REVOKE, { id: jti }));
        return api.expectRevoked(refusal);
      },
    },
    {
      id: 'scheduler',
      inside: true,
      title: 'The clock, and the last task it ran',
      needs: ['pixelfed_scheduler'],
      run: () =>
        until(CLOCK_PATIENCE_MS, 1000, 'no task ran by the clock', async () => {
          const at = Number(await inside('pixelfed_web', php(SNAPSHOT)));
          if (Date.now() / 1000 - at < SNAPSHOT_AGE_S)
            return `Horizon’s statistics, taken at ${new Date(at * 1000).toISOString()}`;
          // A clock that never ran has run nothing; one that just began waits for its first five minutes.
          const tick = (await context.said('pixelfed_scheduler', TICK_S)).match(TICK)?.at(-1);
          return tick === undefined
            ? undefined
            : `it looks every minute (“${tick}”); \`fedi-setup prove\` in five minutes tells of a task`;
        }),
    },
  ];
}
