/** The rendered Caddy and caches of a site, as containers, in front of a server that answers as a test says (origin.mjs). */
import { execFileSync } from 'node:child_process';
import http from 'node:http';
import https from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import { fileURLToPath } from 'node:url';
import { expect, vi } from 'vitest';
import { printCompose } from '../../wizard/stack/compose.ts';
import type { Service } from '../../wizard/stack/compose.ts';
import { needImages } from './acme.ts';
import { render } from './render.ts';
import { docker, wipe } from './site.ts';
import { tempFolder, writeTree } from './temp.ts';

export const WEB = 'web.example.org';
export const PIX = 'pix.example.org';

export interface Answer {
  readonly status?: number;
  /** `[name, value]`; a name may occur twice. */
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string;
  /** Length of a body of `x`. */
  readonly size?: number;
  /** Milliseconds. */
  readonly delay?: number;
  /** Closes the connection instead. */
  readonly crash?: boolean;
  /** Sends no length. */
  readonly chunked?: boolean;
}

/** What reached the app. */
export interface Received {
  readonly path: string;
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
}

export interface CachedSite {
  /** Says what the app answers from now on. */
  answer(path: string, answer: Answer): Promise<void>;
  /** Requests for that path that reached the app. */
  received(path: string): Promise<Received[]>;
  /** Through Caddy, in a separate connection. */
  get(path: string, headers?: Readonly<Record<string, string>>, how?: { host?: string; method?: string; body?: string | undefined }): Promise<Reply>; // prettier-ignore
  /** `docker compose` in its directory. */
  compose(...argv: string[]): string;
  /** Address of a container. */
  addressOf(service: string): string;
  /** What its health check runs. */
  health(service: string): string;
  readonly folder: string;
  remove(): void;
}

/** Uses a new connection: a kept one could be closed while the test waits for a program. */
const control = (url: string, body?: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const sent = http.request(
      url,
      { method: body === undefined ? 'GET' : 'PUT', agent: false },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(text)).on('error', reject);
      },
    );
    sent.on('error', reject).end(body);
  });

/** Starts it. @param more answers besides those of a usual site with Mastodon and Pixelfed */
export async function cachedSite(
  name: string,
  address: string,
  more: Readonly<Record<string, string>> = {},
): Promise<CachedSite> {
  needImages('caddy', 'nginx-cache', 'mastodon-streaming');
  wipe(name);
  const { files, compose: rendered } = await render(
    {
      name,
      bind: address,
      apps: 'mastodon,pixelfed',
      'tls.mode': 'acme',
      'mail.mode': 'none',
      'images.caddy': 'fedi-setup/caddy:trixie',
      'images.nginx': 'fedi-setup/nginx-cache:trixie',
      ...Object.fromEntries(
        ['mastodon', 'pixelfed'].flatMap((app) => [
          [`apps.${app}.domain`, app === 'mastodon' ? WEB : PIX],
          [`apps.${app}.size`, '4gb'],
          [`apps.${app}.admin`, 'anna'],
          [`apps.${app}.email`, 'anna@example.org'],
        ]),
      ),
      ...more,
    },
    { images: 'loaded' },
  );
  const folder = tempFolder();
  const app = (front: string): Service => ({
    image: 'fedi-setup/mastodon-streaming:trixie',
    entrypoint: ['node', '/origin.mjs'],
    command: [],
    init: true,
    volumes: [`${fileURLToPath(new URL('origin.mjs', import.meta.url))}:/origin.mjs:ro`],
    networks: { [front]: { aliases: ['mastodon_streaming'] } },
  });
  const kept = (service: string): Service => rendered.services[service]!;
  const compose = {
    ...rendered,
    services: {
      caddy: kept('caddy'),
      mastodon_uploads: kept('mastodon_uploads'),
      pixelfed_uploads: kept('pixelfed_uploads'),
      mastodon_web: app('mastodon_front'),
      pixelfed_web: app('pixelfed_front'),
    },
    volumes: {
      ...rendered.volumes,
      // A small disk, so that a test can fill it.
      mastodon_pages: {
        name: `${name}_mastodon_pages`,
        driver_opts: { type: 'tmpfs', device: 'tmpfs', o: 'size=16m,mode=1777' },
      },
    },
  };
  writeTree(folder, {
    ...Object.fromEntries(
      files
        .filter(({ path }) => /^(caddy|nginx)\//.test(path))
        // Space for less than the whole disk.
        .map(({ path, text }) => [path, String(text).replace('max_size=256m min_free=256m', 'max_size=8m')]),
    ),
    'caddy/tls/global.caddy': 'local_certs\n',
    'compose.yaml': printCompose(compose),
  });
  execFileSync('chmod', ['-R', 'a+rX', folder]);
  const run = (...argv: string[]): string =>
    execFileSync('docker', ['compose', ...argv], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }); // prettier-ignore
  run('up', '--detach');
  const id = (service: string): string => run('ps', '--all', '--quiet', service).trim();
  // `docker compose ps` is slow, and the addresses stay.
  const addresses = new Map<string, string>();
  const lookUp = (service: string): string =>
    docker('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}', id(service)).split(' ')[0] ?? ''; // prettier-ignore
  const addressOf = (service: string): string => {
    const known = addresses.get(service) ?? lookUp(service);
    addresses.set(service, known);
    return known;
  };
  const origins = (): string[] =>
    ['mastodon_web', 'pixelfed_web'].map((service) => `http://${addressOf(service)}:9000/`);
  const site: CachedSite = {
    folder,
    compose: run,
    addressOf,
    health: (service) => (kept(service)['healthcheck'] as { test: string[] }).test.at(-1) ?? '',
    answer: async (path, answer) => {
      for (const origin of origins()) await control(origin, JSON.stringify([{ path, ...answer }]));
    },
    received: async (path) => {
      const all = await Promise.all(
        origins().map(async (origin) => JSON.parse(await control(`${origin}?${path}`)) as Received[]),
      );
      return all.flat();
    },
    get: (path, headers = {}, { host = WEB, method = 'GET', body } = {}) =>
      new Promise((resolve, reject) => {
        const request = https.request(
          { host: address, servername: host, path, method, headers: { Host: host, ...headers }, rejectUnauthorized: false, agent: false, timeout: 60_000 }, // prettier-ignore
          (response) => {
            const chunks: Buffer[] = [];
            response.on('data', (chunk: Buffer) => chunks.push(chunk));
            response.on('end', () => {
              const whole = Buffer.concat(chunks);
              resolve({ status: response.statusCode ?? 0, headers: response.headers, body: whole, text: whole.toString() }); // prettier-ignore
            });
            response.on('error', reject);
          },
        );
        request.on('timeout', () => request.destroy(new Error('no answer')));
        request.on('error', reject);
        request.end(body);
      }),
    remove: () => wipe(name),
  };
  for (const host of [WEB, PIX])
    await vi.waitFor(async () => expect((await site.get('/start', {}, { host })).status).toBe(200), { timeout: 120_000, interval: 250 }); // prettier-ignore
  return site;
}
