/** The receipt of snac: what its owner and other servers see. Talks its Mastodon API, as every client app does. */
import type { AppConfig } from '../../config/config.ts';
import { discoveryProofs, png } from '../../prove/activitypub.ts';
import { expectStatus, multipartFile } from '../../prove/http.ts';
import type { Proof, ProofContext } from '../../prove/proof.ts';

const OUT_OF_BAND = 'urn:ietf:wg:oauth:2.0:oob';

const form = (
  fields: Record<string, string>,
): { method: string; headers: Record<string, string>; body: string } => ({
  method: 'POST',
  headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
  body: new URLSearchParams(fields).toString(),
});

interface Session {
  readonly client: { readonly client_id: string; readonly client_secret: string };
  readonly token: string;
}

export function snacProofs(context: ProofContext, app: AppConfig): Proof[] {
  const { http } = context;
  const base = `https://${app.domain}`;
  // What one proof leaves for the next.
  let session: Session | undefined;
  let media: { id: string; file: string } | undefined;

  const signedIn = (): Session => {
    if (session === undefined) throw new Error('not tried: the log-in failed');
    return session;
  };
  const bearer = (): Record<string, string> => ({ Authorization: `Bearer ${signedIn().token}` });

  return [
    ...discoveryProofs(http, app, 'snac'),
    {
      id: 'login',
      title: `Log-in as ${app.admin}`,
      run: async () => {
        const password = context.secret('snac.admin');
        if (password === undefined) throw new Error('the password is not known here');
        const registered = await http(
          `${base}/api/v1/apps`,
          form({ client_name: 'fedi-setup', redirect_uris: OUT_OF_BAND, scopes: 'read write' }),
        );
        expectStatus(registered, 200, 'the registration of a client app');
        const client = registered.json<Session['client']>();
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
        // snac answers 200 to a wrong password too, and its token endpoint does not check the code.
        if (!/^[\w-]+$/.test(login.text().trim()))
          throw new Error(
            `the password in secrets.json is not taken. Was it changed? Then: fedi-setup secrets set snac.admin FILE`,
          );
        const granted = await http(
          `${base}/oauth/token`,
          form({
            grant_type: 'authorization_code',
            code: login.text().trim(),
            redirect_uri: OUT_OF_BAND,
            scope: 'read write',
            ...client,
          }),
        );
        expectStatus(granted, 200, 'the token');
        session = { client, token: granted.json<{ access_token: string }>().access_token };
        const me = await http(`${base}/api/v1/accounts/verify_credentials`, { headers: bearer() });
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
        const picture = png(32, [99, 100, 255]);
        const { headers, body } = multipartFile('file', 'fedi-setup.png', 'image/png', picture);
        const sent = await http(`${base}/api/v1/media`, {
          method: 'POST',
          headers: { ...headers, ...bearer() },
          body,
        });
        expectStatus(sent, 200, 'the upload');
        const { id, url } = sent.json<{ id: string; url: string }>();
        media = { id, file: new URL(url).pathname.split('/').at(-1) ?? '' };
        const read = await http(url);
        expectStatus(read, 200, url);
        if (!read.body.equals(picture))
          throw new Error(`${url} gave ${read.body.length} other bytes than the ${picture.length} sent`);
        return `${picture.length} bytes the same at ${new URL(url).pathname}`;
      },
    },
    {
      id: 'post',
      title: 'A post, read by a stranger, and deleted',
      run: async () => {
        const text = `fedi-setup was here at ${new Date().toISOString()}`;
        const sent = await http(`${base}/api/v1/statuses`, {
          ...form({
            status: text,
            visibility: 'public',
            ...(media === undefined ? {} : { 'media_ids[]': media.id }),
          }),
          headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...bearer() },
        });
        expectStatus(sent, 200, 'the post');
        const { id, uri } = sent.json<{ id: string; uri: string }>();
        const read = await http(uri, { headers: { Accept: 'application/activity+json' } });
        expectStatus(read, 200, 'the post, as other servers fetch it');
        if (!read.text().includes(text.slice(0, 20))) throw new Error('the post does not hold its text');
        const removed = await http(`${base}/api/v1/statuses/${id}`, { method: 'DELETE', headers: bearer() });
        expectStatus(removed, 200, 'the deletion');
        const gone = await http(uri, { headers: { Accept: 'application/activity+json' } });
        if (gone.status === 200) throw new Error('the deleted post is still there');
        return `${new URL(uri).pathname}, gone again (${gone.status})`;
      },
    },
    {
      id: 'tidy',
      title: 'The picture removed, the token revoked',
      run: async () => {
        const { client, token } = signedIn();
        if (media !== undefined && /^[\w.-]+$/.test(media.file)) {
          // snac deletes a post but keeps its files: the picture and its description.
          const file = `/data/user/${app.admin}/static/${media.file}`;
          const removed = await context.inside('snac', { argv: ['rm', '-f', '--', file, `${file}.txt`] });
          if (removed.code !== 0) throw new Error(removed.stderr.trim());
        }
        const revoked = await http(`${base}/oauth/revoke`, form({ token, ...client }));
        expectStatus(revoked, 200, 'the revocation');
        const again = await http(`${base}/api/v1/accounts/verify_credentials`, { headers: bearer() });
        if (again.status === 200) throw new Error('the revoked token still works');
        return `the old token answers ${again.status}`;
      },
    },
  ];
}
