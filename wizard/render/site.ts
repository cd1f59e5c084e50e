/** Config + secrets + lock → all files of the site. Same input, same bytes. */
import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import { addedCas } from '../apps/app.ts';
import { allNamesOf, appOf, servedNamesOf } from '../apps/index.ts';
import type { DataMarker } from '../apps/shared/server.ts';
import { ACCESS_LOGS, OWN_CAS_FILE, STATUS_PAGE } from '../layout.ts';
import type { PlannedFile } from '../layout.ts';
import type { EnvGroup } from '../stack/env.ts';
import { readAsset } from '../assets.ts';
import { componentsOf } from '../components/index.ts';
import { bucketHost, isPlain } from '../config/bucket.ts';
import { hasOwnDirectory } from '../config/config.ts';
import type { AppConfig, Config } from '../config/config.ts';
import { schemaText } from '../answers/schema.ts';
import { CONFIG_FILE } from '../answers/sources.ts';
import { aboutBytes } from '../config/picture.ts';
import { LOCK_FILE, lockedReference, printLock } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { splitRoot } from '../secrets/openssl.ts';
import type { Secret } from '../secrets/secret.ts';
import type { Store } from '../secrets/store.ts';
import { PRIVATE_RANGES } from '../ingress/tls.ts';
import type { Network } from '../docker/engine.ts';
import { fillCaddy } from './caddy.ts';
import {
  assertComplete,
  dropVolume,
  isOf,
  join,
  joinNetwork,
  parseCompose,
  printCompose,
  replaceNetwork,
  service,
} from '../stack/compose.ts';
import type { ComposeFile, Service } from '../stack/compose.ts';
import { printEnv } from '../stack/env.ts';
import { labSubnet } from './lab-network.ts';

/** Directory of the internal CA in Caddy's container. */
export const ROOT_FOLDER = '/data/fedi-setup';

/** The internal CA, in Caddy's volume, since Caddy may not read files of other users of the host. */
export interface RootFiles {
  /** Path in the container, without `.crt` and `.key`. It contains a fingerprint, so a new CA changes Caddy's configuration. */
  readonly path: string;
  readonly certificate: string;
  readonly key: string;
}

/** Label with a hash of the settings that a container runs with. */
export const CONFIG_LABEL = 'org.fedi-setup.config';

/** Label with the image of the app whose answers a service keeps. */
const CACHE_LABEL = 'org.fedi-setup.cache-of';
/** Label with a hash of the files that a container reads when it starts. */
const FILES_LABEL = 'org.fedi-setup.files';

export interface RenderedSite {
  readonly files: readonly PlannedFile[];
  readonly compose: ComposeFile;
  /** Volume key → data directory, for volumes that are not stored by Docker. */
  readonly dataFolders: Readonly<Record<string, { readonly device: string; readonly owner: string }>>;
  /** Env group → variables in plain text, to read them back. */
  readonly env: Readonly<Record<string, EnvGroup>>;
  /** Id of the configuration, which Caddy returns once it runs it. */
  readonly caddyId: string;
  /** For `internal` certificates. */
  readonly root: RootFiles | undefined;
}

export interface RenderInput {
  readonly config: Config;
  readonly store: Store;
  readonly lock: Lock;
  /** Text of fedi.yaml. */
  readonly answersText: string;
  /** The administrator's Caddy snippets, joined: a change of them must cause a reload. */
  readonly customCaddy: string;
  /** PEM of the CA certificates of the administrator's own servers, if `config.ownCas` names them. */
  readonly ownCas?: string | undefined;
  /** The administrator's pictures, by path. */
  readonly pictures?: Readonly<Record<string, Buffer>>;
  /** Hosts to reach without a proxy, if Docker's client sets a proxy in every container. */
  readonly noProxy?: readonly string[] | undefined;
  /** Networks of the engine: a lab's network needs addresses that no other one has. */
  readonly networks?: readonly Network[];
}

