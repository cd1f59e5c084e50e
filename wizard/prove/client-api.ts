/** A client of Mastodon's API, which other servers implement too. */
import { png } from './activitypub.ts';
import { form } from './browser.ts';
import { expectStatus, multipartFile } from './http.ts';
import type { Client, Reply } from './http.ts';
import { Skipped } from './proof.ts';

export const OUT_OF_BAND = 'urn:ietf:wg:oauth:2.0:oob';
export const SCOPES = 'read write';

export interface ClientApp {
  readonly client_id: string;
  readonly client_secret: string;
}

export class ClientApi {
  /** Access token; undefined: the log-in has not succeeded. */
  token: string | undefined;
  readonly #http: Client;
  readonly #base: string;
  /** @param base origin of the server, such as `https://social.example.org`. */
  constructor(http: Client, base: string) {
    this.#http = http;
    this.#base = base;
  }
  async register(): Promise<ClientApp> {
    const registered = await this.#http(
      `${this.#base}/api/v1/apps`,
      form({ client_name: 'fedi-setup', redirect_uris: OUT_OF_BAND, scopes: SCOPES }),
    );
    expectStatus(registered, 200, 'the registration of a client app');
    const { client_id, client_secret } = registered.json<ClientApp>();
    return { client_id, client_secret };
  }
  /** Query of the authorization request. */
  consent({ client_id }: ClientApp): Record<string, string> {
    return { client_id, redirect_uri: OUT_OF_BAND, response_type: 'code', scope: SCOPES };
  }
  /** Exchanges an authorization code for a token. */
  async exchange(client: ClientApp, code: string): Promise<string> {
    const granted = await this.#http(
      `${this.#base}/oauth/token`,
      form({ grant_type: 'authorization_code', code, redirect_uri: OUT_OF_BAND, scope: SCOPES, ...client }),
    );
    expectStatus(granted, 200, 'the token');
    return granted.json<{ access_token: string }>().access_token;
  }
  signedIn(): string {
    if (this.token === undefined) throw new Skipped('the log-in failed');
    return this.token;
  }
  bearer(): Record<string, string> {
    return { Authorization: `Bearer ${this.signedIn()}`, Accept: 'application/json' };
  }
  call(method: string, path: string, fields?: Readonly<Record<string, string>>): Promise<Reply> {
    const { headers, body } = fields === undefined ? {} : form(fields);
    return this.#http(`${this.#base}${path}`, {
      method,
      headers: { ...headers, ...this.bearer() },
      ...(body === undefined ? {} : { body }),
    });
  }
  /** @param picture PNG. */
  upload(path: string, picture: Buffer): Promise<Reply> {
    const { headers, body } = multipartFile('file', 'fedi-setup.png', 'image/png', picture);
    return this.#http(`${this.#base}${path}`, {
      method: 'POST',
      headers: { ...headers, ...this.bearer() },
      body,
    });
  }
  /** Sends a request with the revoked token, which must be rejected. @param refusal describes the rejection in a reply, if there is one */
  async expectRevoked(refusal = refusedBy(401, 403, 422)): Promise<string> {
    const again = await this.call('GET', '/api/v1/accounts/verify_credentials');
    if (again.status === 200) throw new Error('the revoked token still works');
    const how = refusal(again);
    if (how === undefined) throw new Error(`with the revoked token it answers ${again.status}`);
    return `the old token is refused (${how})`;
  }
}

/** Recognises a reply with one of these status codes as a rejected token. */
export const refusedBy =
  (...statuses: number[]) =>
  ({ status }: Reply): string | undefined =>
    statuses.includes(status) ? String(status) : undefined;

/** The uploaded picture, in Mastodon's blue. */
export const picture = (size: number): Buffer => png(size, [99, 100, 255]);
