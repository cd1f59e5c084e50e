/** Access keys of the buckets for backups, and their secrets: one for all buckets, or one for each. */
import { forBucket, keysIn, parseRepository } from './backup.ts';
import type { ByBucket } from './backup.ts';
import { parseLine, parsePassword } from './parse.ts';
import type { Parsed } from './parse.ts';

/** The answer with the secrets. The secret of each bucket is stored under a name that begins with it. */
export const S3_SECRET = 'backup.s3-secret';

/** Name in secrets.json. @param bucket its name, or empty for all others */
export const secretName = (bucket: string): string => (bucket === '' ? S3_SECRET : `${S3_SECRET}:${bucket}`);

/** Name in secrets.json of the secret that opens a bucket. */
export const secretFor = (keys: ByBucket, bucket: string): string =>
  secretName(keys[bucket] === undefined ? '' : bucket);

/** The bucket whose secret has that name in secrets.json; undefined: it is another secret. */
export const bucketOf = (name: string): string | undefined =>
  name === S3_SECRET ? '' : name.startsWith(`${S3_SECRET}:`) ? name.slice(S3_SECRET.length + 1) : undefined;

const no = (problem: string): Parsed<never> => ({ problem });

/** The buckets that have their own. */
export const ownersIn = (keys: Readonly<Record<string, unknown>>): string[] =>
  Object.keys(keys).filter((name) => name !== '');

/** `host/bucket/path`, also with `s3:https://` in front. */
function parseBucket(text: string): Parsed<string> {
  if (text.startsWith('/')) return no(`${text} is a directory, which needs no key.`);
  if (text.startsWith('sftp:'))
    return no(
      `${text} is an SFTP server, which needs no such key: \`fedi-setup backup key\` prints its key.`,
    );
  const address = text.replace(/^s3:/, '');
  const parsed = parseRepository(`s3:${/^https?:\/\//.test(address) ? address : `https://${address}`}`);
  return 'value' in parsed && parsed.value.kind === 's3'
    ? { value: parsed.value.name }
    : // It may contain a password.
      no(
        `${text.includes('@') ? 'That' : `“${text}”`} is not a bucket. Write HOST/BUCKET=KEY, with the address of the bucket in backup.to.`,
      );
}

/** `KEY`, or `HOST/BUCKET=KEY` for each bucket, separated by commas; one KEY alone is that of all others. */
export function parseKeys(text: string): Parsed<string> {
  const line = parseLine(text, 4000);
  if ('problem' in line || !/[,=]/.test(line.value)) return line;
  const found = new Map<string, string>();
  for (const word of line.value.split(',').map((part) => part.trim())) {
    if (word === '') continue;
    const at = word.indexOf('=');
    const bucket: Parsed<string> = at < 0 ? { value: '' } : parseBucket(word.slice(0, at).trim());
    if ('problem' in bucket) return bucket;
    const [name, key] = [bucket.value, word.slice(at + 1).trim()];
    if (key === '' || (name === '' && key.includes('/')))
      return no(`${name || key} has no key. Write ${name || key}=KEY.`);
    if (/[\s=]/.test(key)) return no(`The key of ${name || 'all buckets'} has a space or = in it.`);
    if (found.has(name))
      return no(
        name === ''
          ? 'Only one key may be without HOST/BUCKET=: that of all other buckets.'
          : `${name} has two keys.`,
      );
    found.set(name, key);
  }
  if (found.size === 0) return no('A value is required.');
  return { value: [...found].map(([name, key]) => (name === '' ? key : `${name}=${key}`)).join(',') };
}

/** The same, for these buckets: refuses a key of another one, and a bucket without a key. */
export function parseKeysOf(text: string, buckets: readonly string[]): Parsed<string> {
  const parsed = parseKeys(text);
  if ('problem' in parsed) return parsed;
  const keys = keysIn(parsed.value);
  const unknown = ownersIn(keys).find((name) => !buckets.includes(name));
  if (unknown !== undefined) return no(`${unknown} is not in backup.to, which has ${buckets.join(' and ')}.`);
  const missing = buckets.find((name) => forBucket(keys, name) === undefined);
  return missing === undefined
    ? parsed
    : no(`${missing} has no key. Add ${missing}=KEY, or a KEY alone for all buckets without their own.`);
}

/** The secrets of these keys: one, or a line `HOST/BUCKET=SECRET` for each bucket that has its own key. Error messages quote none. */
export function parseSecrets(text: string, keys: ByBucket): Parsed<ByBucket> {
  const whole = parsePassword(text);
  if ('problem' in whole) return whole;
  const owners = ownersIn(keys);
  if (owners.length === 0) return { value: { '': text } };
  const wanted = `The keys are those of ${owners.join(' and ')}.`;
  const found: Record<string, string> = {};
  for (const [i, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '') continue;
    const at = line.indexOf('=');
    const before = parseBucket(line.slice(0, Math.max(0, at)));
    // A secret may have / and = too, but no host name begins it.
    const named =
      'value' in before && (owners.includes(before.value) || /^[^/]*[.:]/.test(before.value))
        ? before.value
        : undefined;
    const [name, secret] = named === undefined ? ['', line] : [named, line.slice(at + 1).trim()];
    if (named !== undefined && !owners.includes(named))
      return no(`Line ${i + 1} is for a bucket without its own key. ${wanted}`);
    if (named === undefined && keys[''] === undefined)
      return no(`Line ${i + 1} is not HOST/BUCKET=SECRET. ${wanted}`);
    if (secret === '') return no(`${name} has no secret after the =.`);
    if (found[name] !== undefined)
      return no(
        name === ''
          ? `Line ${i + 1} is the second one without HOST/BUCKET=. ${wanted}`
          : `${name} has two secrets.`,
      );
    found[name] = secret;
  }
  return Object.keys(found).length === 0 ? no('A value is required.') : { value: found };
}

/** The lines that {@link parseSecrets} reads. */
export const secretLines = (secrets: ByBucket): string =>
  Object.entries(secrets)
    .map(([name, secret]) => (name === '' ? secret : `${name}=${secret}`))
    .join('\n');
