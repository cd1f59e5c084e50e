/** Validated answers → Config. Nothing after this reads answers by key. */
import { OWN_CAS_KEY } from '../config/config.ts';
import type { AppConfig, Config } from '../config/config.ts';
import { backupOf } from '../config/backup.ts';
import { mailOf } from '../config/mail.ts';
import { monitoringOf } from '../config/monitoring.ts';
import type { Answers } from '../config/question.ts';
import { tlsOf } from '../ingress/tls.ts';
import { folderKey, pictureKey } from '../apps/app.ts';
import { appOf } from '../apps/index.ts';
import { bucketIn } from '../apps/shared/s3.ts';

/** Throws if a required answer is missing: they were validated before, so that is a bug. */
export function configOf(answers: Answers): Config {
  const images: Record<string, string> = {};
  for (const [key, value] of Object.entries(answers)) {
    if (key.startsWith('images.')) images[key.slice('images.'.length)] = String(value);
  }
  return {
    name: textOf(answers, 'name'),
    apps: textOf(answers, 'apps')
      .split(',')
      .map((id) => appConfigOf(id, answers)),
    tls: tlsOf(answers),
    mail: mailOf(answers),
    ownCas: answers[OWN_CAS_KEY] === undefined ? undefined : String(answers[OWN_CAS_KEY]),
    monitoring: monitoringOf(answers),
    backup: backupOf(answers),
    upgrades: (answers['upgrades'] ?? 'notify') as Config['upgrades'],
    ...(answers['status.page'] === 'on'
      ? {
          statusPage: {
            notice: answers['status.notice'] === undefined ? undefined : textOf(answers, 'status.notice'),
          },
        }
      : {}),
    cleanUpDays: Number(answers['cleanup.every'] ?? 7),
    hasCache: answers['cache'] !== 'off',
    bind: textOf(answers, 'bind'),
    images,
  };
}

function textOf(answers: Answers, key: string): string {
  const value = answers[key];
  if (value === undefined) throw new Error(`no answer for ${key}`);
  return String(value);
}

function appConfigOf(id: string, answers: Answers): AppConfig {
  const app = appOf(id);
  const size = answers[`apps.${id}.size`];
  const bucket = bucketIn(answers, id);
  const accessLog = answers[`apps.${id}.access-log`];
  /** The given paths, by the last part of their keys. */
  const paths = (keys: readonly (readonly [name: string, key: string])[]): Record<string, string> =>
    Object.fromEntries(
      keys.flatMap(([name, key]) => (answers[key] === undefined ? [] : [[name, String(answers[key])]])),
    );
  return {
    id,
    domain: textOf(answers, `apps.${id}.domain`),
    admin: textOf(answers, `apps.${id}.admin`),
    email: textOf(answers, `apps.${id}.email`),
    ...(size === undefined ? {} : { size: String(size) }),
    ...(accessLog === 'short' || accessLog === 'full' ? { accessLog } : {}),
    ...(bucket === undefined ? {} : { bucket }),
    folders: paths((app.folders ?? []).map((folder) => [folder.name, folderKey(id, folder)])),
    pictures: paths((app.pictures ?? []).map((picture) => [picture.name, pictureKey(id, picture)])),
    options: { ...app.options(answers), ...(answers[OWN_CAS_KEY] === undefined ? {} : { hasOwnCas: true }) },
  };
}
