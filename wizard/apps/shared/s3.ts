/** Pictures and videos in an S3 bucket: the questions, and the apps' variables. */
import { isIP } from 'node:net';
import { bucketHost, isPlain } from '../../config/bucket.ts';
import { isPublic } from '../../config/addresses.ts';
import type { Bucket } from '../../config/bucket.ts';
import { BUCKET_PROVIDERS, OTHER_BUCKET_PROVIDER, endpointOf } from '../../config/bucket-providers.ts';
import type { BucketProvider } from '../../config/bucket-providers.ts';
import type { AppConfig } from '../../config/config.ts';
import { oneOf, parseHost, parseHttps, parseLine, parseOuterHost, parsePort } from '../../config/parse.ts';
import type { Parsed } from '../../config/parse.ts';
import { flagOf, variableOf } from '../../config/question.ts';
import type { Answers, Question } from '../../config/question.ts';
import { EXIT, Problem } from '../../problem.ts';
import type { Secret } from '../../secrets/secret.ts';

/** `https://host[:port]` or, in a private network, `http://host[:port]`, without a path. */
export function parseEndpoint(text: string): Parsed<string> {
  const isHttp = /^\s*http:\/\//i.test(text);
  const parsed = parseHttps(isHttp ? text.replace(/http/i, 'https') : text);
  if ('problem' in parsed) return parsed;
  const url = new URL(parsed.value);
  if (url.pathname !== '/' || url.search !== '')
    return {
      problem: `Only http${isHttp ? '' : 's'}:// and the host: leave out ${url.pathname}${url.search}.`,
    };
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const outer = parseOuterHost(host);
  if ('problem' in outer) return outer;
  if (!isHttp) return { value: url.origin };
  if (isIP(host) !== 0 && isPublic(host))
    return { problem: 'http:// is for a private network. A public address needs https://.' };
  // The port is read from the text: URL drops 443 of an https:// address.
  return { value: new URL(text.trim()).origin };
}

/** Amazon's rule, which other providers share: 3 to 63 of a-z, 0-9, dots and dashes, not an IP address. */
export function parseBucket(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  return /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(line.value) &&
    !line.value.includes('..') &&
    !/^[\d.]+$/.test(line.value)
    ? line
    : { problem: 'Use 3 to 63 characters: a-z, 0-9, dots and dashes, such as my-server-media.' };
}

function parseRegion(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  return /^[A-Za-z0-9][A-Za-z0-9-]{0,49}$/.test(line.value)
    ? line
    : { problem: 'Not a region such as eu-central-1, fsn1 or auto.' };
}

/** One word of printable characters. Keys are copied from web pages, so white space at the ends is removed. */
function parseAccessKey(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  return /^[\x21-\x7e]+$/.test(line.value)
    ? line
    : { problem: 'It contains a space or a character that no key has. Copy it again.' };
}

/** `media.example.org`, `cdn.example.org/file/bucket`: the part between `https://` and the object's name. */
export function parseAlias(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const scheme = /^[a-z]+:\/\//i.exec(line.value)?.[0];
  if (scheme !== undefined) return { problem: `Only the name: leave out ${scheme}.` };
  const [, host = '', port, path = ''] = /^([^/:]*)(?::([^/]*))?(\/.*)?$/.exec(line.value) ?? [];
  const name = parseHost(host);
  if ('problem' in name) return name;
  if (!name.value.includes('.') && isIP(name.value) === 0)
    return { problem: 'Not a public host name. Example: media.example.org' };
  if (port !== undefined) {
    const number = parsePort(port);
    if ('problem' in number) return number;
  }
  if (!/^[\w.~/-]*$/.test(path))
    return { problem: 'The path may contain only letters, digits and . ~ _ - /.' };
  return { value: `${name.value}${port === undefined ? '' : `:${port}`}${path.replace(/\/+$/, '')}` };
}

const keyOf = (app: string, name: string): string => `apps.${app}.s3.${name}`;

/** The provider that was chosen; undefined: another one, or none. */
const providerIn = (answers: Answers, app: string): BucketProvider | undefined =>
  BUCKET_PROVIDERS.find(({ id }) => id === answers[keyOf(app, 'provider')]);

