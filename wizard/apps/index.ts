/** The apps there are. A new one is a file beside this one and a line here. */
import { availableParallelism, totalmem } from 'node:os';
import type { Answers } from '../config/question.ts';
import type { App, Load, Share } from './app.ts';
import { mastodon } from './mastodon.ts';
import { pixelfed } from './pixelfed.ts';
import { snac } from './snac.ts';

/** In the order they are offered; the first is the lab's. */
const all = { snac, mastodon, pixelfed } as const;

export type AppId = keyof typeof all;

export const APPS: Readonly<Record<AppId, App>> = all;

export const APP_IDS = Object.keys(all) as AppId[];

const idsOf = (answers: Answers): AppId[] =>
  String(answers['apps'] ?? '')
    .split(',')
    .filter((id): id is AppId => id in all);

/** The part of this host that an app may count on: apps share its memory as their minimums do, its cores likewise. */
export function shareOf(
  id: AppId,
  answers: Answers,
  host: Share = { memoryMiB: totalmem() / 1024 ** 2, cores: availableParallelism() },
): Share {
  const ids = idsOf(answers);
  const part = (what: 'memoryMiB' | 'cores'): number => {
    const sum = (ids.length > 0 ? ids : [id]).reduce((total, one) => total + APPS[one].minimum[what], 0);
    // What asks for nothing has the whole: it is in nobody's way.
    return APPS[id].minimum[what] === 0 ? host[what] : (host[what] * APPS[id].minimum[what]) / sum;
  };
  return { memoryMiB: part('memoryMiB'), cores: part('cores') };
}

/** What each app of the site takes of the host, as it is tuned. */
export function loadsOf(answers: Answers): (Load & { readonly id: AppId })[] {
  return idsOf(answers).map((id) => ({
    id,
    ...(APPS[id].load?.(answers) ?? { memoryMiB: APPS[id].minimum.memoryMiB, processes: 1 }),
  }));
}