/** Variables of every Compose file and Caddy snippet of the site. */
function siteVariables(config: Config, lock: Lock): Record<string, string> {
  const variables: Record<string, string> = {
    PROJECT: config.name,
    BIND: config.bind.includes(':') ? `[${config.bind}]` : config.bind,
  };
  if (config.tls.email !== undefined) variables['TLS_EMAIL'] = config.tls.email;
  const image = (name: string): string => `IMAGE_${name.toUpperCase().replaceAll('-', '_')}`;
  // The lock has no image for services that the answers remove; assertComplete rejects others without one.
  for (const { id } of config.apps)
    for (const name of Object.keys(appOf(id).images)) variables[image(name)] = '';
  for (const [name, entry] of Object.entries(lock)) variables[image(name)] = lockedReference(entry);
  const { ca, proxy } = config.tls;
  if (ca !== undefined) variables['TLS_DIRECTORY'] = ca.directory;
  variables['TLS_DIRECTORY_ROOT'] =
    ca?.root === undefined ? '/etc/ssl/certs/ca-certificates.crt' : `/etc/caddy/custom/${ca.root}`;
  variables['TRUSTED_PROXIES'] = proxy?.trusted ?? PRIVATE_RANGES;
  for (const app of config.apps) Object.assign(variables, appOf(app.id).variables(app));
  for (const { images, variables: own } of componentsOf(config)) {
    for (const name of Object.keys(images)) variables[image(name)] ??= '';
    Object.assign(variables, own?.(config));
  }
  // The scheme of a site's address decides whether Caddy gets certificates for it.
  for (const [name, value] of Object.entries(variables)) {
    if (name.endsWith('_DOMAIN')) {
      variables[name.replace(/_DOMAIN$/, '_ADDRESS')] =
        `${config.tls.proxy !== undefined ? 'http' : 'https'}://${value}`;
    }
  }
  return variables;
}

/** Place of the data that an ownership marker identifies, as text. Recorded in `x-data`, so its text must not change. */
export const placeOf = ({ name }: Config, marker: DataMarker, secret: (name: string) => Secret): string =>
  'volume' in marker ? `the volume ${name}_${marker.volume}` : marker.place(secret);

/** Its key in `x-data`. */
export const placeKey = ({ id }: AppConfig, marker: DataMarker): string =>
  'volume' in marker || marker.storeName === undefined ? id : `${id}.${marker.storeName}`;

/** Driver options that bind a named volume to a directory of the host. */
export const bindOptions = (device: string): Record<string, string> => ({ type: 'none', o: 'bind', device });

/** Of several apps; see {@link RenderedSite.dataFolders}. */
export const dataFoldersIn = (apps: readonly AppConfig[]): RenderedSite['dataFolders'] =>
  Object.assign({}, ...apps.map(dataFoldersOf)) as RenderedSite['dataFolders'];

/** Volume key → the administrator's data directory and its owner. */
function dataFoldersOf({ id, folders, options }: AppConfig): RenderedSite['dataFolders'] {
  return Object.fromEntries(
    (appOf(id).folders ?? []).flatMap((folder) => {
      const device = folders[folder.name];
      const volume = typeof folder.volume === 'string' ? folder.volume : folder.volume(options);
      return device === undefined ? [] : [[volume, { device, owner: folder.owner }]];
    }),
  );
}

/**
 * Gives Caddy a network with IPv6: otherwise Docker replaces the addresses of IPv6 clients. It has another name than the
 * IPv4 network, since Compose does not recreate a network when only its IPv6 setting changed.
 */
function openIPv6(file: ComposeFile, { name, bind }: Config): void {
  const caddy = service(file, 'caddy');
  delete file.networks['edge'];
  delete caddy.networks?.['edge'];
  // A unique local prefix (RFC 4193), the same in every run.
  const [, a, b, c] = /^(..)(....)(....)/.exec(createHash('sha256').update(name).digest('hex')) ?? [];
  file.networks['edge6'] = { enable_ipv6: true, ipam: { config: [{ subnet: `fd${a}:${b}:${c}::/64` }] } };
  joinNetwork(file, 'caddy', 'edge6');
  // For Docker `[::]` is IPv6 only.
  if (bind === '::')
    caddy.ports = (caddy.ports ?? []).flatMap((port) => [port.replace('[::]', '0.0.0.0'), port]);
}

/**
 * Docker's client may set an HTTP proxy in every container. Excludes the site's containers from it, in both spellings of
 * the variable.
 */
function bypassProxy(file: ComposeFile, noProxy: readonly string[]): void {
  const services = Object.entries(file.services);
  const aliases = services.flatMap(([, { networks = {} }]) =>
    Object.values(networks).flatMap((one) => one.aliases ?? []),
  );
  const inside = ['localhost', '127.0.0.1', '::1', ...services.map(([name]) => name), ...aliases];
  const names = [...new Set([...noProxy, ...inside])].join(',');
  for (const [, one] of services) one.environment = { ...one.environment, NO_PROXY: names, no_proxy: names };
}

