/** The validated answers as a typed structure. */
import { tlsOf } from '../ingress/tls.ts';
import type { Tls } from '../ingress/tls.ts';
import { mailOf } from './mail.ts';
import type { Mail } from './mail.ts';
import type { Answers } from './question.ts';

/** One app of the site. */
export interface AppConfig {
  readonly id: string;
  readonly domain: string;
  /** The admin's user name, without the domain. */
  readonly admin: string;
  readonly email: string;
}

export interface Config {
  /** Compose project name: the prefix of all volumes, networks and containers. */
  readonly name: string;
  readonly apps: readonly AppConfig[];
  readonly tls: Tls;
  readonly mail: Mail;
  /** Address of this host that Caddy listens on. */
  readonly bind: string;
  /** Image name → reference, only for images that were chosen explicitly. */
  readonly images: Readonly<Record<string, string>>;
  readonly answers: Answers;
}

/** Turns flat answers into a config. They were validated before, so a missing one is a bug. */
export function configOf(answers: Answers): Config {
  const text = (key: string): string => {
    const value = answers[key];
    if (value === undefined) throw new Error(`no answer for ${key}`);
    return String(value);
  };
  const images: Record<string, string> = {};
  for (const [key, value] of Object.entries(answers)) {
    if (key.startsWith('images.')) images[key.slice('images.'.length)] = String(value);
  }
  return {
    name: text('name'),
    apps: text('apps')
      .split(',')
      .map((id) => ({
        id,
        domain: text(`apps.${id}.domain`),
        admin: text(`apps.${id}.admin`),
        email: text(`apps.${id}.email`),
      })),
    tls: tlsOf(answers),
    mail: mailOf(answers),
    bind: text('bind'),
    images,
    answers,
  };
}

/** Returns the app with that id. Throws if the site does not have it: that is a bug. */
export function appConfig(config: Config, id: string): AppConfig {
  const found = config.apps.find((app) => app.id === id);
  if (found === undefined) throw new Error(`the site has no ${id}`);
  return found;
}

/** The address at which this host reaches Caddy. */
export const ingressAddress = ({ bind }: Config): string =>
  bind === '0.0.0.0' || bind === '::' ? '127.0.0.1' : bind;