/** 32 hexadecimal digits. */
function parseAccount(text: string): Parsed<string> {
  const value = text.trim().toLowerCase();
  return /^[0-9a-f]{32}$/.test(value)
    ? { value }
    : { problem: 'Not an account ID: 32 characters of 0-9 and a-f, as the dashboard shows it.' };
}

/** Name of the secret key in the store. */
export const secretKeyOf = (app: string): string => keyOf(app, 'secret-key');

/** What happens to existing media when the place for media changes; sentences. */
export interface Moves {
  readonly toBucket: string;
  readonly fromBucket: string;
  /** @param before name of the old bucket */
  readonly between: (before: string) => string;
}

/** For apps that expect all media in one place. */
const COPY: Moves = {
  toBucket:
    'Existing uploads stay on this host, and old posts lose their pictures. `fedi-setup media move --to s3` changes the place and moves them.',
  fromBucket:
    'Existing uploads stay in the bucket, and old posts lose their pictures. `fedi-setup media move --to local` changes the place and moves them.',
  between: (before) =>
    `Existing uploads stay in the bucket ${before}: copy them into the new one, or old posts lose their pictures.`,
};

type Acl = Bucket['acl'];
const BY_ACL = { value: 'public-read', name: 'By an ACL on each object' } as const;
const BY_POLICY = { value: 'none', name: 'By the bucket’s policy' } as const;

/** For an app that knows only the first: the reason is the answer to the second. */
function onlyAcl(reason: string): ReturnType<typeof oneOf<Acl>> {
  const { choices, parse } = oneOf<Acl>([BY_ACL]);
  return {
    choices,
    parse: (text) => (text.trim() === BY_POLICY.value ? { problem: reason } : parse(text)),
  };
}

const needsAccount = ({ endpoint }: BucketProvider): boolean => endpoint?.includes('ACCOUNT') === true;

/** The providers to choose from. @param needsAcl the reason to refuse those without ACLs; undefined: there is none */
function providerChoice(
  accepted: readonly BucketProvider[],
  needsAcl: string | undefined,
): ReturnType<typeof oneOf<string>> {
  const { choices, parse } = oneOf([
    { value: OTHER_BUCKET_PROVIDER, name: 'Another one, by its address' },
    ...accepted.map(({ id, name }) => ({ value: id, name })),
  ]);
  return {
    choices,
    parse: (text) => {
      const one = BUCKET_PROVIDERS.find((known) => known.id === text.trim() && !accepted.includes(known));
      return one === undefined ? parse(text) : { problem: `${needsAcl ?? ''} ${one.name} has none.` };
    },
  };
}