async function renderCompose(
  config: Config,
  lock: Lock,
  variables: Record<string, string>,
  { noProxy, networks = [] }: Pick<RenderInput, 'noProxy' | 'networks'>,
): Promise<ComposeFile> {
  const load = async (name: string): Promise<ComposeFile> =>
    parseCompose(await readAsset(`compose/${name}.yaml`), variables);
  const components = componentsOf(config);
  const ingress = await load('caddy');
  if (config.apps.every(({ accessLog }) => accessLog === undefined)) dropVolume(ingress, ACCESS_LOGS);
  const parts = [ingress];
  for (const { id } of components) parts.push(await load(id));
  for (const app of config.apps) {
    const file = await load(app.id);
    for (const { id, clients } of components)
      for (const name of clients?.(appOf(app.id)) ?? []) joinNetwork(file, name, id);
    appOf(app.id).shape(file, config, app);
    for (const [volume, { device }] of Object.entries(dataFoldersOf(app))) {
      const one = file.volumes[volume];
      if (one === undefined) throw new Error(`there is no volume ${volume}`);
      Object.assign(one, { driver: 'local', driver_opts: bindOptions(device) });
    }
    parts.push(file);
  }
  const joined = join(parts);
  for (const app of config.apps) {
    // An app reaches its own domain through Caddy. A lab's names are in no DNS, so there Caddy has all of them as aliases.
    const { front, publicOnly = false, caddyMounts } = appOf(app.id);
    const lab = config.tls.isLab;
    const names = lab ? allNamesOf(config) : publicOnly ? [] : servedNamesOf(app);
    joinNetwork(joined, 'caddy', front, names);
    // Another name, for the same reason as in openIPv6.
    if (lab && publicOnly) {
      const key = `${front}_lab`;
      const subnet = labSubnet(config.name, key, networks);
      replaceNetwork(joined, front, key, { ipam: { config: [{ subnet }] } });
    }
    const mounts = (caddyMounts ?? []).map((mount) => `${mount}:ro`);
    (service(joined, 'caddy').volumes ??= []).push(...mounts);
  }
  for (const { shape } of components) shape?.(joined, config);
  if (config.statusPage !== undefined)
    (service(joined, 'caddy').volumes ??= []).push(`./${STATUS_PAGE}:/srv/status-page:ro`);
  if (config.tls.proxy !== undefined)
    service(joined, 'caddy').ports = [`${variables['BIND'] ?? ''}:${config.tls.proxy.port}:80`];
  if (config.bind.includes(':')) openIPv6(joined, config);
  for (const [name, entry] of Object.entries(lock)) {
    for (const [serviceName, one] of Object.entries(joined.services)) {
      const reference = lockedReference(entry);
      if ('digest' in entry || ![one.image, one.labels?.[CACHE_LABEL]].includes(reference)) continue;
      if (one.image === reference) service(joined, serviceName)['pull_policy'] = 'never';
      // The tag can be moved to another image on the host; the id in the label detects that.
      one.labels = { ...one.labels, [`org.fedi-setup.image.${name}`]: entry.id };
    }
  }
  if (noProxy !== undefined) bypassProxy(joined, noProxy);
  assertComplete(joined);
  return joined;
}

/** Path → text of the files of each app's nginx. */
async function renderNginx(config: Config): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const { id } of config.apps) {
    const { nginx } = appOf(id);
    if (nginx === undefined) continue;
    const variables = { UPLOADS: nginx.uploads, APP: nginx.app, KEY: nginx.key };
    for (const name of config.hasCache ? ['nginx.conf', 'cache.conf'] : ['nginx.conf'])
      files[`nginx/${id}/${name}`] = fillCaddy(await readAsset(`compose/nginx/${name}`), variables);
  }
  return files;
}

