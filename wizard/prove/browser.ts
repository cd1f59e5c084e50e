/** A minimal browser: it keeps cookies and sends forms. */
import type { Client, Reply, RequestOptions } from './http.ts';

/** A form as a browser sends it. */
export const form = (fields: Readonly<Record<string, string>>): RequestOptions => ({
  method: 'POST',
  headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
  body: new URLSearchParams(fields).toString(),
});

export class Browser {
  readonly #http: Client;
  readonly #origin: string;
  readonly #cookies = new Map<string, string>();
  /** @param base URL of the one server that it visits: cookies are sent to no other */
  constructor(http: Client, base: string) {
    this.#http = http;
    this.#origin = new URL(base).origin;
  }
  /** Throws if the URL is on another server. */
  async visit(url: string, options: RequestOptions = {}): Promise<Reply> {
    const { origin } = new URL(url);
    if (origin !== this.#origin)
      throw new Error(`${this.#origin} redirects the log-in to another server, ${origin}`);
    const reply = await this.#http(url, {
      ...options,
      headers: {
        ...options.headers,
        Cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '),
      },
    });
    for (const cookie of [reply.headers['set-cookie'] ?? []].flat()) {
      const [pair = ''] = cookie.split(';');
      this.#cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
    }
    return reply;
  }
}

/** Hidden fields of a page's first POST form, such as a CSRF token. */
export function hiddenFields(page: Reply): Record<string, string> {
  const html = page.text();
  const one = /<form[^>]*method="post"[\s\S]*?<\/form>/i.exec(html)?.[0];
  if (one === undefined) throw new Error('the page has no form to fill in');
  const fields: Record<string, string> = {};
  for (const [input] of one.matchAll(/<input[^>]*type="hidden"[^>]*>/gi)) {
    const name = /\bname="([^"]+)"/.exec(input)?.[1];
    if (name !== undefined) fields[name] = /\bvalue="([^"]*)"/.exec(input)?.[1] ?? '';
  }
  return fields;
}
