/** Whether the apps of a site work: requests as visitors and other servers send them, and the containers behind. */
import { namesOf } from '../apps/index.ts';
import { isUnfinished } from '../apply/unfinished.ts';
import { isInMaintenance } from '../apply/upgrading.ts';
import { servicesOf } from '../checks/site.ts';
import type { AppConfig, Config } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { until } from '../prove/proof.ts';
import type { Seen } from '../uptime-record.ts';
import { askPeople, siteClient } from './people.ts';
import type { Ask } from './people.ts';
import { listServices } from './services.ts';
import type { ListedService } from './state.ts';

/** Limit of each reply. */
const ANSWER_MS = 20_000;
/** An app that does not answer is tried again: it may just be restarting. */
const PATIENCE_MS = 8000;
const AGAIN_MS = 4000;

interface Site {
  readonly folder: string;
  readonly config: Config;
  readonly engine: Engine;
}

/** What a check found, and for the log why an app does not work. */
export type Found = Seen & { readonly why?: string };

/** By app. Changes nothing, and takes no lock. */
export async function tryApps({ folder, config, engine }: Site, now: Date): Promise<Record<string, Found>> {
  const http = pastCache(await siteClient(folder, config, ANSWER_MS));
  const isRestored = await isUnfinished(folder);
  const found = await Promise.all(
    config.apps.map(async (app): Promise<[string, Found]> => {
      if (isRestored || (await isInMaintenance(folder, app.id))) return [app.id, { state: 'maintenance' }];
      return [app.id, await patiently(() => answerOf(http, app))];
    }),
  );
  const services = await listed(folder, config, engine, now);
  return Object.fromEntries(found.map(([id, seen]) => [id, withContainers(id, seen, services)]));
}

/** The cache may answer while the app is down, but no request with a cookie. */
const pastCache =
  (http: Ask): Ask =>
  (url, options) =>
    http(url, { ...options, headers: { ...options?.headers, Cookie: 'check=1' } });

/** The first answer without a failure, or the last one. */
async function patiently(look: () => Promise<Found>): Promise<Found> {
  let last = await look();
  if (last.state === 'up') return last;
  return until(PATIENCE_MS, AGAIN_MS, 'still', async () => {
    last = await look();
    return last.state === 'up' ? last : undefined;
  }).catch(() => last);
}

/**
 * The record of its admin for other servers (WebFinger), which is in its database, and NodeInfo. Any answer of the app counts, even
 * that there is no such account: it may have been deleted.
 */
async function answerOf(http: Ask, app: AppConfig): Promise<Found> {
  const name = namesOf(app).at(-1) ?? app.domain;
  const account = encodeURIComponent(`acct:${app.admin}@${app.domain}`);
  const [finger, people] = await Promise.all([
    http(`https://${name}/.well-known/webfinger?resource=${account}`).then(
      ({ status }) => (status < 500 ? undefined : `WebFinger: ${status}`),
      (error: unknown) => `WebFinger: ${error instanceof Error ? error.message : String(error)}`,
    ),
    askPeople(http, app),
  ]);
  const version = people?.version;
  if (finger === undefined && people !== undefined) return { state: 'up', version };
  if (finger !== undefined && people === undefined) return { state: 'down', why: finger };
  return { state: 'partly', version, why: finger ?? 'NodeInfo: no answer' };
}

/** None if Docker does not answer: the pages decide then. */
async function listed(folder: string, config: Config, engine: Engine, now: Date): Promise<ListedService[]> {
  try {
    const wanted = await servicesOf(folder);
    return wanted === undefined
      ? []
      : listServices(wanted, await engine.containers(config.name), config, now);
  } catch {
    return [];
  }
}

/** Pages may open while a container that delivers posts is stopped. */
export function withContainers(id: string, seen: Found, services: readonly ListedService[]): Found {
  if (seen.state !== 'up') return seen;
  const fault = services.find((one) => one.app === id && one.fault !== null);
  return fault === undefined
    ? seen
    : { ...seen, state: 'partly', why: `${fault.service} ${fault.fault ?? ''}` };
}
