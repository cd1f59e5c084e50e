/** Accounts and posts of an app by NodeInfo, which every app answers, whichever database it has. */
import { namesOf } from '../apps/index.ts';
import { rootsOf } from '../checks/site.ts';
import { ingressAddress } from '../config/config.ts';
import type { AppConfig, Config } from '../config/config.ts';
import type { People } from '../last-reading.ts';
import { LIMITS, client } from '../prove/http.ts';
import type { Client, Reply, RequestOptions } from '../prove/http.ts';

/** One request; see {@link Client}. */
export type Ask = (url: string, options?: RequestOptions) => Promise<Reply>;

/** Longest reply in bytes. */
const MOST = 64 * 1024;

/** A client that reaches this site's Caddy, by its address where the names need not be in the DNS. @param ms limit of each reply */
export async function siteClient(folder: string, config: Config, ms: number): Promise<Client> {
  const { tls } = config;
  const root = await rootsOf(folder, config);
  return client(tls.proxy === undefined ? ingressAddress(config) : undefined, root, undefined, {
    ...LIMITS,
    idleMs: ms,
    wholeMs: ms,
    bodyBytes: MOST,
  });
}

const count = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;

const part = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;

/** The figures in a NodeInfo document (2.0 and 2.1). */
export function peopleIn(document: unknown): People {
  const usage = part(document, 'usage');
  const users = part(usage, 'users');
  const version = part(part(document, 'software'), 'version');
  return {
    accounts: count(part(users, 'total')),
    active: count(part(users, 'activeMonth')),
    posts: count(part(usage, 'localPosts')),
    version: typeof version === 'string' ? version.replace(/^v/, '').slice(0, 40) : undefined,
  };
}

/** Asks an app; undefined: no answer, or none that is NodeInfo of this site. */
export async function askPeople(http: Ask, app: AppConfig): Promise<People | undefined> {
  const names = namesOf(app);
  // The last one is that of the pages.
  const name = names.at(-1) ?? app.domain;
  try {
    const index = await http(`https://${name}/.well-known/nodeinfo`, { most: MOST });
    if (index.status !== 200) return undefined;
    const links = part(index.json<unknown>(), 'links');
    const href: unknown = Array.isArray(links) ? part(links.at(-1), 'href') : undefined;
    // What a document names is not asked unless it is a page of this app.
    if (typeof href !== 'string' || !URL.canParse(href)) return undefined;
    const { protocol, hostname, pathname } = new URL(href);
    if (protocol !== 'https:' || !names.includes(hostname)) return undefined;
    const reply = await http(`https://${hostname}${pathname}`, { most: MOST });
    return reply.status === 200 ? peopleIn(reply.json<unknown>()) : undefined;
  } catch {
    return undefined;
  }
}
