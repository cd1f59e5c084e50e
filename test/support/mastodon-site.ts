/** A site with Mastodon on the real engine, and helpers to inspect it. */
import { client } from '../../wizard/prove/http.ts';
import type { Reply, RequestOptions } from '../../wizard/prove/http.ts';
import { mastodonAnswers } from './mastodon-images.ts';
import { docker, testSite } from './site.ts';
import type { Run, TestSite } from './site.ts';

/** As {@link testSite}, but with Mastodon instead of snac. */
export function mastodonSite(name: string, address: number, more: NodeJS.ProcessEnv = {}): TestSite {
  const site = testSite(name, address);
  const env = { ...site.env, ...mastodonAnswers(site.domain), ...more };
  return { ...site, env, apply: (argv = [], options = {}) => site.apply(argv, { env, ...options }) };
}

/** A query in the site's database, as the app's role. */
export const sqlIn = (site: TestSite, query: string): string =>
  docker(
    ...`exec ${site.containers()['mastodon_db'] ?? 'none'} psql -h 127.0.0.1 -U mastodon -d mastodon -tAc`.split(
      ' ',
    ),
    query,
  );

/** Names of the local accounts. */
export const accountsIn = (site: TestSite): string[] =>
  sqlIn(site, 'select a.username from users u join accounts a on a.id = u.account_id order by 1')
    .split('\n')
    .filter(Boolean);

/** Whether the log-in form at the site's ingress accepts a password. */
export async function mastodonLogsIn(
  site: TestSite,
  password: string,
  email = 'anna@fedi.test',
): Promise<boolean> {
  const http = client(site.bind, site.read('trust/root.crt'));
  const cookies = new Map<string, string>();
  const browse = async (options: RequestOptions = {}): Promise<Reply> => {
    const Cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
    const reply = await http(`https://${site.domain}/auth/sign_in`, {
      ...options,
      headers: { ...options.headers, Cookie },
    });
    for (const line of [reply.headers['set-cookie'] ?? []].flat()) {
      const [, cookie = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(cookie, value);
    }
    return reply;
  };
  const form = /<input[^>]*name="authenticity_token"[^>]*>/.exec((await browse()).text())?.[0] ?? '';
  const reply = await browse({
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      authenticity_token: /value="([^"]+)"/.exec(form)?.[1] ?? '',
      'user[email]': email,
      'user[password]': password,
    }).toString(),
  });
  return [302, 303].includes(reply.status) && !String(reply.headers['location']).includes('sign_in');
}

/** The failed proofs of the receipt, with their evidence. */
export const openProofs = ({ events }: Run): unknown[] =>
  events.filter(({ event, ok }) => event === 'proof' && ok !== true).map(({ id, seen }) => [id, seen]);
