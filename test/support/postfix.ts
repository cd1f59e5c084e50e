/** A real mail server on a site's network: Postfix with log-in, TLS with the site's CA, and a readable mailbox. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeRoot, splitRoot } from '../../wizard/secrets/openssl.ts';
import { needImages } from './acme.ts';
import { docker } from './site.ts';

export const MAIL_HOST = 'mail.fedi.test';
/** Resolves to it too, but is not in the certificate. */
export const OTHER_HOST = 'other.fedi.test';
export const MAIL_USER = 'anna@fedi.test';
export const MAIL_PASSWORD = 'pass word’s "half" $1';
/** The server refuses it for every sender. */
export const STRANGER = 'stranger@fedi.test';

export interface Postfix {
  /** Certificate and key of the CA of its certificate: for --tls-root-file. */
  readonly root: string;
  /** Starts it on a Docker network and waits until it is healthy. */
  start(network: string): Promise<void>;
  /** All received mails, as one mbox. */
  inbox(): string;
  empty(): void;
  remove(): void;
}

export async function postfix(name: string): Promise<Postfix> {
  needImages('postfix');
  const folder = mkdtempSync(join(tmpdir(), 'fedi-postfix-'));
  const root = await makeRoot('mail test CA');
  const parts = splitRoot(root);
  if ('problem' in parts) throw new Error(parts.problem);
  const file = (path: string): string => join(folder, path);
  writeFileSync(file('root.crt'), parts.certificate);
  writeFileSync(file('root.key'), parts.key, { mode: 0o600 });
  execFileSync(
    'openssl',
    [
      ...'req -x509 -newkey rsa:2048 -nodes -days 30'.split(' '),
      ...`-subj /CN=${MAIL_HOST} -addext subjectAltName=DNS:${MAIL_HOST}`.split(' '),
      ...'-addext basicConstraints=critical,CA:FALSE'.split(' '),
      ...['CA root.crt', 'CAkey root.key', 'keyout mail.key', 'out mail.crt'].flatMap((pair) => {
        const [flag = '', path = ''] = pair.split(' ');
        return [`-${flag}`, file(path)];
      }),
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const remove = (): void => {
    try {
      docker('rm', '--force', '--volumes', name);
    } catch {
      // it did not exist
    }
  };
  remove();
  return {
    root,
    start: async (network) => {
      docker(
        ...`run --detach --name ${name} --network ${network}`.split(' '),
        ...`--network-alias ${MAIL_HOST} --network-alias ${OTHER_HOST}`.split(' '),
        '--env',
        `SMTP_USER=${MAIL_USER}`,
        '--env',
        `SMTP_PASS=${MAIL_PASSWORD}`,
        '--volume',
        `${folder}:/tls:ro`,
        'fedi-setup/postfix:trixie',
      );
      for (;;) {
        const state = docker('inspect', '--format', '{{.State.Status}} {{.State.Health.Status}}', name);
        if (state === 'running healthy') return;
        if (!state.startsWith('running')) throw new Error(`Postfix ended: ${docker('logs', name)}`);
        await delay(250);
      }
    },
    inbox: () => docker('exec', name, 'inbox'),
    empty: () => void docker('exec', name, 'inbox', '--empty'),
    remove: () => {
      remove();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
