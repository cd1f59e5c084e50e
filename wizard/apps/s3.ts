/** Pictures and videos in an S3 bucket instead of on this host: the questions, and what apps make of the answers. */
import type { Config } from '../config/config.ts';
import { parseChoice, parseHost, parseHttps, parseLine, parsePort } from '../config/parse.ts';
import type { Parsed } from '../config/parse.ts';
import { flagOf, variableOf } from '../config/question.ts';
import type { Answers, Question } from '../config/question.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Secret } from '../secrets/secret.ts';
import { bucketHost, publicUrl } from '../prove/s3.ts';
import type { Bucket } from '../prove/s3.ts';
import type { EnvGroup } from '../render/env.ts';

/** `https://host[:port]` and nothing behind it. */
export function parseEndpoint(text: string): Parsed<string> {
  const parsed = parseHttps(text);
  if ('problem' in parsed) return parsed;
  const url = new URL(parsed.value);
  if (url.pathname !== '/' || url.search !== '')
    return { problem: `Only https:// and the host, without ${url.pathname}${url.search} behind it.` };
  return { value: url.origin };
}

/** Amazon's rule, which the others share: 3 to 63 of a-z, 0-9, dots and dashes, and no IP address. */
export function parseBucket(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  return /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(line.value) &&
    !line.value.includes('..') &&
    !/^[\d.]+$/.test(line.value)
    ? line
    : { problem: '3 to 63 of a-z, 0-9, dots and dashes, such as my-server-media.' };
}

function parseRegion(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  return /^[A-Za-z0-9][A-Za-z0-9-]{0,49}$/.test(line.value)
    ? line
    : { problem: 'Not a region such as eu-central-1, fsn1 or auto.' };
}

/** One word of printable characters. Keys are copied out of web pages: what clings to them at the ends is none of them. */
function parseAccessKey(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  return /^[\x21-\x7e]+$/.test(line.value)
    ? line
    : { problem: 'It holds a space or a letter that no key has. Copy it again.' };
}

/** `media.example.org`, `cdn.example.org/file/bucket`: what comes between `https://` and the object's name. */
export function parseAlias(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const scheme = /^[a-z]+:\/\//i.exec(line.value)?.[0];
  if (scheme !== undefined) return { problem: `Only the name, without ${scheme} in front.` };
  const [, host = '', port, path = ''] = /^([^/:]*)(?::([^/]*))?(\/.*)?$/.exec(line.value) ?? [];
  const name = parseHost(host);
  if ('problem' in name) return name;
  if (port !== undefined) {
    const number = parsePort(port);
    if ('problem' in number) return number;
  }
  if (!/^[\w.~/-]*$/.test(path)) return { problem: 'Its path may hold letters, digits and . ~ _ - / only.' };
  return { value: `${name.value}${port === undefined ? '' : `:${port}`}${path.replace(/\/+$/, '')}` };
}

const keyOf = (app: string, name: string): string => `apps.${app}.s3.${name}`;

/** Name of the secret key in the store. */
export const secretKeyOf = (app: string): string => keyOf(app, 'secret-key');

/** What becomes of media that are there when they are kept elsewhere from now on; sentences. */
export interface Moves {
  readonly toBucket: string;
  readonly fromBucket: string;
  /** @param before name of the bucket so far */
  readonly between: (before: string) => string;
}

/** For apps that look for all media in one place. */
const COPY: Moves = {
  toBucket:
    'What was uploaded so far stays on this host: copy it into the bucket, or old posts lose their pictures.',
  fromBucket:
    'What is in the bucket stays there: copy it into the volume of the media, or old posts lose their pictures.',
  between: (before) =>
    `What is in the bucket ${before} stays there: copy it into the new one, or old posts lose their pictures.`,
};