async function renderCaddy(
  config: Config,
  variables: Record<string, string>,
  customCaddy: string,
  ownCas: string | undefined,
): Promise<{ files: Record<string, string>; id: string }> {
  let sources: Record<string, string> = {
    'caddy/Caddyfile': await readAsset('caddy/Caddyfile'),
    'caddy/tls/known.caddy': await readAsset('caddy/tls/known.caddy'),
    'caddy/tls/global.caddy': await readAsset(`caddy/tls/${config.tls.mode}/global.caddy`),
    'caddy/tls/site.caddy': await readAsset(`caddy/tls/${config.tls.mode}/site.caddy`),
  };
  if (ownCas !== undefined && hasOwnDirectory(config)) {
    const path = 'caddy/tls/global.caddy';
    sources[path] = `${sources[path] ?? ''}${await readAsset('caddy/tls/directory/own-cas.caddy')}`;
    // Not in trust/: Caddy mounts only its own directory.
    sources['caddy/tls/ca.crt'] = ownCas;
  }
  if (config.statusPage !== undefined)
    sources['caddy/pages/status.caddy'] = await readAsset('caddy/status-page.caddy');
  /** Snippets that are filled in once for each app. */
  const filled: Record<string, string> = {};
  for (const { id, accessLog } of config.apps) {
    if (accessLog === undefined) continue;
    const [ipv4, ipv6] = accessLog === 'full' ? ['32', '128'] : ['24', '64'];
    filled[`caddy/access/${id}.caddy`] = fillCaddy(await readAsset('caddy/access.caddy'), {
      ACCESS_LOG_APP: id,
      ACCESS_LOG_IPV4: ipv4,
      ACCESS_LOG_IPV6: ipv6,
    });
  }
  for (const app of config.apps) {
    for (const name of appOf(app.id).snippets?.(app) ?? [app.id]) {
      sources[`caddy/sites/${name}.caddy`] = await readAsset(`caddy/${name}.caddy`);
    }
    if (config.hasCache && appOf(app.id).nginx !== undefined)
      sources[`caddy/cache/${app.id}.caddy`] = await readAsset(`caddy/cache/${app.id}.caddy`);
  }
  for (const { id, bucket } of config.apps) {
    if (bucket?.isProxied !== true || bucket.alias === undefined) continue;
    filled[`caddy/sites/${id}-media.caddy`] = fillCaddy(await readAsset('caddy/media.caddy'), {
      MEDIA_ADDRESS: `${config.tls.proxy !== undefined ? 'http' : 'https'}://${bucket.alias}`,
      MEDIA_BUCKET: bucket.name,
      MEDIA_HOST: bucketHost(bucket),
      MEDIA_UPSTREAM: `${isPlain(bucket) ? 'http' : 'https'}://${bucketHost(bucket)}`,
    });
  }
  for (const { caddy } of componentsOf(config)) sources = (await caddy?.(sources, config)) ?? sources;
  const fill = (configId: string): Record<string, string> => ({
    ...Object.fromEntries(
      Object.entries(sources).map(([path, text]) => [
        path,
        fillCaddy(text, { ...variables, CONFIG_ID: configId }),
      ]),
    ),
    ...filled,
  });
  const id = createHash('sha256')
    .update(JSON.stringify([fill('none'), customCaddy]))
    .digest('hex')
    .slice(0, 24);
  return { files: fill(id), id };
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 24);

/** Files of the site directory in the directories that a service mounts. */
const filesUnder = (
  { volumes = [] }: Service,
  files: Readonly<Record<string, string>>,
): readonly (readonly [path: string, text: string])[] =>
  Object.entries(files).filter(([path]) =>
    volumes.some((mount) => mount.startsWith('./') && path.startsWith(`${mount.slice(2).split(':')[0]}/`)),
  );

function rootFiles(secret: Secret): RootFiles {
  const root = splitRoot(secret.reveal());
  if ('problem' in root) throw new Error(`the stored internal CA is unusable: ${root.problem}`);
  const fingerprint = createHash('sha256').update(root.certificate).digest('hex').slice(0, 16);
  return { path: `${ROOT_FOLDER}/${fingerprint}`, ...root };
}

