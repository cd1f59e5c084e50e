/** The keys of buckets that a restore uses: those of its flags, else those of the recovery sheet. */
import { runningConfig } from '../apply/generations.ts';
import { bucketsIn, forBucket, keysIn } from '../config/backup.ts';
import type { ByBucket, Repository } from '../config/backup.ts';
import { ownersIn, parseKeys, parseSecrets, secretFor } from '../config/backup-keys.ts';
import type { Parsed } from '../config/parse.ts';
import { EXIT, Problem } from '../problem.ts';
import { Secret } from '../secrets/secret.ts';
import { Store } from '../secrets/store.ts';
import type { Access } from './restic.ts';
import type { Recovery } from './sheet.ts';

/** Keys and secrets of the flags, by the name of the bucket. */
export interface GivenKeys {
  readonly keys: ByBucket;
  readonly secrets: ByBucket;
}

/** Reads the flags of `restore`. Throws a Problem if one is for a bucket that is not among the repositories. */
export function givenKeys(
  flags: { readonly keys: string | undefined; readonly secrets: string | undefined },
  repositories: readonly Repository[],
  recovery: Recovery,
): GivenKeys {
  const keys = flags.keys === undefined ? {} : keysIn(taken('--backup-s3-key', parseKeys(flags.keys)));
  const buckets = bucketsIn(repositories);
  const unknown = ownersIn(keys).find((name) => !buckets.includes(name));
  if (unknown !== undefined)
    throw refusal(
      `--backup-s3-key: ${unknown} is not among the repositories: ${repositories.map(({ text }) => text).join(', ')}.`,
    );
  const owners = [...ownersIn(keys), ...ownersIn(recovery.s3)];
  const secrets =
    flags.secrets === undefined
      ? {}
      : taken(
          '--backup-s3-secret-file',
          parseSecrets(flags.secrets, Object.fromEntries(['', ...owners].map((name) => [name, '']))),
        );
  return { keys, secrets };
}

const refusal = (message: string): Problem =>
  new Problem(EXIT.USAGE, message, { means: 'Nothing was changed.' });

function taken<T>(flag: string, parsed: Parsed<T>): T {
  if ('value' in parsed) return parsed.value;
  throw refusal(`${flag}: ${parsed.problem}`);
}

/** The key of a bucket: that of the flags, else that of the recovery sheet. */
export function keyOf(
  bucket: string,
  { keys, secrets }: GivenKeys,
  { s3 }: Recovery,
): NonNullable<Access['s3']> {
  const known = forBucket(s3, bucket);
  const given = forBucket(secrets, bucket);
  const key = forBucket(keys, bucket) ?? known?.key;
  const secret = given === undefined ? known?.secret : new Secret(given);
  if (key !== undefined && secret !== undefined) return { key, secret };
  throw new Problem(EXIT.USAGE, `The key of the bucket ${bucket} is missing.`, {
    means: 'Nothing was changed.',
    next: 'Give the recovery sheet, or --backup-s3-key and --backup-s3-secret-file.',
  });
}

/** Stores the secrets of the site's buckets: they may be newer than those in the backup. */
export async function keepSecrets(
  folder: string,
  { repository, s3 }: Access,
  recovery: Recovery,
  now: Date,
): Promise<void> {
  const { repositories, s3Keys } = (await runningConfig(folder))?.backup ?? { repositories: [], s3Keys: {} };
  const store = await Store.open(folder);
  for (const name of bucketsIn(repositories)) {
    const { key, secret } =
      repository.kind === 's3' && repository.name === name && s3 !== undefined
        ? s3
        : (forBucket(recovery.s3, name) ?? {});
    if (secret !== undefined && key === forBucket(s3Keys, name))
      store.put(secretFor(s3Keys, name), 'free', secret.reveal(), now);
  }
  await store.save();
}
