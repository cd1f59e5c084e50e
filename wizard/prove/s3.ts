/** Proof of a bucket: writes an object, reads it anonymously, checks that nobody can list the bucket, deletes it. The only importer of aws4fetch. */
import { createHash, randomUUID } from 'node:crypto';
import { AwsV4Signer } from 'aws4fetch';
import { bucketHost, objectUrl, publicUrl } from '../config/bucket.ts';
import type { Bucket } from '../config/bucket.ts';
import { codeOf, messageOf } from '../problem.ts';
import type { Secret } from '../secrets/secret.ts';
import type { Client, Reply } from './http.ts';

export interface BucketKeys {
  readonly http: Client;
  readonly bucket: Bucket;
  readonly secretKey: Secret | undefined;
  /** `https://…` of the pages that show the media. */
  readonly origin: string;
}

/** Code and message of an S3 error; undefined if the reply is not one. */
function errorOf(reply: Reply): { code: string; message: string; region: string | undefined } | undefined {
  const text = reply.text();
  const field = (name: string): string | undefined =>
    new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1];
  const code = field('Code');
  return code === undefined ? undefined : { code, message: field('Message') ?? '', region: field('Region') };
}

/** What an S3 error means here and what to do about it. */
function meaning(
  bucket: Bucket,
  code: string,
  message: string,
  region: string | undefined,
): string | undefined {
  switch (code) {
    case 'AccessDenied':
    case 'AllAccessDisabled':
      return bucket.acl === 'public-read'
        ? 'the key may not do this. It needs the rights s3:GetObject, s3:PutObject, s3:PutObjectAcl and s3:DeleteObject on the bucket; where the bucket blocks public ACLs, set acl to none'
        : 'the key may not do this. It needs the rights s3:GetObject, s3:PutObject and s3:DeleteObject on the bucket';
    case 'InvalidAccessKeyId':
      return `there is no access key ${bucket.accessKey}. Was it copied whole, and is it one of this provider and region?`;
    case 'SignatureDoesNotMatch':
      return 'the secret key does not belong to this access key. Copy it again; if it is right, the region may be wrong';
    case 'NoSuchBucket':
      return `there is no bucket ${bucket.name}. Create it at your provider, or correct its name or the region`;
    case 'RequestTimeTooSkewed':
      return 'the clock of this host is wrong by more than 15 minutes. Set it: timedatectl set-ntp true';
    case 'AccessControlListNotSupported':
    case 'InvalidBucketAclWithObjectOwnership':
      return 'the bucket accepts no ACLs. Set acl to none and make the bucket readable by a policy';
    case 'SecondLevelDomainForbidden':
    case 'PathStyleDomainForbidden':
      return 'the provider expects the bucket’s name before the host. Set style to virtual';
    case 'AuthorizationHeaderMalformed':
    case 'PermanentRedirect':
    case 'TemporaryRedirect':
    case 'IllegalLocationConstraintException':
    case 'InvalidRegion':
      return `the bucket is not in the region ${bucket.region}.${region === undefined ? ' Use the one that your provider states' : ` It is in ${region}`}`;
    case 'SlowDown':
    case 'ServiceUnavailable':
    case 'InternalError':
      return 'the provider has a problem. Try again later';
    default:
      return message || undefined;
  }
}

/** Error for an unexpected reply. */
function refusal(bucket: Bucket, what: string, reply: Reply): Error {
  const error = errorOf(reply);
  const host = bucketHost(bucket);
  if (error === undefined)
    return new Error(
      `${what}: ${host} answered ${reply.status} and does not seem to speak S3: ${reply.text().slice(0, 80).replaceAll(/\s+/g, ' ')}`,
    );
  const words = meaning(bucket, error.code, error.message, error.region);
  return new Error(`${what}: ${words ?? `${host} answered ${reply.status}`} (${error.code})`);
}

/** There was no reply. */
export class Unreached extends Error {}

/** Error for a missing reply. */
function unreached(what: string, url: string, error: unknown): Unreached {
  const { hostname, host } = new URL(url);
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code = codeOf(cause);
  const causes: Partial<Record<string, string>> = {
    ENOTFOUND: `${hostname} does not exist in the DNS`,
    EAI_AGAIN: `the DNS did not answer for ${hostname}`,
    ECONNREFUSED: `nothing listens at ${host}`,
    ECONNRESET: `${host} ended the connection`,
    ETIMEDOUT: `${host} does not answer`,
    EHOSTUNREACH: `${host} cannot be reached`,
    ENETUNREACH: `${host} cannot be reached`,
    CERT_HAS_EXPIRED: `the certificate of ${host} has expired`,
    CERT_NOT_YET_VALID: `the certificate of ${host} is not valid yet`,
    ERR_TLS_CERT_ALTNAME_INVALID: `the certificate of ${host} is for another name`,
    EPROTO: `${host} does not speak TLS there, or has no certificate for that name`,
    ERR_SSL_WRONG_VERSION_NUMBER: `${host} does not speak TLS there`,
    ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR: `${host} has no certificate for that name`,
  };
  const known =
    code === undefined
      ? undefined
      : (causes[code] ??
        (/CERT|ISSUER|SIGNATURE/.test(code) ? `the certificate of ${host} is not trusted` : undefined));
  // The client adds this if the clock of this host is wrong.
  const clock = /\. The clock of this host [\s\S]*/.exec(messageOf(error))?.[0] ?? '';
  const words = known === undefined ? messageOf(error) : `${known} (${code})${clock}`;
  return new Unreached(`${what}: ${words}`, {
    cause: error,
  });
}

