/** The apps there are. A new one is a file beside this one and a line here. */
import type { App } from './app.ts';
import { mastodon } from './mastodon.ts';
import { snac } from './snac.ts';

/** In the order they are offered; the first is the lab's. */
const all = { snac, mastodon } as const;

export type AppId = keyof typeof all;

export const APPS: Readonly<Record<AppId, App>> = all;

export const APP_IDS = Object.keys(all) as AppId[];
