/** A site as its users see it, and waits for activities of other servers. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { png } from '../../wizard/prove/activitypub.ts';
import { form } from '../../wizard/prove/browser.ts';
import { client, multipartFile } from '../../wizard/prove/http.ts';
import type { Client, Reply, RequestOptions } from '../../wizard/prove/http.ts';
import type { TestSite } from './site.ts';

const PATIENCE_MS = 60_000;

/** Polls until there is a result; throws if there is none in time. */
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

export interface Post {
  readonly content: string;
  readonly account: { readonly acct: string };
  readonly media_attachments: readonly { readonly url: string }[];
}

/** The owners of a site's apps, as API clients. */
export class Owners {
  /** Domain → the owner's token there. */
  readonly tokens = new Map<string, string>();
  readonly #site: TestSite;
  readonly #patience: number;
  constructor(site: TestSite, patience: number) {
    this.#site = site;
    this.#patience = patience;
  }
  async api(domain: string, path: string, options: RequestOptions = {}): Promise<Reply> {
    const headers = {
      ...options.headers,
      Accept: 'application/json',
      Authorization: `Bearer ${this.tokens.get(domain) ?? ''}`,
    };
    const reply = await visitor(this.#site)(`https://${domain}/api/${path}`, { ...options, headers });
    expect(reply.status, `${path}: ${reply.text().slice(0, 200)}`).toBe(200);
    return reply;
  }
  /** A post with a picture. */
  async post(domain: string, text: string): Promise<void> {
    const { headers, body } = multipartFile('file', 'red.png', 'image/png', png(64, [255, 0, 0]));
    const sent = await this.api(domain, 'v2/media', { method: 'POST', headers, body });
    const { id } = sent.json<{ id: string }>();
    await this.api(domain, 'v1/statuses', form({ status: text, visibility: 'public', 'media_ids[]': id }));
  }
  /** A post of another server in the owner's timeline. */
  arrives(domain: string, text: string): Promise<Post> {
    return until(
      `"${text}" at ${domain}`,
      async () =>
        (await this.api(domain, 'v1/timelines/home'))
          .json<Post[]>()
          .find(({ content, account }) => content.includes(text) && account.acct.includes('@')),
      this.#patience,
    );
  }
  async expectPicture({ media_attachments: [picture] }: Post): Promise<void> {
    const reply = await visitor(this.#site)(picture?.url ?? 'no picture');
    expect(reply.status).toBe(200);
    expect(String(reply.headers['content-type'])).toMatch(/^image\/png/);
  }
  /** Finds an account of another server by its handle. @returns its id and handle at `domain`. */
  async find(domain: string, handle: string): Promise<{ id: string; acct: string } | undefined> {
    const query = new URLSearchParams({ q: handle, type: 'accounts', resolve: 'true' });
    const found = await this.api(domain, `v2/search?${query}`);
    return found.json<{ accounts: { id: string; acct: string }[] }>().accounts[0];
  }
  /** Follows, and waits until the other server has accepted. */
  async follow(domain: string, handle: string): Promise<void> {
    const found = await this.find(domain, handle);
    expect(found?.acct).toBe(handle.slice(1));
    const id = found?.id ?? '';
    await this.api(domain, `v1/accounts/${id}/follow`, form({}));
    await until(
      'the agreement',
      async () =>
        (await this.api(domain, `v1/accounts/relationships?id[]=${id}`))
          .json<{ following: boolean }[]>()
          .find(({ following }) => following),
      this.#patience,
    );
  }
}
