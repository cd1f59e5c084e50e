/** All apps. A new one is a file in this directory and a line here. */
import { totalmem, availableParallelism } from 'node:os';
import type { AppConfig, Config } from '../config/config.ts';
import type { Answers, Share } from '../config/question.ts';
import type { App, Load } from './app.ts';
import { mastodon } from './mastodon.ts';
import { pixelfed } from './pixelfed.ts';
import { snac } from './snac.ts';

/** In the order of the wizard; the first is the lab's. */
export const APPS: readonly App[] = [snac, mastodon, pixelfed];

export const APP_IDS: readonly string[] = APPS.map(({ id }) => id);

/** The app with this id; an unknown id is a bug. */
export function appOf(id: string): App {
  const found = APPS.find((app) => app.id === id);
  if (found === undefined) throw new Error(`there is no app ${id}`);
  return found;
}

/** Every name that Caddy serves for the app itself, its domain first. */
export const namesOf = (app: AppConfig): readonly string[] =>
  appOf(app.id).served?.(app) ?? appOf(app.id).names?.(app) ?? [app.domain];

/** The same, and the public host of its bucket, if Caddy serves that too. */
export const servedNamesOf = (app: AppConfig): readonly string[] => [
  ...namesOf(app),
  ...(app.bucket?.isProxied === true && app.bucket.alias !== undefined ? [app.bucket.alias] : []),
];

/** Every name that Caddy serves. */
export const allNamesOf = ({ apps }: Config): readonly string[] => apps.flatMap(servedNamesOf);

const idsIn = (answers: Answers): string[] =>
  String(answers['apps'] ?? '')
    .split(',')
    .filter((id) => APP_IDS.includes(id));

/** The chosen apps with their options; in the wizard some answers may be missing. */
export const appsIn = (answers: Answers): Pick<AppConfig, 'id' | 'options'>[] =>
  idsIn(answers).map((id) => ({ id, options: appOf(id).options(answers) }));

/**
 * An app's share of the host: memory and cores are divided in proportion to the apps' minimums.
 * @param apps all apps of the site
 */
export function shareOf(
  id: string,
  apps: readonly Pick<AppConfig, 'id'>[],
  host: Share = { memoryMiB: totalmem() / 1024 ** 2, cores: availableParallelism() },
): Share {
  const ids = apps.map((app) => app.id);
  const { minimum } = appOf(id);
  const part = (what: 'memoryMiB' | 'cores'): number => {
    const sum = (ids.length > 0 ? ids : [id]).reduce((total, one) => total + appOf(one).minimum[what], 0);
    // An app without a minimum may use everything.
    return minimum[what] === 0 ? host[what] : (host[what] * minimum[what]) / sum;
  };
  return { memoryMiB: part('memoryMiB'), cores: part('cores') };
}

/** Estimated use of the host by each app. */
export function loadsOf(
  apps: readonly Pick<AppConfig, 'id' | 'options'>[],
): (Load & { readonly id: string })[] {
  return apps.map(({ id, options }) => {
    const { load, minimum } = appOf(id);
    return { id, ...(load?.(options) ?? { memoryMiB: minimum.memoryMiB, processes: 1 }) };
  });
}
