/** The apps there are. A new one is a file beside this one and a line here. */
import { totalmem, availableParallelism } from 'node:os';
import type { AppConfig, Config } from '../config/config.ts';
import type { Answers, Share } from '../config/question.ts';
import type { App, Load } from './app.ts';
import { mastodon } from './mastodon.ts';
import { pixelfed } from './pixelfed.ts';
import { snac } from './snac.ts';

/** In the order they are offered; the first is the lab's. */
export const APPS: readonly App[] = [snac, mastodon, pixelfed];

export const APP_IDS: readonly string[] = APPS.map(({ id }) => id);

/** The app of that id; one that there is not is a bug. */
export function appOf(id: string): App {
  const found = APPS.find((app) => app.id === id);
  if (found === undefined) throw new Error(`there is no app ${id}`);
  return found;
}

/** Every name that Caddy answers for an app, its domain first. */
export const namesOf = (config: Config, app: AppConfig): readonly string[] =>
  appOf(app.id).names?.(config, app) ?? [app.domain];

/** Every name that Caddy answers for. */
export const allNamesOf = (config: Config): readonly string[] =>
  config.apps.flatMap((app) => namesOf(config, app));

const idsOf = (answers: Answers): string[] =>
  String(answers['apps'] ?? '')
    .split(',')
    .filter((id) => APP_IDS.includes(id));

/** The part of this host that an app may count on: apps share its memory as their minimums do, its cores likewise. */
export function shareOf(
  id: string,
  answers: Answers,
  host: Share = { memoryMiB: totalmem() / 1024 ** 2, cores: availableParallelism() },
): Share {
  const ids = idsOf(answers);
  const { minimum } = appOf(id);
  const part = (what: 'memoryMiB' | 'cores'): number => {
    const sum = (ids.length > 0 ? ids : [id]).reduce((total, one) => total + appOf(one).minimum[what], 0);
    // What asks for nothing has the whole: it is in nobody's way.
    return minimum[what] === 0 ? host[what] : (host[what] * minimum[what]) / sum;
  };
  return { memoryMiB: part('memoryMiB'), cores: part('cores') };
}

/** What each app of the site takes of the host, as it is tuned. */
export function loadsOf(answers: Answers): (Load & { readonly id: string })[] {
  return idsOf(answers).map((id) => {
    const { load, minimum } = appOf(id);
    return { id, ...(load?.(answers) ?? { memoryMiB: minimum.memoryMiB, processes: 1 }) };
  });
}
