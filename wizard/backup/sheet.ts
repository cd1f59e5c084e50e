/** The recovery sheet: a file with all that an empty host needs to restore a site. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readRecord } from '../backup-record.ts';
import type { Config } from '../config/config.ts';
import { bucketsIn, parseRepository } from '../config/backup.ts';
import type { Repository } from '../config/backup.ts';
import { bucketOf, secretFor } from '../config/backup-keys.ts';
import { EXIT, Problem } from '../problem.ts';
import { BACKUP_PASSWORD, BACKUP_SSH_KEY } from '../secrets/backup.ts';
import { Secret } from '../secrets/secret.ts';
import type { Store } from '../secrets/store.ts';
import { parseYaml, printYaml } from '../yaml.ts';
import { readOwnCas } from '../trust.ts';
import { sshFolder } from './restic.ts';

/** An access key and its secret, as far as they are known. */
export interface BucketKey {
  readonly key?: string | undefined;
  readonly secret?: Secret | undefined;
}

/** What a sheet, a secrets export or a plain password says. */
export interface Recovery {
  readonly password: Secret;
  readonly repositories: readonly Repository[];
  /** By the name of the bucket; that of the empty name is for all others. */
  readonly s3: Readonly<Record<string, BucketKey>>;
  readonly sshKey?: Secret | undefined;
  readonly knownHosts?: string | undefined;
  /** PEM of the CA certificates of the administrator's own servers. */
  readonly ownCas?: string | undefined;
}

/** The text of the sheet. @param tool version of fedi-setup */
export async function sheetText(folder: string, config: Config, store: Store, tool: string): Promise<string> {
  const used = Object.entries((await readRecord(folder)).repositories)
    .filter(([, { last }]) => last !== undefined)
    .map(([text]) => parseRepository(text));
  const all = [
    ...(config.backup?.repositories ?? []),
    ...used.flatMap((one) => ('value' in one ? one.value : [])),
  ];
  const repositories = all.filter(({ text }, i) => all.findIndex((one) => one.text === text) === i);
  const kinds = repositories.map(({ kind }) => kind);
  const keys = config.backup?.s3Keys ?? {};
  const secretOf = (bucket: string): string => store.find(secretFor(keys, bucket))?.reveal() ?? '';
  const own = bucketsIn(repositories).flatMap((name) =>
    keys[name] === undefined ? [] : [[name, { key: keys[name], secret: secretOf(name) }] as const],
  );
  const knownHosts = await readFile(join(sshFolder(folder), 'known_hosts'), 'utf8').catch(() => undefined);
  const ownCas = await readOwnCas(folder, config);
  return [
    `# Recovery sheet of the fedi-setup site ${config.name} (${config.apps.map(({ domain }) => domain).join(', ')}).`,
    '# Anyone with this file can read the backups, including private messages and secrets.',
    `# Keep it on another machine, in a password manager or printed. On a new host, install fedi-setup ${tool}, then:`,
    `#   fedi-setup restore --password-file THIS-FILE --dir ${folder}`,
    '# restic opens the backups too: RESTIC_PASSWORD is the password below.',
    printYaml({
      'fedi-setup': tool,
      site: config.name,
      repositories: repositories.map(({ text }) => text),
      password: store.get(BACKUP_PASSWORD).reveal(),
      ...(kinds.includes('s3') && (own.length === 0 || keys[''] !== undefined)
        ? { 's3-key': keys[''] ?? '', 's3-secret': secretOf('') }
        : {}),
      ...(own.length === 0 ? {} : { 's3-keys': Object.fromEntries(own) }),
      ...(kinds.includes('s3') && ownCas !== undefined ? { 'trust-ca': ownCas } : {}),
      ...(kinds.includes('sftp')
        ? {
            'ssh-key': store.find(BACKUP_SSH_KEY)?.reveal() ?? '',
            ...(knownHosts === undefined ? {} : { 'known-hosts': knownHosts }),
          }
        : {}),
    }),
  ].join('\n');
}

/** Parses a sheet, the output of `secrets export`, or a file with the password alone. Throws a Problem for any other text. */
export function parseRecovery(text: string, name: string): Recovery {
  const wrong = new Problem(EXIT.USAGE, `${name} is not a recovery sheet, a secrets export or a password.`, {
    means: 'Nothing was changed.',
    next: 'Give the file that `fedi-setup backup sheet` wrote, or one with the password as its only line.',
  });
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const [only = ''] = lines;
  if (lines.length === 1 && !/[\s{:]/.test(only.trim()))
    return { password: new Secret(only.trim()), repositories: [], s3: {} };
  let file: unknown;
  try {
    file = parseYaml(text); // JSON is YAML
  } catch {
    throw wrong;
  }
  if (typeof file !== 'object' || file === null || Array.isArray(file)) throw wrong;
  const { secrets, ...sheet } = file as Record<string, unknown>;
  const stored = (secrets ?? {}) as Record<string, { value?: unknown } | undefined>;
  const exported = (secret: string): unknown => stored[secret]?.value;
  const value = (found: unknown): string | undefined =>
    typeof found === 'string' && found !== '' ? found : undefined;
  const hidden = (found: unknown): Secret | undefined => {
    const words = value(found);
    return words === undefined ? undefined : new Secret(words);
  };
  const password = hidden(sheet['password'] ?? exported(BACKUP_PASSWORD));
  if (password === undefined) throw wrong;
  const places = Array.isArray(sheet['repositories']) ? sheet['repositories'] : [];
  return {
    password,
    repositories: places.flatMap((place) => {
      const parsed = parseRepository(String(place));
      return 'problem' in parsed ? [] : [parsed.value];
    }),
    s3: {
      ...Object.fromEntries(
        Object.keys(stored).flatMap((name) => {
          const bucket = bucketOf(name);
          return bucket === undefined ? [] : [[bucket, { secret: hidden(exported(name)) }]];
        }),
      ),
      ...(sheet['s3-key'] === undefined
        ? {}
        : { '': { key: value(sheet['s3-key']), secret: hidden(sheet['s3-secret']) } }),
      ...Object.fromEntries(
        Object.entries(
          (sheet['s3-keys'] ?? {}) as Record<string, { key?: unknown; secret?: unknown } | null>,
        ).map(([name, one]) => [name, { key: value(one?.key), secret: hidden(one?.secret) }]),
      ),
    },
    sshKey: hidden(sheet['ssh-key'] ?? exported(BACKUP_SSH_KEY)),
    knownHosts: value(sheet['known-hosts']),
    ownCas: value(sheet['trust-ca']),
  };
}
