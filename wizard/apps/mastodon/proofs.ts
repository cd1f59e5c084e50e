/** Mastodon's proofs: what its owner, a client app and other servers see. */
import type { AppConfig } from '../../config/config.ts';
import type { Output } from '../../docker/engine.ts';
import { discoveryProofs } from '../../prove/activitypub.ts';
import { Browser, form, hiddenFields } from '../../prove/browser.ts';
import { ClientApi, picture } from '../../prove/client-api.ts';
import type { ClientApp } from '../../prove/client-api.ts';
import { PICTURE_BYTES, expectStatus } from '../../prove/http.ts';
import type { Reply } from '../../prove/http.ts';
import { mailEvidence } from '../../prove/mail.ts';
import { byCurl, neighbourProofs } from '../../prove/neighbours.ts';
import { Skipped, until } from '../../prove/proof.ts';
import type { Proof, ProofContext } from '../../prove/proof.ts';
import { expectShown, proveBucket } from '../../prove/s3.ts';
import { firstMessage } from '../../prove/websocket.ts';
import { mastodonMail, mastodonMailOutcome } from './mail.ts';
import type { MastodonOptions } from './options.ts';
import { mintInDatabase, mintInRails } from './tokens.ts';
import { secretKeyOf } from '../shared/s3.ts';

const MEDIA_PATIENCE_MS = 5 * 60_000;
const STREAM_PATIENCE_MS = 2 * 60_000;

/** The CSRF token of a Rails form. */
const tokenOf = (page: Reply): string => hiddenFields(page)['authenticity_token'] ?? '';