/** All files of a site. Pure, except that it reads the package's files. */
export async function renderSite({
  config,
  store,
  lock,
  answersText,
  customCaddy,
  ownCas,
  pictures = {},
  ...engine
}: RenderInput): Promise<RenderedSite> {
  if ((config.ownCas === undefined) !== (ownCas === undefined))
    throw new Error('the CA certificates of the answers were not read');
  const root = config.tls.isLab ? rootFiles(store.get('tls.root')) : undefined;
  const variables = siteVariables(config, lock);
  if (root !== undefined) variables['ROOT_FILE'] = root.path;
  const compose = await renderCompose(config, lock, variables, engine);
  compose['x-data'] = Object.fromEntries(
    config.apps.flatMap((app) =>
      appOf(app.id)
        .markers(app.options)
        .map((marker) => [placeKey(app, marker), placeOf(config, marker, (name) => store.get(name))]),
    ),
  );
  const caddy = await renderCaddy(config, variables, customCaddy, ownCas);
  const nginx = await renderNginx(config);

  const env: Record<string, EnvGroup> = {};
  for (const app of config.apps)
    Object.assign(
      env,
      appOf(app.id).env(
        config,
        app,
        (name) => store.get(name),
        (name) => store.previous(name),
      ),
    );
  for (const component of componentsOf(config))
    Object.assign(
      env,
      component.env?.(config, (name) => store.get(name)),
    );
  const envTexts = Object.fromEntries(
    Object.entries(env).map(([name, group]) => [`env/${name}.env`, printEnv(group)]),
  );

  const ownFiles: Record<string, string> = {};
  if (ownCas !== undefined) ownFiles[OWN_CAS_FILE] = `${root?.certificate ?? ''}${ownCas}`;
  for (const component of componentsOf(config)) Object.assign(ownFiles, await component.files?.(config));
  for (const [name, one] of Object.entries(compose.services)) {
    const read = filesUnder(one, ownFiles);
    // Containers read them when they start.
    if (read.length > 0) one.labels = { ...one.labels, [FILES_LABEL]: hashOf(JSON.stringify(read)) };
    const used = (one.env_file ?? []).map(
      (file) => envTexts[typeof file === 'string' ? file : file.path] ?? '',
    );
    // The identity of the data is part of the settings.
    const markers = config.apps
      .filter(({ id }) => isOf(id, name))
      .map(({ id }) => store.identityFingerprint(appOf(id).secrets));
    const networks = Object.keys(one.networks ?? {}).map((network) => compose.networks[network]);
    for (const [path, text] of Object.entries(nginx))
      if (one.volumes?.some((mount) => mount.startsWith(`./${dirname(path)}:`))) used.push(text);
    one.labels = {
      ...one.labels,
      [CONFIG_LABEL]: store.keyedHash(JSON.stringify([name, one, networks, used, markers])),
    };
  }

  const plain = (path: string, text: string, generated = true): PlannedFile => ({
    path,
    text,
    mode: 0o644,
    secret: false,
    generated,
  });
  const secret = (path: string, text: string): PlannedFile => ({
    path,
    text,
    mode: 0o600,
    secret: true,
    generated: true,
  });
  const files = [
    plain(CONFIG_FILE, answersText, false),
    plain(LOCK_FILE, printLock(lock), false),
    plain('.fedi/fedi.schema.json', schemaText()),
    plain('compose.yaml', printCompose(compose)),
    ...Object.entries(envTexts).map(([path, text]) => secret(path, text)),
    ...Object.entries({ ...caddy.files, ...nginx, ...ownFiles }).map(([path, text]) => plain(path, text)),
    ...Object.entries(pictures).map(([path, bytes]) => ({
      ...plain(path, aboutBytes(bytes)),
      bytes,
    })),
  ];
  if (root !== undefined) files.push(plain('trust/root.crt', root.certificate));
  const cas = addedCas(config);
  if (cas !== undefined)
    files.push(
      ...config.apps.flatMap((app) =>
        Object.entries(appOf(app.id).trustFiles?.(cas) ?? {}).map(([name, text]) =>
          plain(`trust/${name}`, text),
        ),
      ),
    );
  if (config.tls.proxy !== undefined) {
    for (const name of ['nginx.conf', 'Caddyfile']) {
      const template = await readAsset(`caddy/front/${name}`);
      const ingress = `${['0.0.0.0', '::'].includes(config.bind) ? '127.0.0.1' : (variables['BIND'] ?? '')}:${config.tls.proxy.port}`;
      const texts = allNamesOf(config).map((domain) =>
        fillCaddy(template, { DOMAIN: domain, INGRESS: ingress }),
      );
      files.push(plain(`front/${name}`, texts.join('\n')));
    }
  }
  return { files, compose, dataFolders: dataFoldersIn(config.apps), env, caddyId: caddy.id, root };
}
