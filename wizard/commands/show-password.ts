import { appOf } from '../apps/index.ts';
import type { AppConfig } from '../config/config.ts';
import type { Progress } from '../progress.ts';
import type { Secret } from '../secrets/secret.ts';

/** Shows a password, once. @param event `admin`: of the owner, in the first run */
export function showPassword(
  progress: Progress,
  event: 'admin' | 'password',
  { id, domain }: AppConfig,
  user: string,
  password: Secret,
): void {
  const { name, loginPage } = appOf(id);
  const url = `https://${domain}`;
  progress.say(`\n  ${name}: ${url}`);
  if (loginPage !== undefined) progress.say(`    log in    ${loginPage(domain, user)}`);
  progress.say(`    user      ${user}`);
  progress.say(`    password  ${password.reveal()}`);
  progress.say(
    `    It is shown only once. Save it now, or change it in the app.${event === 'admin' ? ' It stays in secrets.json, for the proofs.' : ''}`,
  );
  progress.emit({ event, app: id, url, user, password: password.reveal() });
}