/** Rows of an app that can keep its media in a bucket. */
export function s3Questions(app: string, moves: Moves = COPY): Question[] {
  const when = (answers: Answers): boolean => answers[`apps.${app}.media`] === 's3';
  return [
    {
      key: `apps.${app}.media`,
      topic: 'storage',
      message: 'Where pictures and videos are kept',
      help: 'Default `local`: on this host. `s3`: in a bucket, as a big server needs. What is on this host by then does not move by itself.',
      choices: [
        { value: 'local', name: 'On this host' },
        { value: 's3', name: 'In an S3 bucket (AWS, R2, B2, Hetzner, Scaleway, Garage, …)' },
      ],
      parse: parseChoice(['local', 's3']),
      initial: () => 'local',
      later: (before) => ({
        leaves: before === 's3' ? moves.fromBucket : moves.toBucket,
      }),
    },
    {
      key: keyOf(app, 'endpoint'),
      topic: 'storage',
      message: 'Address of the S3 interface',
      help: 'As https://fsn1.your-objectstorage.com or https://ACCOUNT.r2.cloudflarestorage.com, without the bucket; left out for AWS.',
      parse: parseEndpoint,
      optional: true,
      when,
    },
    {
      key: keyOf(app, 'region'),
      topic: 'storage',
      message: 'Region of the bucket',
      help: 'Default us-east-1. As your provider names it: eu-central-1 (AWS), fsn1 (Hetzner), fr-par (Scaleway), auto (R2), garage (Garage).',
      parse: parseRegion,
      initial: () => 'us-east-1',
      when,
    },
    {
      key: keyOf(app, 'bucket'),
      topic: 'storage',
      message: 'Name of the bucket',
      help: 'Make it at your provider first; everybody may read what is in it, nobody may list it.',
      parse: parseBucket,
      when,
      later: (before) =>
        before === undefined
          ? undefined
          : {
              leaves: moves.between(String(before)),
            },
    },
    {
      key: keyOf(app, 'access-key'),
      topic: 'storage',
      message: 'Access key of the bucket',
      help: 'The public half of the key pair, which may read, write and delete in this bucket and nothing else.',
      parse: parseAccessKey,
      when,
    },
    {
      key: keyOf(app, 'secret-key'),
      topic: 'storage',
      message: 'Secret key of the bucket',
      help: 'The secret half; kept in secrets.json, readable by you only.',
      parse: parseAccessKey,
      secret: true,
      // What is in the store already need not be given again; s3Env says when there is none.
      optional: true,
      when,
    },
    {
      key: keyOf(app, 'alias'),
      topic: 'storage',
      message: 'Public host of the bucket',
      help: 'A name of yours or a CDN that leads to the bucket, such as media.example.org; R2 needs one. Left out: the address and the bucket.',
      parse: parseAlias,
      optional: true,
      when,
    },
    {
      key: keyOf(app, 'acl'),
      topic: 'storage',
      message: 'Who makes an object public',
      help: 'Default `public-read`: each object says so. `none`: the bucket’s own policy does, as with R2, B2, Garage and new AWS buckets.',
      choices: [
        { value: 'public-read', name: 'Each object, by an ACL' },
        { value: 'none', name: 'The bucket’s own policy' },
      ],
      parse: parseChoice(['public-read', 'none']),
      initial: () => 'public-read',
      when,
    },
  ];
}

/** The bucket of an app; undefined: its media are on this host. */
export function bucketOf(answers: Answers, app: string): Bucket | undefined {
  if (answers[`apps.${app}.media`] !== 's3') return undefined;
  const maybe = (name: string): string | undefined => {
    const value = answers[keyOf(app, name)];
    return value === undefined ? undefined : String(value);
  };
  return {
    endpoint: maybe('endpoint'),
    region: maybe('region') ?? '',
    name: maybe('bucket') ?? '',
    accessKey: maybe('access-key') ?? '',
    alias: maybe('alias'),
    acl: maybe('acl') === 'none' ? 'none' : 'public-read',
  };
}

/** Answers that are fine by themselves but do not go together. */
export function s3Problems({ answers }: Config, app: string): string[] {
  const bucket = bucketOf(answers, app);
  if (bucket === undefined) return [];
  const problems: string[] = [];
  const host = bucketHost(bucket);
  if (host.startsWith(`${bucket.name}.`))
    problems.push(
      `The address of the S3 interface has the bucket in it. It is https://${host.slice(bucket.name.length + 1)}.`,
    );
  if (host.endsWith('.r2.cloudflarestorage.com') && bucket.alias === undefined)
    problems.push(
      `R2 shows nobody a file under its own address. Connect a domain to the bucket and give it as --${app}-s3-alias.`,
    );
  return problems;
}

