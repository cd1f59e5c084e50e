/** Pixelfed's proofs: what its owner, a client app and other servers see. */
import { publicUrl } from '../../config/bucket.ts';
import type { AppConfig } from '../../config/config.ts';
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
import { proveBucket } from '../../prove/s3.ts';
import { expectTexts, pictureProofs } from './branding.ts';
import type { InstanceTexts } from './branding.ts';
import { wantsTls } from './data.ts';
import type { PixelfedOptions } from './options.ts';
import { laravel, query } from './php.ts';
import { secretKeyOf } from '../shared/s3.ts';

/** For Horizon's jobs. */
const JOB_PATIENCE_MS = 5 * 60_000;
/** The most frequent tasks run every five minutes; the scheduler checks every minute, and logs what it runs. */
const CLOCK_PATIENCE_MS = 6 * 60_000;
const SNAPSHOT_AGE_S = 11 * 60;
const TICK_S = 70;
const TICK = /No scheduled commands are ready to run|Running \[[^\]]*\]/g;

const UNDELETED = 'select count(*) from statuses where id = ? and deleted_at is null';

/** Describes a rejected token: 401, or in 0.12 and earlier an internal error. Undefined: it was not rejected. */
export const refusal = (reply: Reply): string | undefined =>
  reply.status === 500 && reply.text().includes('Unauthenticated')
    ? '500, as this Pixelfed reports it'
    : refusedBy(401, 403)(reply);

/** @param cipher of the app's connection */
export function expectCipher({ release }: PixelfedOptions, cipher: string): string {
  if (cipher !== '') return cipher;
  throw new Error(
    `${release} connects unencrypted though the URL requires TLS: use a newer --pixelfed-release, or a network that you trust`,
  );
}

interface Media {
  readonly id: string;
  readonly url: string;
  readonly preview_url: string;
}

