/** The apps there are. A new one is a file beside this one and a line here. */
import { totalmem } from 'node:os';
import type { Answers } from '../config/question.ts';
import type { App } from './app.ts';
import { mastodon } from './mastodon.ts';
import { pixelfed } from './pixelfed.ts';
import { snac } from './snac.ts';

/** In the order they are offered; the first is the lab's. */
const all = { snac, mastodon, pixelfed } as const;

export type AppId = keyof typeof all;

export const APPS: Readonly<Record<AppId, App>> = all;

export const APP_IDS = Object.keys(all) as AppId[];

/** MiB of this host's memory that an app may count on: apps share it as their minimums do. */
export function memoryFor(id: AppId, answers: Answers, totalMiB = totalmem() / 1024 ** 2): number {
  const sum = String(answers['apps'] ?? id)
    .split(',')
    .reduce((total, one) => total + (APPS[one as AppId]?.minimum.memoryMiB ?? 0), 0);
  return (totalMiB * APPS[id].minimum.memoryMiB) / sum;
}
