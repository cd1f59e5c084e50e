/** compose.yaml: the apps' Compose files, parsed, joined and filled in. There is no template language. */
import { EXIT, Problem } from '../problem.ts';
import { parseYaml, printYaml } from '../yaml.ts';
import type { Yaml } from '../yaml.ts';

export interface Service {
  'x-about'?: string;
  /** Rule of docker/policy.ts → reason for the exception. */
  'x-exceptions'?: Record<string, string>;
  image: string;
  networks?: Record<string, { aliases?: string[] }>;
  volumes?: string[];
  environment?: Record<string, string>;
  env_file?: (string | { path: string; required: boolean })[];
  labels?: Record<string, string>;
  ports?: string[];
  depends_on?: Record<string, { condition: string }>;
  [key: string]: unknown;
}

export interface ComposeFile {
  name: string;
  /** App → place of its data. The next run compares it, so that no changed answer leaves data behind. */
  'x-data'?: Record<string, string>;
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean; [key: string]: unknown }>;
  volumes: Record<string, { name: string; [key: string]: unknown }>;
}

/** `$$` is Compose's escape for one `$`. */
const VARIABLE = /\$\$|\$\{([A-Z][A-Z0-9_]*)(?::-[^}]*)?\}/g;

/** Parses one of our Compose files, then fills in its `${NAME}`, so values cannot become YAML. */
export function parseCompose(text: string, variables: Readonly<Record<string, string>>): ComposeFile {
  const fill = (node: Yaml): Yaml => {
    if (typeof node === 'string') {
      return node.replace(VARIABLE, (whole: string, name?: string) => {
        if (name === undefined) return whole.slice(1);
        const value = variables[name];
        if (value === undefined) throw new Error(`a Compose file uses \${${name}}, which nobody sets`);
        return value;
      });
    }
    if (Array.isArray(node)) return node.map(fill);
    if (typeof node === 'object' && node !== null) {
      return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, fill(value)]));
    }
    return node;
  };
  const file = fill(parseYaml(text)) as unknown as Partial<ComposeFile>;
  return {
    name: file.name ?? '',
    services: file.services ?? {},
    networks: file.networks ?? {},
    volumes: file.volumes ?? {},
  };
}

/** Whether a service, volume or network belongs to an app: its name starts with the app's id. */
export const isOf = (app: string, name: string): boolean => name === app || name.startsWith(`${app}_`);

/** Disjoint union: a name that two files use is an error, never an overlay. */
export function join(files: readonly ComposeFile[]): ComposeFile {
  const joined: ComposeFile = { name: files[0]?.name ?? '', services: {}, networks: {}, volumes: {} };
  for (const file of files) {
    for (const part of ['services', 'networks', 'volumes'] as const) {
      for (const [name, value] of Object.entries(file[part])) {
        if (name in joined[part]) throw new Error(`two Compose files both define ${part}.${name}`);
        (joined[part] as Record<string, unknown>)[name] = value;
      }
    }
  }
  return joined;
}

export function service(file: ComposeFile, name: string): Service {
  const found = file.services[name];
  if (found === undefined) throw new Error(`there is no service ${name}`);
  return found;
}

/** Removes a service and its volumes. Services that depend on it then depend on `instead`, if given. */
export function dropService(file: ComposeFile, name: string, instead?: string): void {
  for (const mount of service(file, name).volumes ?? []) delete file.volumes[mount.split(':')[0] ?? ''];
  delete file.services[name];
  for (const one of Object.values(file.services)) {
    const condition = one.depends_on?.[name];
    if (one.depends_on === undefined || condition === undefined) continue;
    delete one.depends_on[name];
    if (instead !== undefined) one.depends_on[instead] = condition;
  }
}

/** Removes a volume from all services. */
export function dropVolume(file: ComposeFile, key: string): void {
  delete file.volumes[key];
  for (const one of Object.values(file.services))
    if (one.volumes) one.volumes = one.volumes.filter((mount) => mount.split(':')[0] !== key);
}

/** Connects a service to a network, with aliases if given. */
export function joinNetwork(
  file: ComposeFile,
  name: string,
  network: string,
  aliases: readonly string[] = [],
): void {
  (service(file, name).networks ??= {})[network] = aliases.length > 0 ? { aliases: [...aliases] } : {};
}

/** Renames a network and replaces its configuration. */
export function replaceNetwork(
  file: ComposeFile,
  from: string,
  to: string,
  network: ComposeFile['networks'][string],
): void {
  const renamed = <T>(networks: Record<string, T>, as: (old: T) => T): Record<string, T> =>
    Object.fromEntries(
      Object.entries(networks).map(([name, one]) => (name === from ? [to, as(one)] : [name, one])),
    );
  file.networks = renamed(file.networks, () => network);
  for (const one of Object.values(file.services))
    if (one.networks) one.networks = renamed(one.networks, (old) => old);
}

/** Doubles every `$`: Compose would read a single one as a variable. */
function escapeDollars(node: unknown): unknown {
  if (typeof node === 'string') return node.replaceAll('$', '$$$$');
  if (Array.isArray(node)) return node.map(escapeDollars);
  if (typeof node === 'object' && node !== null) {
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, escapeDollars(value)]));
  }
  return node;
}

const indent = (text: string, by: number): string => text.replace(/^(?=.)/gm, ' '.repeat(by));

/** The text of compose.yaml: literals only, a service's `x-about` as a comment above it. */
export function printCompose(file: ComposeFile): string {
  const part = (name: string, value: unknown): string => printYaml({ [name]: escapeDollars(value) });
  const services = Object.entries(file.services).map(([name, { 'x-about': about, ...rest }]) => {
    const comment = about === undefined ? '' : `  # ${about.replaceAll(/\s+/g, ' ')}\n`;
    return `${comment}${indent(part(name, rest), 2)}`;
  });
  return [
    '# Written by fedi-setup from fedi.yaml; changes belong there or in compose.override.yaml.\n',
    '# `docker compose up -d` in this directory works without fedi-setup.\n',
    part('name', file.name),
    ...(file['x-data'] === undefined ? [] : [part('x-data', file['x-data'])]),
    '\nservices:\n',
    services.join('\n'),
    '\n',
    part('networks', file.networks),
    '\n',
    part('volumes', file.volumes),
  ].join('');
}

/** Throws on a service without an image or on an unknown network: a bug of fedi-setup. */
export function assertComplete(file: ComposeFile): void {
  for (const [name, { image, networks }] of Object.entries(file.services)) {
    if (!image) throw new Problem(EXIT.FAILED, `The service ${name} has no image.`);
    for (const network of Object.keys(networks ?? {})) {
      if (!(network in file.networks))
        throw new Error(`the service ${name} is on the unknown network ${network}`);
    }
  }
}