export function pixelfedProofs(context: ProofContext, app: AppConfig<PixelfedOptions>): Proof[] {
  const { http, config } = context;
  const { server, from } = config.mail;
  const base = `https://${app.domain}`;
  const { bucket, options } = app;
  const tls = wantsTls(options, context.secret);
  // Passed from one proof to the next.
  const api = new ClientApi(http, base);
  let media: string | undefined;
  let stored = bucket === undefined;

  /** Last line of the output. */
  const inside = async (service: string, command: Command): Promise<string> => {
    const { code, stdout, stderr } = await context.inside(service, command);
    if (code !== 0)
      throw new Error(stderr.trim().split('\n').at(-1) || `${command.argv.join(' ')} ended with ${code}`);
    return stdout.trim().split('\n').at(-1) ?? '';
  };

  /** Logs in as in a browser: log-in form, consent form, code. */
  const passwordToken = async (): Promise<string> => {
    const password = context.secret('pixelfed.admin');
    if (password === undefined) throw new Error('the password is not in secrets.json');
    const client = await api.register();
    const browser = new Browser(http, base);
    const page = await browser.visit(`${base}/login`);
    expectStatus(page, 200, 'the log-in page');
    const entered = await browser.visit(
      `${base}/login`,
      form({ ...hiddenFields(page), email: app.email, password: password.reveal() }),
    );
    expectStatus(entered, 302, 'the log-in');
    if (String(entered.headers['location']).endsWith('/login')) throw new Error('the password was rejected');
    const ask = new URLSearchParams(api.consent(client));
    const consent = await browser.visit(`${base}/oauth/authorize?${ask.toString()}`);
    expectStatus(consent, 200, 'the consent page');
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
          await inside(
            'pixelfed_horizon',
            laravel('look-up.php', { names: JSON.stringify(names), ask: ask ? 1 : 0, seconds: PATIENCE_S }),
          ),
        ) as Record<string, Sight>,
      { own: true, refusedBy: 'Pixelfed' },
    ),
    {
      id: 'server-actor',
      title: 'The server’s actor and its key',
      run: async () => {
        const reply = await http(`${base}/i/actor`, { headers: { Accept: 'application/activity+json' } });
        expectStatus(reply, 200, 'the actor of the server');
        const actor = reply.json<{ id?: string; type?: string; publicKey?: { publicKeyPem?: string } }>();
        if (actor.id !== `${base}/i/actor`) throw new Error(`its id is ${actor.id ?? '(none)'}`);
        if (!actor.publicKey?.publicKeyPem?.includes('PUBLIC KEY')) throw new Error('it has no public key');
        return `${actor.type ?? '?'} at ${new URL(actor.id).pathname}`;
      },
    },
    {
      id: 'instance',
      title: 'Instance API, with name and rules as configured',
      run: async () => {
        const reply = await http(`${base}/api/v1/instance`);
        expectStatus(reply, 200, 'the instance API');
        const instance = reply.json<InstanceTexts & { uri: string; version: string }>();
        if (instance.uri !== app.domain) throw new Error(`it reports the domain ${instance.uri}`);
        return `${expectTexts(options, instance)}, ${instance.uri}, ${instance.version}`;
      },
    },
    ...pictureProofs(context, app, base),
    {
      id: 'pictures',
      title: 'The default picture, from the volume',
      run: async () => {
        const path = '/storage/avatars/default.jpg';
        const reply = await http(`${base}${path}`, { most: PICTURE_BYTES });
        expectStatus(reply, 200, path);
        if (!String(reply.headers['content-type']).startsWith('image/'))
          throw new Error(`${path} is not a picture`);
        return `${reply.body.length} bytes at ${path}`;
      },
    },
    ...(tls
      ? [
          {
            id: 'database-tls',
            inside: true,
            title: 'Your database, over TLS',
            run: async () => expectCipher(options, await inside('pixelfed_horizon', laravel('cipher.php'))),
          },
        ]
      : []),
    {
      id: 'horizon',
      inside: true,
      title: 'Horizon’s own status',
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
          : // After the first run the owner may have changed the password.
            (
              JSON.parse(await inside('pixelfed_web', laravel('create-token.php', { name: app.admin }))) as {
                token: string;
              }
            ).token;
        const me = await api.call('GET', '/api/v1/accounts/verify_credentials');
        if (refusal(me) !== undefined)
          throw new Error(
            `the token was rejected (${me.status}): a client app has the same id as the account, or the keys changed`,
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
            title: `A file in the bucket ${bucket.name}, read anonymously, and deleted`,
            run: async () => {
              const secretKey = context.secret(secretKeyOf('pixelfed'));
              const evidence = await proveBucket({ http, bucket, secretKey, origin: base, needsAcl: true });
              stored = true;
              return evidence;
            },
          },
        ]),
    {
      id: 'upload',
      title: 'A photo, uploaded, resized by Horizon, and both read back',
      needs: ['pixelfed_horizon'],
      run: async () => {
        if (!stored) throw new Skipped('the bucket does not work');
        const sent = await api.upload('/api/v2/media', picture(900));
        if (sent.status !== 202) expectStatus(sent, 200, 'the upload');
        const { id } = sent.json<Partial<Media>>();
        if (id === undefined) throw new Error('Pixelfed dropped the upload: it treats the account as unused');
        const made = await until(JOB_PATIENCE_MS, 500, 'Horizon did not resize it', async () => {
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
            throw new Error(`${url} is not a picture`);
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
          if (attachment?.[0]?.url === undefined) throw new Error('the post does not contain its photo');
        } finally {
          await api.call('DELETE', `/api/v1/statuses/${id}`);
        }
        // Poll the database, not HTTP: a request during the deletion makes Pixelfed cache the post for six hours.
        await until(JOB_PATIENCE_MS, 500, 'the deleted post is still there', async () =>
          (await inside('pixelfed_web', query(UNDELETED, [id]))) === '0' ? true : undefined,
        );
        const { status: gone } = await api.call('GET', `/api/v1/statuses/${id}`);
        if (gone === 200) throw new Error('the deleted post is still shown');
        return `${new URL(url).pathname}, deleted (${gone})`;
      },
    },
    ...(server === undefined || !context.mail
      ? []
      : [
          {
            id: 'mail',
            inside: true,
            title: `A mail to ${app.email}`,
            run: async () => {
              const printed = await inside(
                'pixelfed_horizon',
                laravel('send-mail.php', {
                  to: app.email,
                  tls: server.security === 'none' ? 0 : 1,
                  ...mailText(app.domain),
                }),
              );
              return mailEvidence({ ...server, from }, app.email, JSON.parse(printed) as MailOutcome);
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
        await inside('pixelfed_web', laravel('revoke-token.php', { id: jti }));
        return api.expectRevoked(refusal);
      },
    },
    {
      id: 'scheduler',
      inside: true,
      title: 'The scheduler, and the last task it ran',
      needs: ['pixelfed_scheduler'],
      run: () =>
        until(CLOCK_PATIENCE_MS, 1000, 'the scheduler ran no task', async () => {
          const at = Number(await inside('pixelfed_web', laravel('last-snapshot.php')));
          if (Date.now() / 1000 - at < SNAPSHOT_AGE_S)
            return `Horizon’s statistics, recorded at ${new Date(at * 1000).toISOString()}`;
          // A scheduler that has just started waits up to five minutes for its first task.
          const tick = (await context.recentLogs('pixelfed_scheduler', TICK_S)).match(TICK)?.at(-1);
          return tick === undefined
            ? undefined
            : `it runs every minute (“${tick}”); \`fedi-setup prove\` in five minutes shows a task`;
        }),
    },
  ];
}
