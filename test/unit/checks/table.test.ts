/** Every check of the table, on a healthy host and on hosts with one defect. */
import { describe, expect, test } from 'vitest';
import { CHECKS } from '../../../wizard/checks/table.ts';
import type { BackupRecord, RepositoryRecord } from '../../../wizard/backup-record.ts';
import type { CheckContext } from '../../../wizard/checks/check.ts';
import type { Container } from '../../../wizard/docker/engine.ts';
import type { Goodbyes } from '../../../wizard/goodbye-record.ts';
import { EXIT, Problem } from '../../../wizard/problem.ts';
import type { Published } from '../../../wizard/docker/engine.ts';
import { contextOf, runCheck } from '../../support/checks.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

const GIB = 1024 ** 3;
const space = (freeBytes: number, freeInodes = 1e6, inodes = 2e6) => ({
  host: { space: async () => ({ freeBytes, freeInodes, inodes }) },
});
const at = (seconds: number) => ({ host: { dateAt: async () => new Date(seconds * 1000) } });
const NOW = 1_800_000_000;
const now = (): Date => new Date(NOW * 1000 + 500);
const published = (digest: string, platforms = ['linux/amd64']): Published => ({ digest, platforms });
const PULLS = ['docker.io/library/caddy:2.11.4', 'docker.io/axllent/mailpit:v1', 'ghcr.io/a/b:1'];
const caddyRuns = { service: 'caddy', state: 'running', id: '1', ports: [] } as unknown as Container;
const curl = (code: number, stderr = '') => ({
  caddy: 'caddy@sha256:0',
  engine: { run: async () => ({ code, stdout: '', stderr }) },
});
const WITHOUT = new Problem(EXIT.PREFLIGHT, 'Docker is not installed.', {
  means: 'No.',
  next: 'Install it.',
});

const uploads = (stdout: string, code = 0): CheckContext =>
  contextOf(
    {
      apps: 'pixelfed',
      'apps.pixelfed.domain': 'pix.example.org',
      'apps.pixelfed.admin': 'anna',
      'apps.pixelfed.email': 'anna@example.org',
    },
    {
      images: { pixelfed: 'pixelfed:1' },
      engine: {
        volume: async () => ({ device: undefined }),
        run: async () => ({ code, stdout, stderr: '' }),
      },
    },
  );
/** A site with goodbyes. */
const goodbye = (states: Goodbyes): CheckContext => {
  const folder = tempFolder();
  writeTree(folder, { '.fedi/goodbye.json': JSON.stringify(states) });
  return contextOf({}, { folder, exists: true });
};
const MEDIA_BUCKET = { endpoint: 'https://s3.example.org', name: 'media' };
const movedMedia = (record: Readonly<Record<string, unknown>>): CheckContext => {
  const folder = tempFolder();
  writeTree(folder, { '.fedi/media.json': JSON.stringify(record) });
  return contextOf({}, { folder, exists: true });
};
/** A site with a status page, the last check so many minutes ago, and with a timer or not. */
const pageSite = (minutes: number | undefined, checks: boolean): CheckContext => {
  const folder = tempFolder();
  writeTree(folder, {
    ...(minutes === undefined
      ? {}
      : { '.fedi/uptime.json': JSON.stringify({ at: hoursAgo(minutes / 60), apps: {} }) }),
    '.fedi/backups.json': JSON.stringify({
      repositories: {},
      timer: { by: 'cron', version: '1.0.0', ...(checks ? { checks } : {}) },
    }),
  });
  return contextOf({ 'status.page': 'on' }, { folder, now });
};
/** A site with compose.yaml, and curl's output for the addresses. */
const metadata = (stdout: string): CheckContext => {
  const folder = tempFolder();
  writeTree(folder, {
    'compose.yaml':
      'services: { caddy: { networks: { edge: {} } }, snac: { networks: { snac_front: {}, snac_mail: {} } } }\nnetworks: { edge: {}, snac_front: {}, snac_mail: { internal: true } }\n',
  });
  return contextOf(
    {},
    {
      folder,
      exists: true,
      caddy: 'caddy:1',
      engine: { run: async () => ({ code: 28, stdout, stderr: '' }) },
    },
  );
};
const THREE = {
  apps: 'snac,mastodon,pixelfed',
  ...Object.fromEntries(
    ['mastodon', 'pixelfed'].flatMap((id) => [
      [`apps.${id}.domain`, `${id}.example.org`],
      [`apps.${id}.admin`, 'anna'],
      [`apps.${id}.email`, 'anna@example.org'],
    ]),
  ),
  'apps.mastodon.size': '2gb',
  'apps.mastodon.sidekiq': 'split',
  'apps.pixelfed.size': '4gb',
};

