/**
 * What the cache is worth: anonymous pages, uploads and scripts through the rendered Caddy and nginx, beside an nginx of the kind that
 * Mastodon's own configuration describes, and the second Caddy that served uploads before. Ratios of medians of rounds that
 * alternate; h2load runs in Caddy's network, so that no port mapping is measured. `scripts/bench cache`
 */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WEB, cachedSite } from '../support/cached-site.ts';
import type { CachedSite } from '../support/cached-site.ts';
import { docker } from '../support/site.ts';
import { tempFolder, writeTree } from '../support/temp.ts';

const NAME = 'bench-cache';
const ROUNDS = 5;
const REQUESTS = 2000;
const CONNECTIONS = 16;
const SCRIPT = '/packs/account-DSmD8tE6.js';
const MAY_BE_KEPT: [string, string] = ['Cache-Control', 'public, max-age=600'];

/** One hop with TLS, a cache and the uploads, by the rules of upstream's sample. */
const UPSTREAM = `
worker_processes auto;
events { worker_connections 1024; }
http {
  proxy_cache_path /tmp/cache levels=1:2 keys_zone=CACHE:10m inactive=7d max_size=1g;
  access_log off;
  sendfile on;
  resolver 127.0.0.11;
  gzip on; gzip_proxied any; gzip_comp_level 6; gzip_types application/json application/activity+json;
  server {
    listen 443 ssl;
    listen 8443 ssl;
    http2 on;
    ssl_certificate /etc/own/cert.pem;
    ssl_certificate_key /etc/own/key.pem;
    location /system/ { root /srv; }
    location /packs/ { root /srv/assets; gzip_static on; }
    location / {
      set $app mastodon_web:3000;
      proxy_pass http://$app;
      proxy_set_header Host $host;
      proxy_http_version 1.1;
      proxy_cache CACHE;
      proxy_cache_valid 200 7d;
      proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;
    }
  }
}
`;

/** Text that compresses to about half. */
const bodyOf = (lines: number): string =>
  Array.from({ length: lines }, (_, i) => `<p>a line of a page ${((i * 2_654_435_761) % 4_294_967_296).toString(36)}</p>\n`).join(''); // prettier-ignore

let site: CachedSite;
const started: string[] = [];
beforeAll(async () => {
  site = await cachedSite(NAME, '127.0.0.186');
  const own = tempFolder();
  writeTree(own, { 'nginx.conf': UPSTREAM });
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${WEB}`, '-keyout', `${own}/key.pem`, '-out', `${own}/cert.pem`], { stdio: 'ignore' }); // prettier-ignore
  execFileSync('chmod', ['-R', 'a+rX', own]);
  docker('run', '--rm', '--volume', `${NAME}_mastodon_system:/v`, 'fedi-setup/nginx-cache:trixie', 'sh', '-c', 'head -c 200000 /dev/urandom >/v/picture.jpg; chmod -R a+rX /v'); // prettier-ignore
  const run = (name: string, ...argv: string[]): void => {
    started.push(`${NAME}-${name}`);
    docker('run', '--detach', '--name', `${NAME}-${name}`, '--label', `com.docker.compose.project=${NAME}`, '--network', `${NAME}_mastodon_front`, '--volume', `${NAME}_mastodon_system:/srv/system:ro`, ...argv); // prettier-ignore
  };
  run('upstream', '--volume', `${own}:/etc/own:ro`, '--volume', `${NAME}_mastodon_assets:/srv/assets:ro`, 'fedi-setup/nginx-cache:trixie', 'nginx', '-c', '/etc/own/nginx.conf', '-g', 'daemon off;'); // prettier-ignore
  // The second Caddy, as it was, and a Caddy in front of it.
  run('second', '--network-alias', 'second', 'fedi-setup/caddy:trixie', 'caddy', 'file-server', '--root', '/srv', '--listen', ':8080', '--no-compress'); // prettier-ignore
  writeTree(own, { Caddyfile: `{\n\tlocal_certs\n\tskip_install_trust\n}\nhttps://${WEB} {\n\treverse_proxy second:8080\n}\n` }); // prettier-ignore
  execFileSync('chmod', ['-R', 'a+rX', own]);
  run('before', '--volume', `${own}:/etc/caddy:ro`, 'fedi-setup/caddy:trixie', 'caddy', 'run', '--config', '/etc/caddy/Caddyfile', '--adapter', 'caddyfile'); // prettier-ignore
  // A script as Mastodon has them, with its compressed copy, and a Caddy that does nothing else.
  docker('run', '--rm', '--volume', `${NAME}_mastodon_assets:/v`, 'fedi-setup/nginx-cache:trixie', 'sh', '-c', `mkdir -p /v/packs && head -c 12000 /dev/urandom | base64 >/v${SCRIPT} && gzip --keep --force /v${SCRIPT} && chmod -R a+rX /v`); // prettier-ignore
  const files = tempFolder();
  writeTree(files, { Caddyfile: `{\n\tlocal_certs\n\tskip_install_trust\n}\nhttps://${WEB} {\n\troot * /srv/assets\n\tfile_server {\n\t\tprecompressed gzip\n\t}\n}\n` }); // prettier-ignore
  execFileSync('chmod', ['-R', 'a+rX', files]);
  run('files', '--volume', `${NAME}_mastodon_assets:/srv/assets:ro`, '--volume', `${files}:/etc/caddy:ro`, 'fedi-setup/caddy:trixie', 'caddy', 'run', '--config', '/etc/caddy/Caddyfile', '--adapter', 'caddyfile'); // prettier-ignore
  // A page as large as Mastodon's, which takes about as long.
  for (const path of ['/', '/nodeinfo/2.0'])
    await site.answer(path, { headers: [MAY_BE_KEPT, ['Content-Type', path === '/' ? 'text/html; charset=utf-8' : 'application/json']], body: bodyOf(path === '/' ? 1200 : 40), delay: 20 }); // prettier-ignore
}, 300_000);
afterAll(() => {
  for (const name of started) docker('rm', '--force', '--volumes', name);
  site?.remove();
});

