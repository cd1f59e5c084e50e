/** snac's proofs: what its owner and other servers see. They use its Mastodon API, as client apps do. */
import type { AppConfig } from '../../config/config.ts';
import { discoveryProofs } from '../../prove/activitypub.ts';
import { form } from '../../prove/browser.ts';
import { ClientApi, OUT_OF_BAND, picture } from '../../prove/client-api.ts';
import type { ClientApp } from '../../prove/client-api.ts';
import { PICTURE_BYTES, expectStatus } from '../../prove/http.ts';
import { mailEvidence } from '../../prove/mail.ts';
import { byCurl, neighbourProofs } from '../../prove/neighbours.ts';
import type { Proof, ProofContext } from '../../prove/proof.ts';
import { sender, snacMail, snacMailOutcome } from './mail.ts';

export function snacProofs(context: ProofContext, app: AppConfig): Proof[] {
  const { http } = context;
  const { server, from } = context.config.mail;
  const base = `https://${app.domain}`;
  // Passed from one proof to the next.
  const api = new ClientApi(http, base);
  let client: ClientApp | undefined;
  let media: { id: string; file: string } | undefined;

  return [
    ...discoveryProofs(http, app, 'snac', 'snac'),
    ...neighbourProofs(context, app, byCurl(context, 'snac'), { own: false, refusedBy: undefined }),
    {
      id: 'login',
      title: `Log-in as ${app.admin}`,
      run: async () => {
        const password = context.secret('snac.admin');
        if (password === undefined) throw new Error('the password is not in secrets.json');
        client = await api.register();
        const login = await http(
          `${base}/oauth/x-snac-login`,
          form({
            login: app.admin,
            passwd: password.reveal(),
            redir: OUT_OF_BAND,
            cid: client.client_id,
            state: '',
          }),
        );
        expectStatus(login, 200, 'the log-in');
        // snac answers 200 even to a wrong password, and its token endpoint does not check the code.
        if (!/^[\w-]+$/.test(login.text().trim()))
          throw new Error(
            `the password in secrets.json was rejected. If it was changed: fedi-setup secrets set snac.admin FILE`,
          );
        api.token = await api.exchange(client, login.text().trim());
        const me = await api.call('GET', '/api/v1/accounts/verify_credentials');
        expectStatus(me, 200, 'the account');
        const { acct } = me.json<{ acct?: string }>();
        if (acct !== app.admin) throw new Error(`logged in as ${acct ?? 'nobody'}`);
        return `token granted to ${acct}`;
      },
    },
    {
      id: 'upload',
      title: 'A picture, uploaded and read back',
      run: async () => {
        const sending = picture(32);
        const sent = await api.upload('/api/v1/media', sending);
        expectStatus(sent, 200, 'the upload');
        const { id, url } = sent.json<{ id: string; url: string }>();
        media = { id, file: new URL(url).pathname.split('/').at(-1) ?? '' };
        const read = await http(url, { most: PICTURE_BYTES });
        expectStatus(read, 200, url);
        if (!read.body.equals(sending))
          throw new Error(
            `${url} returned ${read.body.length} bytes that differ from the ${sending.length} sent`,
          );
        return `${sending.length} identical bytes at ${new URL(url).pathname}`;
      },
    },
    {
      id: 'post',
      title: 'A post, read anonymously, and deleted',
      run: async () => {
        const text = `fedi-setup was here at ${new Date().toISOString()}`;
        const sent = await api.call('POST', '/api/v1/statuses', {
          status: text,
          visibility: 'public',
          ...(media === undefined ? {} : { 'media_ids[]': media.id }),
        });
        expectStatus(sent, 200, 'the post');
        const { id, uri } = sent.json<{ id: string; uri: string }>();
        const read = await http(uri, { headers: { Accept: 'application/activity+json' } });
        expectStatus(read, 200, 'the post, as other servers fetch it');
        if (!read.text().includes(text.slice(0, 20))) throw new Error('the post does not contain its text');
        const removed = await api.call('DELETE', `/api/v1/statuses/${id}`);
        expectStatus(removed, 200, 'the deletion');
        const gone = await http(uri, { headers: { Accept: 'application/activity+json' } });
        if (gone.status === 200) throw new Error('the deleted post is still there');
        return `${new URL(uri).pathname}, deleted (${gone.status})`;
      },
    },
    ...(server === undefined || !context.mail
      ? []
      : [
          {
            id: 'mail',
            inside: true,
            title: `A mail to ${app.email}`,
            needs: ['snac'],
            run: async () =>
              mailEvidence(
                { ...server, from },
                app.email,
                snacMailOutcome(await context.inside('snac', snacMail(app, new Date()))),
                sender(app),
              ),
          },
        ]),
    {
      id: 'tidy',
      title: 'The picture removed, the token revoked',
      run: async () => {
        const token = api.signedIn();
        if (media !== undefined && /^[\w.-]+$/.test(media.file)) {
          // snac deletes the post but not its files: the picture and its description.
          const file = `/data/user/${app.admin}/static/${media.file}`;
          const removed = await context.inside('snac', { argv: ['rm', '-f', '--', file, `${file}.txt`] });
          if (removed.code !== 0) throw new Error(removed.stderr.trim());
        }
        const revoked = await http(`${base}/oauth/revoke`, form({ token, ...client }));
        expectStatus(revoked, 200, 'the revocation');
        return api.expectRevoked();
      },
    },
  ];
}