/** Check, fault, context, level and message of the finding; no level: evidence only. */
type Row = [
  id: string,
  wrong: string,
  context: CheckContext,
  level: 'advice' | 'blocker' | 'warning' | '',
  words: RegExp,
];

/** A site on the disk, with or without its data volume and its secrets. */
function dataSite(hasVolume: boolean, hasSecrets: boolean): CheckContext {
  const folder = tempFolder();
  writeTree(folder, {
    'compose.yaml': 'name: fedi\nx-data: { snac: the volume fedi_snac_data }\nservices: { snac: {} }\n',
    ...(hasSecrets ? { 'secrets.json': '{"version":1,"secrets":{}}' } : {}),
  });
  return contextOf(
    {},
    { folder, engine: { volume: async () => (hasVolume ? { device: undefined } : undefined) } },
  );
}

/** A site with Mastodon whose PostgreSQL has this tag, and the volumes of the site. */
const databases = (tag: string, volumes: readonly string[]): CheckContext =>
  contextOf(
    { ...THREE, apps: 'mastodon' },
    {
      images: { postgres: `docker.io/library/postgres:${tag}@sha256:1` },
      caddy: 'caddy',
      engine: {
        volumes: async () => [...volumes],
        run: async () => ({ code: 0, stdout: '72704\t/data\n', stderr: '' }),
      },
    },
  );

/** A site with Mastodon whose Valkey has this tag. */
const valkey = (tag: string): CheckContext =>
  contextOf(
    { ...THREE, apps: 'mastodon' },
    { images: { valkey: `docker.io/valkey/valkey:${tag}@sha256:1` } },
  );

const TODAY = new Date(NOW * 1000).toISOString();
const hoursAgo = (hours: number): string => new Date((NOW - hours * 3600) * 1000).toISOString();
const LAST: RepositoryRecord = { id: 'a', last: { at: hoursAgo(3), snapshot: 'b', bytes: 1 } };
const TIMER = { timer: { by: 'cron', version: '1.0.0' }, maintained: TODAY };
const TESTED = { sheet: TODAY, drill: { at: TODAY, ok: true }, ...TIMER };

/** A site with this record of its repository. */
function backed(
  repository: RepositoryRecord | undefined,
  record: Omit<BackupRecord, 'repositories'>,
  to: string | undefined = repository && '/mnt/a',
): CheckContext {
  const folder = tempFolder();
  const repositories = repository === undefined ? {} : { '/mnt/a': repository };
  writeTree(folder, { '.fedi/backups.json': JSON.stringify({ ...record, repositories }) });
  return contextOf(to === undefined ? {} : { 'backup.to': to }, { folder, now });
}

