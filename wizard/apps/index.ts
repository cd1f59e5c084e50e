/** The apps there are. A new one is a file beside this one and a line here. */
import type { App } from './app.ts';
import { snac } from './snac.ts';

const all = { snac } as const;

export type AppId = keyof typeof all;

export const APPS: Readonly<Record<AppId, App>> = all;

export const APP_IDS = Object.keys(all) as AppId[];
