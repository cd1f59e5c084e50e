/** The ladder for the mail settings of a site. */
import { appOf } from '../apps/index.ts';
import type { Config } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { runtimeOf } from '../docker/runtime.ts';
import { splitRoot } from '../secrets/openssl.ts';
import type { Secret } from '../secrets/secret.ts';
import type { Climb } from './ladder.ts';
import type { MailUser } from './session.ts';
import { certificatesIn } from '../trust.ts';
import { wayInside } from './way.ts';

export interface MailSite {
  readonly config: Config;
  readonly engine: Engine;
  readonly secret: (name: string) => Secret | undefined;
  /** Reference of Caddy's image. */
  readonly image: string;
  /** PEM of the CA certificates of the administrator's own servers. */
  readonly ownCas: string | undefined;
  /** The DNS of this host. */
  readonly addressRecords: (name: string, type: 'A' | 'AAAA') => Promise<string[]>;
}

/** The apps that send mail, each with its own sender. */
export const mailUsers = ({ apps, mail }: Config): MailUser[] =>
  apps.map((app) => {
    const { name, mailer } = appOf(app.id);
    return { name, domain: app.domain, to: app.email, ...mailer(app, mail) };
  });

/** Undefined: the site sends no mail. In the network of an app that runs, else in Docker's default one. */
export async function climbFor({
  config,
  engine,
  secret,
  image,
  ownCas,
  addressRecords,
}: MailSite): Promise<Climb | undefined> {
  const { server } = config.mail;
  if (server === undefined) return undefined;
  const services = config.apps.flatMap(({ id }) => appOf(id).mailClients);
  const runtime = runtimeOf(engine, config.name);
  const running = (await runtime.containers()).filter(({ state }) => state === 'running');
  const [client] = services.flatMap((service) => running.find((one) => one.service === service) ?? []);
  const root = config.tls.isLab ? splitRoot(secret('tls.root')?.reveal() ?? '') : undefined;
  return {
    server,
    password: secret('mail.password')?.reveal(),
    users: mailUsers(config),
    roots: [
      ...(root !== undefined && 'certificate' in root ? [root.certificate] : []),
      ...certificatesIn(ownCas ?? ''),
    ],
    way: wayInside(engine, image, client === undefined ? 'bridge' : `container:${client.id}`, addressRecords),
  };
}
