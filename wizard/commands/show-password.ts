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
  const url = `https://${domain}`;
  progress.say(`\n  ${appOf(id).name}: ${url}`);
  progress.say(`    user      ${user}`);
  progress.say(`    password  ${password.reveal()}`);
  progress.say('    It is shown only once. Save it now, or change it in the app.');
  progress.emit({ event, app: id, url, user, password: password.reveal() });
}