/** @param needsAcl why the app needs an ACL on each object; absent: it does not */
export function s3Questions(
  app: string,
  { moves = COPY, needsAcl }: { readonly moves?: Moves; readonly needsAcl?: string } = {},
): Question[] {
  const when = (answers: Answers): boolean => answers[`apps.${app}.media`] === 's3';
  const provider = (answers: Answers): BucketProvider | undefined => providerIn(answers, app);
  const accepted = BUCKET_PROVIDERS.filter(({ refusesAcl }) => needsAcl === undefined || refusesAcl !== true);
  /** Whether the provider determines the address. */
  const hasEndpoint = (answers: Answers): boolean => {
    const known = provider(answers);
    if (known === undefined || known.isOwn === true) return false;
    return !needsAccount(known) || answers[keyOf(app, 'account')] !== undefined;
  };
  const account: Question = {
    key: keyOf(app, 'account'),
    topic: 'storage',
    message: 'Account ID at the provider',
    help: 'A part of the address of the S3 interface at Cloudflare R2. For a bucket in a jurisdiction such as the EU, give the whole address instead.',
    parse: parseAccount,
    optional: true,
    applies: `only if \`${keyOf(app, 'provider')}\` is \`r2\``,
    when: (answers) => {
      const known = provider(answers);
      return when(answers) && known !== undefined && needsAccount(known);
    },
  };
  return [
    {
      key: `apps.${app}.media`,
      topic: 'storage',
      message: 'Where to store pictures and videos',
      help: 'Default `local`: on this host. `s3`: in a bucket, for big servers. Existing files are not moved.',
      ...oneOf([
        { value: 'local', name: 'On this host' },
        { value: 's3', name: 'In an S3 bucket' },
      ]),
      initial: () => 'local',
      onChange: (before) => ({
        leaves: before === 's3' ? moves.fromBucket : moves.toBucket,
      }),
    },
    {
      key: keyOf(app, 'provider'),
      topic: 'storage',
      message: 'Provider of the bucket',
      help: 'Sets the address, and the defaults of region and ACL. Leave it out for a provider that is not listed.',
      ...providerChoice(accepted, needsAcl),
      optional: true,
      when,
      isShown: (answers) => provider(answers) !== undefined,
      notes: (answers) => [provider(answers)?.hint ?? []].flat(),
    },
    ...(accepted.some(needsAccount) ? [account] : []),
    {
      key: keyOf(app, 'endpoint'),
      topic: 'storage',
      message: 'Address of the S3 interface',
      help: 'Such as https://fsn1.your-objectstorage.com or https://ACCOUNT.r2.cloudflarestorage.com, without the bucket. Default: that of `s3.provider`, or AWS.',
      more: 'http:// is possible in a private network, for example to a NAS. Browsers then need a public host with https:// for the bucket.',
      parse: parseEndpoint,
      derivedFrom: [keyOf(app, 'provider')],
      optional: true,
      isKnown: hasEndpoint,
      isShown: (answers) => !hasEndpoint(answers),
      when,
      notes: (answers) =>
        isPlain({ endpoint: String(answers[keyOf(app, 'endpoint')] ?? '') })
          ? ['Uploads go to this address unencrypted.']
          : [],
    },
    {
      key: keyOf(app, 'region'),
      topic: 'storage',
      message: 'Region of the bucket',
      help: 'Default: that of `s3.provider`, or us-east-1. As your provider calls it: eu-central-1 (AWS), fsn1 (Hetzner), fr-par (Scaleway), auto (R2), garage (Garage).',
      parse: parseRegion,
      derivedFrom: [keyOf(app, 'provider')],
      initial: (answers) => provider(answers)?.region ?? 'us-east-1',
      isKnown: (answers) => provider(answers)?.isRegionFixed === true,
      when,
    },
    {
      key: keyOf(app, 'bucket'),
      topic: 'storage',
      message: 'Name of the bucket',
      help: 'Create it at your provider first. Its objects must be publicly readable, but not listable.',
      parse: parseBucket,
      when,
      onChange: (before) =>
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
      help: 'The ID of a key that may read, write and delete objects in this bucket, and nothing else.',
      parse: parseAccessKey,
      when,
    },
    {
      key: keyOf(app, 'secret-key'),
      topic: 'storage',
      message: 'Secret key of the bucket',
      help: 'The secret of that key. It is stored in secrets.json, which only you can read.',
      parse: parseAccessKey,
      secret: true,
      // A stored key need not be given again; secretOf reports a missing one.
      optional: true,
      when,
    },
    {
      key: keyOf(app, 'alias'),
      topic: 'storage',
      message: 'Public host of the bucket',
      help: 'Your own domain or a CDN for the bucket, such as media.example.org. R2 needs one. Default: the address and the bucket.',
      parse: parseAlias,
      optional: true,
      when,
    },
    {
      key: keyOf(app, 'proxy'),
      topic: 'storage',
      message: 'Who serves the public host',
      help: 'Default `none`: the provider or a CDN. `caddy`: this site, from the S3 interface; the name must point to this host.',
      more: 'Caddy gets a certificate for it and passes on single files, without the list of files. All media then go through this host.',
      ...oneOf([
        { value: 'none', name: 'The provider, or a CDN' },
        { value: 'caddy', name: 'This site’s Caddy' },
      ]),
      optional: true,
      isShown: (answers) => answers[keyOf(app, 'proxy')] !== undefined,
      applies: `only if \`${keyOf(app, 'alias')}\` is given, and not for R2 and Garage`,
      when: (answers) =>
        when(answers) &&
        answers[keyOf(app, 'alias')] !== undefined &&
        provider(answers)?.needsAlias === undefined,
    },
    {
      key: keyOf(app, 'acl'),
      topic: 'storage',
      message: 'How objects become public',
      help: 'By an ACL on each object (`public-read`) or by the bucket’s policy (`none`), as with R2, B2, Garage and new AWS buckets. Default: that of `s3.provider`, or `public-read`.',
      ...(needsAcl === undefined ? oneOf([BY_ACL, BY_POLICY]) : onlyAcl(needsAcl)),
      derivedFrom: [keyOf(app, 'provider')],
      initial: (answers) => (needsAcl === undefined ? provider(answers)?.acl : undefined) ?? 'public-read',
      isKnown: (answers) => provider(answers) !== undefined,
      when,
    },
    {
      key: keyOf(app, 'style'),
      topic: 'more',
      message: 'Where the bucket’s name is in its URLs',
      help: 'Default `path`: https://HOST/BUCKET. `virtual`: https://BUCKET.HOST, as Alibaba and Tencent require.',
      ...oneOf([
        { value: 'path', name: 'In the path' },
        { value: 'virtual', name: 'Before the host' },
      ]),
      initial: () => 'path',
      when,
    },
  ];
}

