/** Looking at a site as its people do, and waiting for what other servers send. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import type { Client } from '../../wizard/prove/http.ts';
import type { TestSite } from './site.ts';

const PATIENCE_MS = 60_000;

/** Looks until there is something; an error when nothing comes. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
  patience = PATIENCE_MS,
): Promise<T> {
  const deadline = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`never came: ${what}`);
    await delay(500);
  }
}

export const visitor = (site: TestSite): Client => client(site.bind, site.read('trust/root.crt'));

/** A token of snac's API for anna. */
export async function snacToken(site: TestSite, password: string): Promise<string> {
  const reply = await visitor(site)(`https://${site.domain}/oauth/x-snac-get-token`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ login: 'anna', passwd: password }).toString(),
  });
  expect(reply.status).toBe(200);
  return reply.text().trim();
}
