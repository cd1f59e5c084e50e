/** A site with Pixelfed on the real engine, and helpers to inspect it. */
import { Browser, form, hiddenFields } from '../../wizard/prove/browser.ts';
import { client } from '../../wizard/prove/http.ts';
import { pixelfedAnswers } from './pixelfed-images.ts';
import { docker, testSite } from './site.ts';
import type { Run, TestSite } from './site.ts';

/** As {@link testSite}, but with Pixelfed instead of snac. */
export function pixelfedSite(name: string, address: number, more: NodeJS.ProcessEnv = {}): TestSite {
  const site = testSite(name, address);
  const env = { ...site.env, ...pixelfedAnswers(site.domain), ...more };
  return { ...site, env, apply: (argv = [], options = {}) => site.apply(argv, { env, ...options }) };
}

/** A query in the site's own database, as the app's role; one row per line, columns separated by tabs. */
export function sqlIn(site: TestSite, query: string): string {
  const { pixelfed_db: mariadb, pixelfed_postgres: postgres } = site.containers();
  const command =
    mariadb === undefined
      ? 'exec psql -h 127.0.0.1 -U pixelfed -d pixelfed -F "$(printf "\\t")" -tAc "$0"'
      : 'MYSQL_PWD="$MARIADB_PASSWORD" exec mariadb -h 127.0.0.1 -u "$MARIADB_USER" -NBe "$0" "$MARIADB_DATABASE"';
  return docker('exec', mariadb ?? postgres ?? 'none', 'sh', '-c', command, query);
}

/** Names of the local accounts. */
export const accountsIn = (site: TestSite): string[] =>
  sqlIn(site, 'select username from users order by 1').split('\n').filter(Boolean);

/** Failed proofs, with their evidence. */
export const openProofs = (run: Run): unknown[] =>
  run.events.filter(({ event, ok }) => event === 'proof' && ok !== true).map(({ id, seen }) => [id, seen]);

/** Whether the log-in form at the site's ingress accepts a password. */
export async function pixelfedLogsIn(
  site: TestSite,
  password: string,
  email = 'anna@fedi.test',
): Promise<boolean> {
  const browser = new Browser(client(site.bind, site.read('trust/root.crt')), `https://${site.domain}`);
  const url = `https://${site.domain}/login`;
  const fields = hiddenFields(await browser.visit(url));
  const reply = await browser.visit(url, form({ ...fields, email, password }));
  return reply.status === 302 && !String(reply.headers['location']).endsWith('/login');
}