/** Whether an app sets an ACL on each object, whatever its answers are. */
export const needsAcl = (questions: readonly Question[], app: string): boolean =>
  questions.find(({ key }) => key === keyOf(app, 'acl'))?.choices?.every(({ value }) => value !== 'none') ===
  true;

/** The bucket of an app in validated answers; undefined: its media is on this host. */
export function bucketIn(answers: Answers, app: string): Bucket | undefined {
  if (answers[`apps.${app}.media`] !== 's3') return undefined;
  const maybe = (name: string): string | undefined => {
    const value = answers[keyOf(app, name)];
    return value === undefined ? undefined : String(value);
  };
  const provider = providerIn(answers, app);
  const region = maybe('region') ?? '';
  return {
    ...(provider === undefined ? {} : { provider: provider.id }),
    endpoint: maybe('endpoint') ?? (provider && endpointOf(provider, region, maybe('account'))),
    region,
    name: maybe('bucket') ?? '',
    accessKey: maybe('access-key') ?? '',
    alias: maybe('alias'),
    ...(maybe('proxy') === 'caddy' ? { isProxied: true } : {}),
    acl: maybe('acl') === 'none' ? 'none' : 'public-read',
    style: maybe('style') === 'virtual' ? 'virtual' : 'path',
  };
}

/** Conflicts between valid answers; sentences. */
export function s3Problems({ id, bucket }: AppConfig): string[] {
  if (bucket === undefined) return [];
  const problems: string[] = [];
  const host = bucketHost(bucket);
  if (host.startsWith(`${bucket.name}.`))
    problems.push(
      `The address of the S3 interface contains the bucket. Use https://${host.slice(bucket.name.length + 1)}.`,
    );
  if (bucket.style === 'virtual' && isIP(host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')) !== 0)
    problems.push(
      `An address cannot have the bucket’s name before it. Use --${id}-s3-style path, or a host name.`,
    );
  if (isPlain(bucket) && bucket.alias === undefined)
    problems.push(
      `Browsers show no pictures from http:// addresses. Give a public host of the bucket as --${id}-s3-alias.`,
    );
  if (bucket.isProxied === true) {
    if (bucket.alias !== undefined && /[:/]/.test(bucket.alias))
      problems.push(
        `For --${id}-s3-proxy caddy, --${id}-s3-alias is a host name alone, without a port or a path.`,
      );
    if (bucket.style === 'virtual') problems.push(`--${id}-s3-proxy caddy needs --${id}-s3-style path.`);
  }
  const provider = BUCKET_PROVIDERS.find((one) => one.id === bucket.provider);
  if (provider !== undefined && bucket.endpoint === undefined) {
    if (provider.isOwn === true)
      problems.push(`Only you know the address of that server: give it as --${id}-s3-endpoint.`);
    else if (provider.endpoint !== undefined)
      problems.push(
        `The address at ${provider.name} has the account ID in it: give it as --${id}-s3-account, or the whole address as --${id}-s3-endpoint.`,
      );
  }
  const noFiles =
    provider?.needsAlias ??
    (host.endsWith('.r2.cloudflarestorage.com')
      ? BUCKET_PROVIDERS.find((one) => one.id === 'r2')?.needsAlias
      : undefined);
  if (noFiles !== undefined && bucket.alias === undefined)
    problems.push(`${noFiles} Give a public host of the bucket as --${id}-s3-alias.`);
  return problems;
}

/** The secret key. Throws a Problem when it was never given. */
export function bucketSecret(app: string, secret: (name: string) => Secret): Secret {
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
