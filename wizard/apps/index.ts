/** The apps there are. A new one is a file beside this one and a line here. */
import { totalmem } from 'node:os';
import type { AppConfig, Config } from '../config/config.ts';
import type { Answers } from '../config/question.ts';
import type { App } from './app.ts';
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

/** MiB of this host's memory that an app may count on: apps share it as their minimums do. */
export function memoryFor(id: string, answers: Answers, totalMiB = totalmem() / 1024 ** 2): number {
  const sum = String(answers['apps'] ?? id)
    .split(',')
    .reduce((total, one) => total + (APPS.find(({ id: known }) => known === one)?.minimum.memoryMiB ?? 0), 0);
  return (totalMiB * appOf(id).minimum.memoryMiB) / sum;
}
