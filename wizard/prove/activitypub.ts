/** Proofs that all fediverse servers share: how other servers find the server and its accounts. */
import { crc32, deflateSync } from 'node:zlib';
import type { AppConfig } from '../config/config.ts';
import { messageOf } from '../problem.ts';
import { expectStatus } from './http.ts';
import type { Client, Reply } from './http.ts';
import { Down } from './proof.ts';
import type { Proof } from './proof.ts';

/** Follows one redirect to an HTTPS URL, as other servers do (RFC 7033, 4.2): the handles may have another domain than the pages. */
async function discover(http: Client, url: string): Promise<Reply> {
  const reply = await http(url);
  const target = String(reply.headers['location'] ?? '');
  return reply.status >= 300 && reply.status <= 399 && target.startsWith('https://') ? http(target) : reply;
}

/** URL of an account's actor: the `self` link of its WebFinger record (RFC 7033). */
export async function actorOf(http: Client, app: AppConfig): Promise<string> {
  const reply = await discover(
    http,
    `https://${app.domain}/.well-known/webfinger?resource=acct:${app.admin}@${app.domain}`,
  );
  expectStatus(reply, 200, 'WebFinger');
  const record = reply.json<{ subject?: string; links?: { rel?: string; type?: string; href?: string }[] }>();
  const self = record.links?.find(
    (link) => link.rel === 'self' && link.type?.includes('activity+json'),
  )?.href;
  if (self === undefined)
    throw new Error(`the WebFinger record has no actor: ${JSON.stringify(record).slice(0, 100)}`);
  if (new URL(self).protocol !== 'https:') throw new Error(`the actor is at ${self}, which is not HTTPS`);
  return self;
}

/**
 * @param service that serves the app's pages
 * @param pages domain of the pages, if another web server serves the app's domain and redirects WebFinger there
 */
export function discoveryProofs(
  http: Client,
  app: AppConfig,
  software: string,
  service: string,
  pages?: string,
): Proof[] {
  const site = pages ?? app.domain;
  const findActor = (): Promise<string> =>
    actorOf(http, app).catch((error: unknown) => {
      if (pages === undefined) throw error;
      throw new Error(
        `${messageOf(error).replace(/\.$/, '')}. The web server of ${app.domain} must redirect https://${app.domain}/.well-known/webfinger to https://${pages}/.well-known/webfinger and keep what follows the ?`,
        { cause: error },
      );
    });
  return [
    {
      id: 'https',
      title: 'HTTPS, and HTTP redirects to it',
      needs: [service],
      run: async () => {
        const reply = await http(`https://${site}/`).catch((error: unknown) => {
          throw new Down(messageOf(error), { cause: error });
        });
        if (reply.status >= 500) throw new Down(`the front page answered ${reply.status}`);
        if (reply.status >= 400) throw new Error(`the front page answered ${reply.status}`);
        if (reply.status >= 300 && reply.headers['location'] === `https://${site}/`)
          throw new Error(`https://${site}/ redirects to itself`);
        if (reply.status === 200 && reply.body.length === 0) throw new Error('the front page is empty');
        const plain = await http(`http://${site}/`);
        const target = String(plain.headers['location'] ?? '');
        if (plain.status < 300 || plain.status > 399 || !target.startsWith(`https://${site}`)) {
          throw new Error(
            `http://${site} answered ${plain.status} ${target} instead of redirecting to HTTPS`,
          );
        }
        return `https://${site} answers ${reply.status}, http:// redirects to it (${plain.status})`;
      },
    },
    {
      id: 'webfinger',
      title: `WebFinger of @${app.admin}@${app.domain}`,
      run: findActor,
    },
    {
      id: 'nodeinfo',
      title: 'NodeInfo',
      run: async () => {
        const index = await discover(http, `https://${site}/.well-known/nodeinfo`);
        expectStatus(index, 200, 'NodeInfo');
        const href = index.json<{ links?: { href?: string }[] }>().links?.at(-1)?.href;
        if (href === undefined) throw new Error('the NodeInfo index has no links');
        const reply = await http(href);
        expectStatus(reply, 200, 'the NodeInfo document');
        const info = reply.json<{ software?: { name?: string; version?: string } }>();
        if (info.software?.name !== software)
          throw new Error(`it reports ${info.software?.name ?? 'no software'}, not ${software}`);
        return `${info.software.name} ${info.software.version ?? '?'}`;
      },
    },
    {
      id: 'actor',
      title: `Actor of ${app.admin}, as other servers fetch it`,
      run: async () => {
        const url = await findActor();
        const reply = await http(url, { headers: { Accept: 'application/activity+json' } });
        expectStatus(reply, 200, 'the actor');
        const actor = reply.json<{ id?: string; inbox?: string; publicKey?: { publicKeyPem?: string } }>();
        if (actor.id !== url) throw new Error(`the actor at ${url} has the id ${actor.id ?? '(none)'}`);
        if (!actor.publicKey?.publicKeyPem?.includes('PUBLIC KEY'))
          throw new Error('the actor has no public key');
        if (actor.inbox === undefined) throw new Error('the actor has no inbox');
        return 'id, inbox and public key are there';
      },
    },
  ];
}

/** A PNG in one colour, `size` × `size` pixels, for upload proofs. */
export function png(size: number, [red, green, blue]: readonly [number, number, number]): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(data.length);
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const row = Buffer.concat([
    Buffer.from([0]),
    Buffer.concat(Array.from({ length: size }, () => Buffer.from([red, green, blue]))),
  ]);
  const pixels = deflateSync(Buffer.concat(Array.from({ length: size }, () => row)));
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