// prettier-ignore
const ROWS: Row[] = [
  ['docker', 'all well', contextOf(), '', /28\.2\.2, Compose 2\.36\.0, at unix:/],
  ['docker', 'no engine', contextOf({}, { info: WITHOUT }), 'blocker', /not installed/],
  ['docker', 'an old engine', contextOf({}, { info: { version: '19.03.15' } }), 'blocker', /19\.03\.15 is too old: at least 20\.10/],
  ['docker', 'Podman', contextOf({}, { info: { version: '5.4.2' } }), 'blocker', /5\.4\.2 is too old.*Podman/],
  ['docker', 'the oldest engine', contextOf({}, { info: { version: '20.10.0' } }), '', /20\.10\.0/],
  ['docker', 'another context', contextOf({}, { info: { chosenBy: 'the context other', socket: 'unix:///o' } }), 'warning', /the context other names unix:\/\/\/o/],
  ['docker', 'variables for an engine elsewhere', contextOf({}, { info: { ignored: ['DOCKER_TLS_VERIFY', 'DOCKER_CERT_PATH'] } }), 'warning', /DOCKER_TLS_VERIFY, DOCKER_CERT_PATH are set.*other machines.*unset DOCKER_TLS_VERIFY DOCKER_CERT_PATH/],
  ['docker', 'a snap', contextOf({}, { info: { dataRoot: '/var/snap/docker/common/var-lib-docker' } }), 'blocker', /snap.*not \/srv\/fedi/],
  ['docker', 'a snap, and the site below /home', contextOf({}, { info: { dataRoot: '/var/snap/docker/x' }, folder: '/home/a/fedi' }), 'warning', /snap/],
  ['docker', 'IPv6 on an engine that hides it', contextOf({ bind: '::' }, { info: { version: '26.1.5' } }), 'warning', /26\.1\.5 hides the addresses.*27/],
  ['docker', 'IPv6 on one that does not', contextOf({ bind: '::' }), '', /28\.2\.2/],
  ['docker', 'rootless', contextOf({}, { info: { rootless: true } }), 'blocker', /rootless.*port 80: the lowest is 1024.*ip_unprivileged_port_start=80/],
  ['docker', 'mapped users, data in volumes', contextOf({}, { info: { mapsUsers: true } }), '', /28\.2\.2/],
  ['docker', 'mapped users, and a data directory', contextOf({ 'apps.snac.data-dir': '/srv/snac' }, { info: { mapsUsers: true } }), 'blocker', /userns-remap.*cannot give \/srv\/snac to the app/],
  ['docker', 'rootless, with low ports allowed', contextOf({}, { info: { rootless: true }, host: { firstFreePort: async () => 80 } }), 'warning', /rootless.*one address/],
  ['docker', 'rootless, behind a proxy', contextOf({ 'tls.mode': 'proxy', 'tls.port': 8080 }, { info: { rootless: true } }), 'warning', /rootless/],

  ['system', 'all well', contextOf(), '', /linux, amd64/],
  ['system', 'arm64', contextOf({}, { info: { architecture: 'arm64' } }), '', /arm64/],
  ['system', 'another processor', contextOf({}, { info: { architecture: 'riscv64' } }), 'blocker', /riscv64.*amd64 and arm64/],
  ['system', 'a 32-bit system on a 64-bit processor', contextOf({}, { info: { architecture: 'arm' } }), 'blocker', /runs programs for arm\..*32-bit/],
  ['system', 'another processor, no engine', contextOf({}, { info: WITHOUT, host: { arch: 'ppc64' } }), 'blocker', /ppc64/],
  ['system', 'another system', contextOf({}, { host: { platform: 'darwin' } }), 'warning', /darwin, not Linux/],
  ['system', 'Docker Desktop', contextOf({}, { info: { system: 'Docker Desktop' } }), 'warning', /virtual machine/],

  ['proxy', 'on the host’s own address', contextOf({ 'tls.mode': 'proxy', 'tls.port': 8080 }), 'warning', /8080.*open to everyone on 0\.0\.0\.0.*--tls-proxies/],
  ['proxy', 'on a public address', contextOf({ 'tls.mode': 'proxy', 'tls.port': 8080, bind: '203.0.113.9' }), 'warning', /open to everyone/],
  ['proxy', 'the proxy is named', contextOf({ 'tls.mode': 'proxy', 'tls.port': 8080, 'tls.proxies': '192.0.2.1' }), '', /192\.0\.2\.1 trusted/],
  ['proxy', 'on loopback', contextOf({ 'tls.mode': 'proxy', 'tls.port': 8080, bind: '127.0.0.1' }), '', /on 127\.0\.0\.1:8080/],

  ['memory', 'enough', contextOf(), '', /^this host has 4\.0 GB of memory and 0 MB of swap; snac needs at least 256 MB$/],
  ['memory', 'too little', contextOf({}, { info: { memoryMiB: 200 } }), 'warning', /less memory than the site needs: 200 MB of memory and 0 MB of swap; snac needs at least 256 MB\..*--swap 1/],
  ['memory', 'too little, but swap', contextOf({}, { info: { memoryMiB: 200 }, host: { swapMiB: async () => 64 } }), '', /200 MB of memory and 64 MB of swap/],
  ['memory', 'too little, but swap will be made', contextOf({}, { info: { memoryMiB: 200 }, swapGiB: 1 }), '', /200 MB/],
  ['memory', 'three that fit', contextOf(THREE, { info: { memoryMiB: 8192 } }), '', /snac, Mastodon, Pixelfed need at least 4\.0 GB\. Under load they use more: snac 256 MB, Mastodon 1\.9 GB, Pixelfed 3\.4 GB: together 5\.5 GB, at most 20 busy processes/],
  ['memory', 'three with sizes for a bigger host', contextOf({ ...THREE, 'apps.mastodon.size': '8gb' }, { info: { memoryMiB: 8192 } }), 'warning', /Under load the apps use more memory than this host has: .*Mastodon 6\.8 GB.*together 10\.5 GB.*; it has 8\.0 GB\..*`fedi-setup apply --mastodon-size 4gb`; or add memory/],
  ['memory', 'three on a host for one', contextOf(THREE, { info: { memoryMiB: 2048 } }), 'warning', /less memory than the site needs.*--swap 2/],
  ['cores', 'enough', contextOf(THREE), '', /2; 2 recommended/],
  ['cores', 'one for two that compute', contextOf(THREE, { info: { cpus: 1 } }), 'warning', /1 processor core for Mastodon and Pixelfed \(.*20 busy processes.*2 cores/],
  ['cores', 'one for snac', contextOf({}, { info: { cpus: 1 } }), '', /^1$/],
  ['memory', 'swap requested without root', contextOf({}, { swapGiB: 2, host: { isRoot: false } }), 'blocker', /Only root.*sudo sh -c '.*count=2048 && mkswap \/swapfile/],

  ['disk', 'enough', contextOf(), '', /100\.0 GB and 1000000 inodes free in \//],
  ['disk', 'little space', contextOf({}, space(GIB / 2)), 'blocker', /Only 512 MB free for Docker’s data \(\/var\/lib\/docker\); 1\.0 GB/],
  ['disk', 'no inodes', contextOf({}, space(100 * GIB, 12)), 'blocker', /Only 12 inodes free for the site directory/],
  ['disk', 'inodes that are not counted', contextOf({}, space(100 * GIB, 0, 0)), '', /100\.0 GB free in/],
  ['disk', 'no room for the swap file', contextOf({}, { ...space(3 * GIB), swapGiB: 4 }), 'blocker', /the swap file \(\/\); 5\.0 GB/],
  ['disk', 'a site that exists, and little space', contextOf({}, { ...space(GIB), exists: true }), 'warning', /Only 1\.0 GB left.*fedi-setup cleanup/],
  ['disk', 'a site that exists, and no space', contextOf({}, { ...space(GIB / 4), exists: true }), 'blocker', /Only 256 MB free/],
  ['disk', 'an engine whose disk is not accessible', contextOf({}, { host: { space: async () => undefined } }), '', /is not accessible/],

  ['ports', 'free', contextOf(), '', /tcp 80 free, tcp 443 free, udp 443 free/],
  ['ports', 'taken', contextOf({}, { host: { listeners: async () => [{ protocol: 'tcp', address: '::', port: 80, inode: '1' }], ownerOf: async () => 'nginx (process 812)' } }), 'blocker', /tcp 80: nginx \(process 812\)\./],
  ['ports', 'UDP taken', contextOf({}, { host: { listeners: async () => [{ protocol: 'udp', address: '0.0.0.0', port: 443, inode: '1' }] } }), 'blocker', /udp 443: a process of another user.*sudo ss/],
  ['ports', 'taken on another address', contextOf({ bind: '192.0.2.7' }, { host: { listeners: async () => [{ protocol: 'tcp', address: '10.0.0.7', port: 80, inode: '1' }] } }), '', /tcp 80 free/],
  ['ports', 'taken by another project', contextOf({}, { engine: { listed: async () => [{ ...caddyRuns, project: 'other', ports: [{ ip: '', port: 443, protocol: 'tcp' }] }] } }), 'blocker', /tcp 443: the container caddy of the Compose project other/],
  ['ports', 'taken by another project, by UDP alone', contextOf({}, { engine: { listed: async () => [{ ...caddyRuns, project: 'other', ports: [{ ip: '', port: 443, protocol: 'udp' }] }] } }), 'blocker', /In use on [\d.]+: udp 443: the container caddy/],
  ['ports', 'an address that this host does not have', contextOf({ bind: '198.51.100.77' }), 'blocker', /198\.51\.100\.77 is not one of this host \(it has 192\.0\.2\.7, .*Leave out --bind/],
  ['ports', 'one of its addresses', contextOf({ bind: '2001:db8::7' }), '', /tcp 80 free/],
  ['ports', 'our own', contextOf({}, { engine: { listed: async () => [{ ...caddyRuns, project: 'fedi', ports: [80, 443].map((port) => ({ ip: '', port, protocol: 'tcp' })) }] } }), '', /tcp 80 ours/],
  ['ports', 'a proxy needs one only', contextOf({ 'tls.mode': 'proxy', 'tls.port': 8080 }), '', /: tcp 8080 free$/],

  ['clock', 'right', contextOf({}, { ...at(NOW), now }), '', /^0 s ahead of the time of acme-v02\.api\.letsencrypt\.org$/],
  ['clock', 'a little fast', contextOf({}, { ...at(NOW - 60), now }), 'warning', /60 seconds fast/],
  ['clock', 'far too slow', contextOf({}, { ...at(NOW + 3600), now }), 'blocker', /3600 seconds slow.*set-ntp/],
  ['clock', 'taken from the registry if something is pulled', contextOf({ 'tls.mode': 'internal' }, { ...at(NOW + 3600), now, pulls: PULLS }), 'blocker', /3600 seconds slow.*registry-1\.docker\.io/],
  ['clock', 'nobody to ask, and NTP is off', contextOf({}, { host: { dateAt: async () => { throw new Error('unreachable'); }, isSynchronized: async () => false } }), 'warning', /The clock of this host is not synchronized.*no time from acme-v02\.api\.letsencrypt\.org \(unreachable\); the system clock is not synchronized by NTP/],
  ['clock', 'nobody to ask, and NTP is on', contextOf({ 'tls.mode': 'internal' }, { host: { isSynchronized: async () => true } }), '', /^the system clock is synchronized by NTP$/],

  ['registry', 'answers', contextOf({}, { pulls: PULLS, engine: { findInRegistry: async () => undefined } }), '', /^docker\.io answers; ghcr\.io answers$/],
  ['registry', 'has what is known, under its name too', contextOf({}, { pulls: ['a.example/b:1@sha256:1'], engine: { findInRegistry: async () => published('sha256:1') } }), '', /^a\.example answers$/],
  ['registry', 'has another one under the name of a known one', contextOf({}, { pulls: [...PULLS, 'ghcr.io/c/d:1@sha256:1'], engine: { findInRegistry: async (reference) => published(reference.includes('@') ? 'sha256:1' : 'sha256:2') } }), 'warning', /now has another image under the name ghcr\.io\/c\/d:1\..*was tested: sha256:1\..*ghcr\.io\/c\/d:1 is sha256:2$/],
  ['registry', 'has an image for other processors only', contextOf({}, { pulls: PULLS, info: { architecture: 'arm64' }, engine: { findInRegistry: async (reference) => published('sha256:1', reference.includes('caddy') ? ['linux/amd64', 'linux/arm64'] : ['linux/amd64']) } }), 'blocker', /is not available for linux\/arm64, only for linux\/amd64.*another processor/],
  ['registry', 'does not say for which processors', contextOf({}, { pulls: PULLS, info: { architecture: 'arm64' }, engine: { findInRegistry: async () => published('sha256:1', []) } }), '', /answers/],
  ['registry', 'is not reached: once for all of its images', contextOf({}, { pulls: ['ghcr.io/a/b:1', 'ghcr.io/c/d:2'], engine: { findInRegistry: async (reference) => { throw new Problem(EXIT.PREFLIGHT, `The image ${reference} could not be pulled: refused.`, { means: 'No.', next: 'Check the network.' }); } } }), 'blocker', /^(?!.*could not.*could not).*ghcr\.io\/a\/b:1, ghcr\.io\/c\/d:2 could not be pulled/],
  ['registry', 'does not', contextOf({}, { pulls: PULLS.slice(0, 1), engine: { findInRegistry: async (reference) => { throw new Problem(EXIT.PREFLIGHT, `The image ${reference} could not be pulled: refused.`, { means: 'No.', next: 'Check the network.' }); } } }), 'blocker', /caddy:2\.11\.4 could not be pulled: refused\..*Check the network/],

  ['outside', 'all well', contextOf({}, curl(0)), '', /a container reaches acme-v02/],
  ['outside', 'no DNS', contextOf({}, curl(6, 'curl: (6) Could not resolve host: acme-v02.api.letsencrypt.org')), 'blocker', /cannot resolve acme-v02.*daemon\.json.*\(6\) Could not resolve/],
  ['outside', 'no HTTPS', contextOf({}, curl(28, 'curl: (28) Connection timed out')), 'blocker', /cannot reach acme-v02.*firewall/],
  ['outside', 'no container starts', contextOf({}, curl(125, 'docker: Error response from daemon: could not find bridge docker0.\n\nRun docker --help')), 'warning', /could not be checked.*could not find bridge docker0\.$/],
  ['outside', 'a certificate that nobody knows', contextOf({}, curl(60, 'curl: (60) SSL certificate problem')), 'blocker', /over HTTPS/],
  ['outside', 'the same from a CA of one’s own', contextOf({ 'tls.mode': 'directory', 'tls.directory': 'https://ca.example.net/d' }, curl(60)), '', /reaches ca\.example\.net/],
  ['outside', 'behind a proxy, from the registry', contextOf({ 'tls.mode': 'proxy', 'tls.port': 8080 }, { ...curl(6), caddy: 'docker.io/library/caddy:2@sha256:0' }), 'blocker', /cannot resolve registry-1\.docker\.io/],

  ['ipv6', 'all well', contextOf({}, curl(0)), '', /over IPv6/],
  ['ipv6', 'none in containers', contextOf({}, curl(7, "curl: (7) Couldn't connect")), 'warning', /This host has IPv6, but its containers do not.*\(7\)/],

  ['uploads', 'all well', uploads(''), '', /^Pixelfed: all owned by 33:33 and readable$/],
  ['uploads', 'files of root', uploads('foreign app/public/m\n'), 'blocker', /^Files in fedi_pixelfed_storage do not belong to 33:33: 1 \(app\/public\/m\).*doctor --fix/],
  ['uploads', 'many closed files', uploads('closed app/public/m/a.png\n'.repeat(1000)), 'warning', /^Files in app\/public of .* are not readable for everyone: 1000 or more .* and others\)/],
  ['uploads', 'no default picture', uploads('missing avatars/default.jpg\n'), 'warning', /Default images are missing in app\/public of fedi_pixelfed_storage: 1 \(avatars\/default\.jpg\)\..*Pixelfed: 1 missing$/],
  ['goodbye', 'in progress', goodbye({ snac: { at: '2026-01-02T03:04:05Z', domain: 'x.org', by: 'uninstall --goodbye' } }), 'warning', /Since 2026-01-02 03:04 UTC the accounts of snac are being deleted.*`fedi-setup uninstall --goodbye` shows the progress/],
  ['goodbye', 'complete', goodbye({ snac: { at: '2026-01-02T03:04:05Z', domain: 'x.org', by: 'x', complete: { at: '2026-01-02T04:04:05Z', unreached: [] } } }), 'warning', /The accounts of snac were deleted on other servers\..*`fedi-setup remove snac --data`/],
  ['media', 'being copied', movedMedia({ moves: { mastodon: { to: 's3', at: '2026-01-02T03:04:05Z', bucket: MEDIA_BUCKET, phase: 'copying' } } }), 'advice', /The move of Mastodon’s media to the bucket media at s3\.example\.org, started at 2026-01-02 03:04 UTC, is not complete\..*as before.*`fedi-setup media move --to s3 --app mastodon`/],
  ['media', 'not read in the new place', movedMedia({ moves: { mastodon: { to: 'local', at: '2026-01-02T03:04:05Z', bucket: MEDIA_BUCKET, phase: 'switched' } } }), 'warning', /media to this host, .*uses the new place/],
  ['media', 'an old copy', movedMedia({ old: { mastodon: { place: 'local', at: '2026-01-02T03:04:05Z', bucket: MEDIA_BUCKET, files: 12, bytes: 5_000_000 } } }), 'advice', /Since 2026-01-02 03:04 UTC Mastodon has not used the copy of its media on this host: 12 files, 5 MB\..*`fedi-setup media remove-old --app mastodon`/],
  ['unfinished', 'a restore', contextOf({}, { unfinished: new Problem(EXIT.REFUSED, 'A restore was interrupted.', { means: 'Incomplete.', next: 'Run it again.' }) }), 'blocker', /A restore was interrupted\. Incomplete\..*Run it again\..*not complete$/],
  ['git', 'all ignored', contextOf({}, { host: { git: async () => [] } }), '', /^files with secrets are ignored$/],
  ['git', 'a secret in the repository', contextOf({}, { host: { git: async (_, argv) => (argv.includes('--others') ? [] : ['secrets.json']) } }), 'blocker', /Git tracks files with secrets: secrets\.json\..*git -C \/srv\/fedi rm -r --cached --ignore-unmatch secrets\.json env \.fedi/],
  ['git', 'secrets that the next commit takes', contextOf({}, { host: { git: async (_, argv) => (argv.includes('--others') ? ['env/a.env', 'env/b.env', 'env/c.env', 'env/d.env'] : []) } }), 'warning', /does not ignore files with secrets: env\/a\.env, env\/b\.env, env\/c\.env and 1 more\./],
  ['data', 'all there', dataSite(true, true), '', /^fedi_snac_data, secrets\.json$/],
  ['data', 'the volume was removed', dataSite(false, true), 'blocker', /The volume fedi_snac_data does not exist\..*Restore it before/],
  ['data', 'secrets.json was removed', dataSite(true, false), 'blocker', /secrets\.json is missing\..*recovery file/],
  ['backups', 'none', backed(undefined, {}), 'warning', /This site has no backups\..*--backup-to PLACE.*none$/],
  ['backups', 'all well', backed(LAST, TESTED), '', /^the newest is 3 hours old, restore tested on 2027-01-15$/],
  ['backups', 'never made', backed(undefined, {}, '/mnt/a'), 'warning', /There is no backup in \/mnt\/a yet\./],
  ['backups', 'the last one failed', backed({ ...LAST, failed: { at: TODAY, why: 'The disk is full.' } }, TESTED), 'warning', /The last backup to \/mnt\/a failed at 2027-01-15 08:00 UTC: The disk is full\. The newest one there is 3 hours old/],
  ['backups', 'too old', backed({ id: 'a', last: { at: hoursAgo(50), snapshot: 'b', bytes: 1 } }, TESTED), 'warning', /The newest backup in \/mnt\/a is 2 days old; one is due every 24 hours\./],
  ['backups', 'no recovery sheet', backed(LAST, { drill: { at: TODAY, ok: true } }), 'warning', /There is no recovery sheet yet\./],
  ['backups', 'never drilled', backed(LAST, { sheet: TODAY }), 'warning', /Restoring was never tested\..*backup drill/],
  ['backups', 'drilled long ago', backed(LAST, { sheet: TODAY, drill: { at: hoursAgo(132 * 24), ok: true } }), 'warning', /The last drill was 132 days ago\./],
  ['backups', 'on the disk of the site', backed({ ...LAST, sameDisk: true }, TESTED), 'warning', /is on the same disk as the site, and there is no other repository\./],
  ['backups', 'no timer', backed(LAST, { sheet: TODAY, drill: TESTED.drill }), 'warning', /Backups are not scheduled\./],
  ['backups', 'the timer does not work', backed(LAST, { ...TESTED, maintained: hoursAgo(30) }), 'warning', /has not run for 30 hours; cron should start it every hour/],
  ['backups', 'a failed drill', backed(LAST, { sheet: TODAY, drill: { at: TODAY, ok: false } }), 'warning', /could not restore the backup completely/],
  ['databases', 'all well', databases('17', []), '', /^mastodon_db: docker\.io\/library\/postgres:17$/],
  ['databases', 'an older major version', databases('15', []), 'warning', /^Mastodon: the database runs on PostgreSQL 15; PostgreSQL 17 is available\..*upgrade --databases --check/],
  ['databases', 'a version without a number', databases('mine', []), '', /postgres:mine$/],
  ['versions', 'all well', valkey('8.1-trixie'), '', /^current$/],
  ['versions', 'an older Valkey', valkey('7.2-trixie'), 'warning', /^The site runs docker\.io\/valkey\/valkey:7\.2-trixie; docker\.io\/valkey\/valkey:8\.1-trixie is available\..*upgrade --images/],
  ['databases', 'old data', databases('17', ['fedi_mastodon_db', 'fedi_mastodon_db_pg15_2026-11-30']), 'warning', /^The volume fedi_mastodon_db_pg15_2026-11-30 \(71 MB\) has the data of a database from before an upgrade\..*docker volume rm fedi_mastodon_db_pg15_2026-11-30/],
  ['statuspage', 'all well', pageSite(4, true), '', /^checked at 2027-01-15 07:56 UTC$/],
  ['statuspage', 'the timer does not work', pageSite(21, true), 'warning', /^The last check for the status page was less than an hour ago; cron should start one every 5 minutes\./],
  ['statuspage', 'never checked', pageSite(undefined, true), 'warning', /^There was no check for the status page yet; cron should/],
  ['statuspage', 'a timer from before', pageSite(4, false), 'warning', /^Nothing keeps the status page up to date\. .* 20 minutes .*maintain install/],
  ['metadata', 'all well', metadata('0.000000 http://169.254.169.254/\n0.000000 http://[fd00:ec2::254]/\n'), '', /^none open on fedi_snac_front$/],
  ['metadata', 'open', metadata('0.001234 http://169.254.169.254/\n0.000000 http://100.100.100.200/\n'), 'warning', /can reach the cloud’s metadata service: 169\.254\.169\.254\. .*iptables -I DOCKER-USER -d 169\.254\.169\.254 -j REJECT`; .*nft add rule inet metadata forward ip daddr 169\.254\.169\.254 reject`/],
  ['metadata', 'open by IPv6', metadata('0.001 http://[fd00:ec2::254]/\n'), 'warning', /ip6tables -I DOCKER-USER -d fd00:ec2::254 .*ip6 daddr fd00:ec2::254/],
  ['metadata', 'no container starts', metadata(''), '', /^not checked$/],
  ['uploads', 'nobody could look', uploads('', 1), 'warning', /could not be checked\..*not checked$/],
];

describe('the checks', () => {
  test.each(ROWS)('%s: %s', async (id, _, context, level, words) => {
    const looked = await runCheck(id, context);
    expect(looked?.found.map((finding) => finding.level) ?? ['does not apply']).toEqual(
      level === '' ? [] : expect.arrayContaining([level]),
    );
    const sentences = looked?.found.flatMap(({ what, means, next }) => [what, means, next]) ?? [];
    expect([...sentences, looked?.seen].join(' ')).toMatch(words);
    for (const sentence of sentences) expect(sentence).toMatch(/^[A-Z`][\s\S]*[.\])/]$/);
  });

  test('each fails at least once, here or in another test file', () => {
    const running = ['migrations', 'jobs', 'streaming', 'mail', 'bucket', 'retention'];
    const elsewhere = ['dns', 'caa', 'containers', ...running, 'differences', 'policy', 'files', 'certificates', 'kernel']; // prettier-ignore
    const broken = new Set(ROWS.filter(([, , , level]) => level !== '').map(([id]) => id));
    expect(CHECKS.map(({ id }) => id).filter((id) => !broken.has(id))).toEqual(elsewhere);
  });

  test('rows have a title and a description', () => {
    for (const { id, title, about } of CHECKS) {
      expect(id).toMatch(/^[a-z0-9]{3,13}$/);
      expect(title).toMatch(/^[A-Z][^.]{2,30}$/);
      expect(about.length).toBeGreaterThan(5);
    }
  });
});

describe('sends no request that the site does not need', () => {
  /** Throws at every request to the outside. */
  const forbidden = async (): Promise<never> => {
    throw new Error('was asked');
  };
  const deaf = {
    host: { addressRecords: forbidden, caaRecords: forbidden, dateAt: forbidden },
    engine: { run: forbidden, exec: forbidden, findInRegistry: forbidden },
    caddy: 'fedi-setup/caddy:trixie',
  };
  test.each([
    ['an internal CA', { 'tls.mode': 'internal' }],
    ['an internal CA, a public name', { 'tls.mode': 'internal', 'apps.snac.domain': 'social.example.org' }],
    [
      'a CA and a name for tests',
      {
        'tls.mode': 'directory',
        'tls.directory': 'https://ca.fedi.test/dir',
        'apps.snac.domain': 'a.fedi.test',
      },
    ],
    ['behind a proxy, with images built here', { 'tls.mode': 'proxy', 'tls.port': 8080, bind: '127.0.0.1' }],
  ])('%s', async (_, answers) => {
    for (const { id } of CHECKS.filter(({ phase }) => phase !== 'site')) {
      const looked = await runCheck(id, contextOf(answers, deaf));
      expect([id, looked?.found ?? [], looked?.seen.includes('was asked') ?? false]).toEqual([id, [], false]);
    }
  });

  test.each(['a.fedi.test', 'snac.localhost', 'a.home.arpa', 'x.internal', 'a.onion'])(
    'Let’s Encrypt and %s: reported at once, without a look-up',
    async (domain) => {
      const context = contextOf({ 'apps.snac.domain': domain }, deaf);
      const looked = await runCheck('dns', context);
      expect(looked?.found).toMatchObject([
        { level: 'blocker', what: `${domain} is a reserved name, which the public DNS does not have.` },
      ]);
      expect(await runCheck('caa', context)).toBeUndefined();
    },
  );
});

test('without the engine the other checks still run', async () => {
  const context = contextOf({ bind: '::' }, { info: WITHOUT, ...space(1024) });
  const found = (await Promise.all(CHECKS.map(({ id }) => runCheck(id, context)))).flatMap(
    (one) => one?.found ?? [],
  );
  expect(found.map(({ what }) => what)).toEqual([
    'Docker is not installed.',
    expect.stringContaining('the site directory'),
    'This site has no backups.',
  ]);
});

test('a lab needs no backups', async () => {
  expect(await runCheck('backups', contextOf({ 'tls.mode': 'internal' }))).toBeUndefined();
});