/** Requests a second. */
function load(address: string, path: string, headers: readonly string[] = [], requests = REQUESTS): number {
  const printed = execFileSync('h2load', ['--h1', `--requests=${requests}`, `--clients=${CONNECTIONS}`, '--threads=1', `--connect-to=${address}:443`, '--header=Accept-Encoding: gzip', ...headers.map((one) => `--header=${one}`), `https://${WEB}${path}`], { encoding: 'utf8' }); // prettier-ignore
  expect(printed).toMatch(new RegExp(`${requests} succeeded, 0 failed`));
  expect(printed).toMatch(new RegExp(`status codes: ${requests} 2xx`));
  return Number(/([\d.]+) req\/s/.exec(printed)?.[1]);
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0; // prettier-ignore
const addressOf = (name: string): string => docker('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', `${NAME}-${name}`); // prettier-ignore

test('ratios', { timeout: 600_000 }, () => {
  const ours = site.addressOf('caddy');
  const [upstream, before, files] = [addressOf('upstream'), addressOf('before'), addressOf('files')];
  const ways: Record<string, Record<string, () => number>> = {
    '/': {
      ours: () => load(ours, '/'),
      'without the cache': () => load(ours, '/', ['Cookie: x=1'], 200),
      'upstream’s nginx': () => load(upstream, '/'),
    },
    '/nodeinfo/2.0': {
      ours: () => load(ours, '/nodeinfo/2.0'),
      'without the cache': () => load(ours, '/nodeinfo/2.0', ['Cookie: x=1'], 200),
      'upstream’s nginx': () => load(upstream, '/nodeinfo/2.0'),
    },
    'a picture of 200 kB': {
      ours: () => load(ours, '/system/picture.jpg'),
      'two Caddies': () => load(before, '/system/picture.jpg'),
      'upstream’s nginx': () => load(upstream, '/system/picture.jpg'),
    },
    'a script of 16 kB': {
      ours: () => load(ours, SCRIPT),
      'a bare Caddy': () => load(files, SCRIPT),
      'upstream’s nginx': () => load(upstream, SCRIPT),
    },
  };
  const lines = [`requests a second: median (lowest to highest) of ${ROUNDS} rounds; ours / theirs`];
  for (const [what, how] of Object.entries(ways)) {
    const results = Object.fromEntries(Object.keys(how).map((name) => [name, [] as number[]]));
    for (let round = 0; round < ROUNDS; round++)
      for (const [name, run] of Object.entries(how)) results[name]?.push(run());
    for (const [name, values] of Object.entries(results)) {
      const ratio = name === 'ours' ? '' : (median(results['ours'] ?? []) / median(values)).toFixed(2);
      lines.push(`${what.padEnd(20)} ${name.padEnd(18)} ${String(Math.round(median(values))).padStart(6)} (${Math.round(Math.min(...values))} to ${Math.round(Math.max(...values))}) ${ratio}`); // prettier-ignore
    }
  }
  const memory = (container: string): string => docker('stats', '--no-stream', '--format', '{{.MemUsage}}', container).split(' ')[0] ?? ''; // prettier-ignore
  lines.push(`memory afterwards: nginx ${memory(`${NAME}-mastodon_uploads-1`)}, the second Caddy ${memory(`${NAME}-second`)}`); // prettier-ignore
  process.stdout.write(`\n${lines.join('\n')}\n`);
});