/** Writes, reads, tries to list and deletes one small object; resolves to the evidence. */
export const proveBucket = (keys: BucketKeys): Promise<string> => writeAndRead(keys, true);

/**
 * The same before the site runs. A public host (`alias`) may be served by this site's Caddy, which is not running yet, so
 * then only the S3 interface is tested.
 */
export const tryBucket = (keys: BucketKeys): Promise<string> =>
  writeAndRead(keys, keys.bucket.alias === undefined);

async function writeAndRead(
  { http, bucket, secretKey, origin }: BucketKeys,
  anonymous: boolean,
): Promise<string> {
  if (secretKey === undefined) throw new Error('the secret key is not in secrets.json');
  const key = `fedi-setup/${randomUUID()}.txt`;
  const content = `fedi-setup was here, ${key}`;

  const send = async (what: string, url: string, options: Parameters<Client>[1]): Promise<Reply> => {
    try {
      return await http(url, options);
    } catch (error) {
      throw unreached(what, url, error);
    }
  };
  const signed = async (
    what: string,
    method: string,
    body = '',
    more: Record<string, string> = {},
  ): Promise<Reply> => {
    const { url, headers } = await new AwsV4Signer({
      accessKeyId: bucket.accessKey,
      secretAccessKey: secretKey.reveal(),
      service: 's3',
      region: bucket.region,
      url: objectUrl(bucket, key),
      method,
      headers: { 'X-Amz-Content-Sha256': createHash('sha256').update(body).digest('hex'), ...more },
    }).sign();
    return send(what, url.href, {
      method,
      headers: Object.fromEntries(headers),
      ...(body === '' ? {} : { body }),
    });
  };

  const put = await signed('writing', 'PUT', content, {
    'Content-Type': 'text/plain',
    ...(bucket.acl === 'public-read' ? { 'X-Amz-Acl': 'public-read' } : {}),
  });
  if (put.status !== 200) throw refusal(bucket, 'writing', put);
  let evidence = `written and deleted at ${bucketHost(bucket)}`;
  try {
    if (anonymous) evidence = await readAnonymously(bucket, key, content, origin, send);
  } catch (error) {
    await signed('deleting', 'DELETE').catch(() => undefined);
    throw error;
  }
  const removed = await signed('deleting', 'DELETE');
  if (removed.status !== 204 && removed.status !== 200) throw refusal(bucket, 'deleting', removed);
  return evidence;
}

async function readAnonymously(
  bucket: Bucket,
  key: string,
  content: string,
  origin: string,
  send: (what: string, url: string, options: Parameters<Client>[1]) => Promise<Reply>,
): Promise<string> {
  const url = publicUrl(bucket, key);
  const what = 'reading anonymously';
  const read = await send(what, url, { headers: { Origin: origin } });
  if (read.status !== 200) {
    const direct =
      bucket.alias === undefined
        ? undefined
        : await send(what, objectUrl(bucket, key), {}).catch(() => undefined);
    if (direct?.status === 200 || (direct !== undefined && read.status !== 403))
      throw new Error(
        `${what}: ${url} answered ${read.status}, though the object is in the bucket. ${bucket.alias} must point to the root of the bucket ${bucket.name}`,
      );
    throw new Error(
      `${what}: ${url} answered ${read.status}. ${
        bucket.acl === 'public-read'
          ? 'The provider accepts the ACL public-read but ignores it: allow public ACLs for the bucket, or make it readable by a policy and set acl to none'
          : 'The bucket is not public: allow everybody s3:GetObject on its objects, and nothing else'
      }`,
    );
  }
  if (!read.body.equals(Buffer.from(content)))
    throw new Error(`${what}: ${url} returned ${read.body.length} bytes that differ from those written`);
  const allowed = String(read.headers['access-control-allow-origin'] ?? '');
  if (allowed !== '*' && allowed !== origin)
    throw new Error(
      `${url} ${allowed === '' ? 'has no header Access-Control-Allow-Origin' : `allows ${allowed} only`}, so browsers will not show all media. Give the bucket a CORS rule: origin * (or ${origin}), methods GET and HEAD`,
    );

  const listings = [objectUrl(bucket, ''), ...(bucket.alias === undefined ? [] : [publicUrl(bucket, '')])];
  for (const top of listings) {
    // An error is fine: then nobody can list the bucket.
    const listed = await send('listing', top, {}).catch(() => undefined);
    if (listed?.text().includes('<ListBucketResult'))
      return `${url} is public; WARNING: so is the list of all files at ${top}: deny s3:ListBucket to everybody`;
  }
  return `written, read anonymously at ${new URL(url).host}, not listed, deleted`;
}

/** Throws unless a picture's URL is in the bucket and the page's Content-Security-Policy lets browsers show it. */
export function expectShown(bucket: Bucket, url: string, page: Reply): void {
  if (!url.startsWith(publicUrl(bucket, ''))) throw new Error(`the picture is at ${url}, not in the bucket`);
  const { origin } = new URL(url);
  const pictures = /img-src ([^;]*)/.exec(String(page.headers['content-security-policy'] ?? ''))?.[1];
  if (!pictures?.includes(origin))
    throw new Error(`the Content-Security-Policy of the pages does not allow ${origin}`);
}