export function mastodonProofs(context: ProofContext, app: AppConfig<MastodonOptions>): Proof[] {
  const { http, config } = context;
  const { server, from } = config.mail;
  const { bucket, options } = app;
  const web = options.webDomain ?? app.domain;
  const base = `https://${web}`;
  // Passed from one proof to the next.
  const api = new ClientApi(http, base);
  let client: ClientApp | undefined;
  let media: string | undefined;
  let stored = bucket === undefined;

  /** Logs in as in a browser: log-in form, consent form, code. */
  const passwordToken = async (made: ClientApp): Promise<string> => {
    const password = context.secret('mastodon.admin');
    if (password === undefined) throw new Error('the password is not in secrets.json');
    const browser = new Browser(http, base);
    const page = await browser.visit(`${base}/auth/sign_in`);
    expectStatus(page, 200, 'the log-in page');
    const entered = await browser.visit(
      `${base}/auth/sign_in`,
      form({
        authenticity_token: tokenOf(page),
        'user[email]': app.email,
        'user[password]': password.reveal(),
      }),
    );
    if (
      ![302, 303].includes(entered.status) ||
      String(entered.headers['location']).includes('/auth/sign_in')
    ) {
      throw new Error(`the password was rejected (${entered.status})`);
    }
    const ask = new URLSearchParams(api.consent(made));
    const consent = await browser.visit(`${base}/oauth/authorize?${ask.toString()}`);
    expectStatus(consent, 200, 'the consent page');
    const agreed = await browser.visit(
      `${base}/oauth/authorize`,
      form({ ...Object.fromEntries(ask), authenticity_token: tokenOf(consent), state: '' }),
    );
    const location = String(agreed.headers['location']);
    const shown = [302, 303].includes(agreed.status)
      ? await browser.visit(new URL(location, base).href)
      : agreed;
    const code = /[?&]code=([\w-]+)/.exec(location)?.[1] ?? /value="([\w-]{30,})"/.exec(shown.text())?.[1];
    if (code === undefined) throw new Error(`no code was granted (${agreed.status})`);
    // Otherwise the session would stay in the owner's list of sessions.
    const token = /<meta name="csrf-token" content="([^"]+)"/.exec(consent.text())?.[1] ?? '';
    const out = await browser.visit(`${base}/auth/sign_out`, {
      method: 'DELETE',
      headers: { 'X-CSRF-Token': token },
    });
    if (![204, 302, 303].includes(out.status)) throw new Error(`the log-out was refused (${out.status})`);
    return api.exchange(made, code);
  };

  /** A token that works: made in the database, or by Rails if this version of Mastodon does not accept that one. */
  const useToken = async (): Promise<Reply> => {
    for (const mint of [mintInDatabase, mintInRails]) {
      const minted = await mint(context, app);
      if (minted === undefined) continue;
      ({ client, token: api.token } = minted);
      const me = await api.call('GET', '/api/v1/accounts/verify_credentials');
      if (me.status !== 401) return me;
    }
    throw new Error('a new token is refused (401)');
  };

  /** Starts once; the mail is sent while other proofs run, since it needs a start of Rails. */
  let sending: Promise<Output> | undefined;
  const wantsMail = server !== undefined && context.mail;
  const sendMail = (): Promise<Output> => {
    sending ??= context.inside('mastodon_sidekiq', mastodonMail(app));
    sending.catch(() => undefined);
    return sending;
  };

  return [
    ...discoveryProofs(http, app, 'mastodon', 'mastodon_web', options.handlesElsewhere ? web : undefined),
    ...neighbourProofs(context, app, byCurl(context, 'mastodon_sidekiq'), {
      own: false,
      refusedBy: config.tls.isLab ? undefined : 'Mastodon',
    }),
    {
      id: 'instance',
      title: 'Instance API',
      run: async () => {
        if (wantsMail) void sendMail();
        const reply = await http(`${base}/api/v2/instance`);
        expectStatus(reply, 200, 'the instance API');
        const { domain, version } = reply.json<{ domain: string; version: string }>();
        if (domain !== app.domain) throw new Error(`it reports the domain ${domain}`);
        return `${domain}, ${version}`;
      },
    },
    {
      id: 'login',
      title: context.first
        ? `Log-in as ${app.admin}, as in a browser`
        : `A token for ${app.admin}, for ten minutes`,
      run: async () => {
        let me: Reply;
        if (context.first) {
          client = await api.register();
          api.token = await passwordToken(client);
          me = await api.call('GET', '/api/v1/accounts/verify_credentials');
        } else me = await useToken();
        expectStatus(me, 200, 'the account');
        const { acct, role } = me.json<{ acct: string; role?: { name?: string } }>();
        if (acct !== app.admin) throw new Error(`logged in as ${acct}`);
        return `${acct}, ${role?.name ?? 'no role'}`;
      },
    },
    ...(bucket === undefined
      ? []
      : [
          {
            id: 'storage',
            title: `A file in the bucket ${bucket.name}, read anonymously, and deleted`,
            run: async () => {
              const secretKey = context.secret(secretKeyOf('mastodon'));
              const evidence = await proveBucket({ http, bucket, secretKey, origin: base });
              stored = true;
              return evidence;
            },
          },
        ]),
    {
      id: 'upload',
      title: 'A picture, uploaded, processed and read back',
      run: async () => {
        if (!stored) throw new Skipped('the bucket does not work');
        const sent = await api.upload('/api/v2/media', picture(64));
        if (sent.status !== 200 && sent.status !== 202) expectStatus(sent, 200, 'the upload');
        const { id } = sent.json<{ id: string }>();
        const url = await until(MEDIA_PATIENCE_MS, 250, 'Sidekiq did not process it', async () => {
          const reply = await api.call('GET', `/api/v1/media/${id}`);
          if (reply.status === 206) return undefined;
          expectStatus(reply, 200, 'the processed picture');
          return reply.json<{ url: string }>().url;
        });
        const read = await http(url, { most: PICTURE_BYTES });
        expectStatus(read, 200, url);
        if (!String(read.headers['content-type']).startsWith('image/png') || read.body.length < 50)
          throw new Error(`${url} is not a picture`);
        if (bucket !== undefined) expectShown(bucket, url, await http(`${base}/about`));
        media = id;
        return new URL(url).host === web
          ? `${read.body.length} bytes at ${new URL(url).pathname}`
          : `${read.body.length} bytes at ${url}`;
      },
    },
    {
      id: 'streaming',
      title: 'A post, seen live over a WebSocket, read anonymously, and deleted',
      needs: ['mastodon_streaming', 'mastodon_sidekiq'],
      run: async () => {
        const text = `fedi-setup was here at ${new Date().toISOString()}`;
        const { socket, head } = await http.socket(`wss://${web}/api/v1/streaming?stream=user`, api.bearer());
        const live = firstMessage(socket, head, (message) => message.includes(text), STREAM_PATIENCE_MS);
        live.catch(() => undefined);
        const sent = await api.call('POST', '/api/v1/statuses', {
          status: text,
          visibility: 'public',
          ...(media === undefined ? {} : { 'media_ids[]': media }),
        });
        expectStatus(sent, 200, 'the post');
        const { id, uri } = sent.json<{ id: string; uri: string }>();
        try {
          await live;
          const read = await http(uri, { headers: { Accept: 'application/activity+json' } });
          expectStatus(read, 200, 'the post, as other servers fetch it');
          if (!read.text().includes(text)) throw new Error('the post does not contain its text');
        } finally {
          await api.call('DELETE', `/api/v1/statuses/${id}?delete_media=true`);
        }
        const gone = await api.call('GET', `/api/v1/statuses/${id}`);
        if (gone.status === 200) throw new Error('the deleted post is still there');
        return `${new URL(uri).pathname}, deleted (${gone.status})`;
      },
    },
    ...(!wantsMail
      ? []
      : [
          {
            id: 'mail',
            inside: true,
            title: `A mail to ${app.email}`,
            run: async () =>
              mailEvidence({ ...server, from }, app.email, mastodonMailOutcome(await sendMail())),
          },
        ]),
    {
      id: 'tidy',
      title: 'The token revoked',
      run: async () => {
        const revoked = await http(`${base}/oauth/revoke`, form({ token: api.signedIn(), ...client }));
        expectStatus(revoked, 200, 'the revocation');
        return api.expectRevoked();
      },
    },
  ];
}