/** The secret half, in words when nobody ever gave it. */
function secretOf(app: string, secret: (name: string) => Secret): Secret {
  const row = s3Questions(app).find(({ key }) => key === secretKeyOf(app)) as Question;
  try {
    return secret(row.key);
  } catch (error) {
    throw new Problem(EXIT.USAGE, 'The bucket has an access key but no secret key.', {
      means: 'Nothing was changed.',
      next: `Give --${flagOf(row)} FILE (or -), or ${variableOf(row)}.`,
      cause: error,
    });
  }
}

/** Variables of Mastodon (config/initializers/paperclip.rb, v4.6.5); none without a bucket. */
export function mastodonS3(config: Config, secret: (name: string) => Secret): EnvGroup {
  const bucket = bucketOf(config.answers, 'mastodon');
  if (bucket === undefined) return {};
  const foreign = bucket.endpoint !== undefined;
  return {
    S3_ENABLED: 'true',
    S3_BUCKET: bucket.name,
    AWS_ACCESS_KEY_ID: bucket.accessKey,
    AWS_SECRET_ACCESS_KEY: secretOf('mastodon', secret),
    S3_REGION: bucket.region,
    S3_ENDPOINT: bucket.endpoint,
    S3_PROTOCOL: 'https',
    // One of the two stands in the pages' Content-Security-Policy; the default is a name that Amazon no longer uses.
    S3_HOSTNAME: bucket.alias === undefined ? bucketHost(bucket) : undefined,
    S3_ALIAS_HOST: bucket.alias,
    // Empty on purpose: left out, every object is sent with public-read.
    S3_PERMISSION: bucket.acl === 'none' ? '' : undefined,
    // Servers that are not Amazon's refuse the checksums that newer SDKs send along, and reads in parts.
    AWS_REQUEST_CHECKSUM_CALCULATION: foreign ? 'when_required' : undefined,
    AWS_RESPONSE_CHECKSUM_VALIDATION: foreign ? 'when_required' : undefined,
    S3_FORCE_SINGLE_REQUEST: foreign ? 'true' : undefined,
    // Upstream's 5 s and no second try make a slow moment of the provider a broken picture.
    S3_OPEN_TIMEOUT: 10,
    S3_READ_TIMEOUT: 20,
    S3_RETRY_LIMIT: 2,
    // Google's uploads in parts take no ACL; what is above is sent in one piece.
    S3_MULTIPART_THRESHOLD: bucketHost(bucket) === 'storage.googleapis.com' ? 52_428_800 : undefined,
  };
}

/** Variables of Pixelfed (config/filesystems.php, 0.12.6); none without a bucket. */
export function pixelfedS3(config: Config, secret: (name: string) => Secret): EnvGroup {
  const bucket = bucketOf(config.answers, 'pixelfed');
  if (bucket === undefined) return {};
  const foreign = bucket.endpoint !== undefined;
  return {
    PF_ENABLE_CLOUD: 'true',
    FILESYSTEM_CLOUD: 's3',
    AWS_BUCKET: bucket.name,
    AWS_ACCESS_KEY_ID: bucket.accessKey,
    AWS_SECRET_ACCESS_KEY: secretOf('pixelfed', secret),
    AWS_DEFAULT_REGION: bucket.region,
    AWS_ENDPOINT: bucket.endpoint,
    AWS_URL: publicUrl(bucket, '').replace(/\/$/, ''),
    // The address has the bucket in its path, as publicUrl says.
    AWS_USE_PATH_STYLE_ENDPOINT: 'true',
    AWS_VISIBILITY: 'public',
    // Servers that are not Amazon's refuse the checksums that newer SDKs send along. Not Pixelfed's own: its SDK reads them.
    AWS_REQUEST_CHECKSUM_CALCULATION: foreign ? 'WHEN_REQUIRED' : undefined,
    AWS_RESPONSE_CHECKSUM_VALIDATION: foreign ? 'WHEN_REQUIRED' : undefined,
  };
}
