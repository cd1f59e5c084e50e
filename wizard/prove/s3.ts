/** Tries a bucket step by step with the settings of the app. Each step is a rung with a verdict. The only importer of aws4fetch. */
import { createHash, randomUUID } from 'node:crypto';
import { AwsV4Signer } from 'aws4fetch';
import { bucketHost, objectUrl, publicUrl, takesParts } from '../config/bucket.ts';
import type { Bucket } from '../config/bucket.ts';
import type { Secret } from '../secrets/secret.ts';
import { quoted } from '../visible.ts';
import type { Client, Reply } from './http.ts';
import { faultIn, faultOf, fieldOf } from './s3-faults.ts';
import type { Fault } from './s3-faults.ts';

export interface BucketKeys {
  readonly http: Client;
  readonly bucket: Bucket;
  readonly secretKey: Secret | undefined;
  /** `https://…` of the pages that show the media. */
  readonly origin: string;
  /** The app sets an ACL on each object, whatever the answers are. */
  readonly needsAcl?: boolean;
}

const TITLES = {
  write: 'writing',
  acl: 'ACL',
  head: 'looking it up',
  read: 'reading anonymously',
  cors: 'CORS',
  list: 'listing',
  parts: 'an upload in parts',
  delete: 'deleting',
} as const;

/** A step of the test of a bucket. A warning does not prevent its use. */
export interface BucketRung {
  readonly id: keyof typeof TITLES;
  readonly title: string;
  readonly state: 'passed' | 'warning' | 'failed';
  /** What was observed. */
  readonly seen: string;
  /** What to do; absent if it passed. */
  readonly next?: string;
  /** It failed because nothing answered. */
  readonly isUnreached?: true;
}

export interface BucketTrial extends BucketKeys {
  /** Also an upload in parts, as of a long video. It transfers 11 MB. */
  readonly withParts: boolean;
  /**
   * The site may not run yet: a public host (`alias`) that does not serve the object is a warning, because this site's Caddy
   * may serve that name.
   */
  readonly isEarly: boolean;
  /** Limit of all steps; absent: {@link WHOLE_MS}. */
  readonly wholeMs?: number;
}

const WHOLE_MS = 180_000;
/** Largest reply in bytes, apart from objects. */
const MOST_BYTES = 64 * 1024;
/** The smallest size of a part, apart from the last one, and a little more, so that there are two parts. */
const PART_BYTES = 5 * 1024 * 1024;
const BIG_BYTES = PART_BYTES + 1000;

const NOT_S3 =
  'What answers there does not keep objects as S3 does. Compare the endpoint with your provider’s instructions.';

/** Ends the test. */
class Stopped extends Error {
  readonly fault: Fault;
  readonly id: keyof typeof TITLES;
  constructor(id: keyof typeof TITLES, fault: Fault) {
    super(fault.seen);
    this.id = id;
    this.fault = fault;
  }
}

const allows = (acl: Bucket['acl']): Record<string, string> =>
  acl === 'public-read' ? { 'X-Amz-Acl': 'public-read' } : {};

interface Sending {
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: string;
  readonly most?: number;
}

/** Requests for one trial, within its time. */
class Requests {
  readonly #keys: BucketKeys;
  readonly #secret: Secret;
  readonly #deadline: number;
  readonly #wholeMs: number;
  constructor(keys: BucketKeys, secret: Secret, wholeMs: number) {
    this.#keys = keys;
    this.#secret = secret;
    this.#wholeMs = wholeMs;
    this.#deadline = Date.now() + wholeMs;
  }

  /** Throws {@link Stopped} if there is no reply. */
  async send(id: keyof typeof TITLES, url: string, options: Parameters<Client>[1] = {}): Promise<Reply> {
    if (Date.now() > this.#deadline)
      throw new Stopped(id, {
        seen: `${new URL(url).host} is too slow: the test took longer than ${this.#wholeMs / 1000} s`,
        next: 'Apps would be as slow. Try again later, or use another provider or region.',
      });
    try {
      return await this.#keys.http(url, { most: MOST_BYTES, ...options });
    } catch (error) {
      throw new Stopped(id, faultOf(url, error));
    }
  }

  /** A signed request to the S3 interface. */
  async signed(
    id: keyof typeof TITLES,
    method: string,
    key: string,
    { body, headers = {}, query = '', most }: Sending = {},
    bucket: Bucket = this.#keys.bucket,
  ): Promise<Reply> {
    const { url, headers: all } = await new AwsV4Signer({
      accessKeyId: bucket.accessKey,
      secretAccessKey: this.#secret.reveal(),
      service: 's3',
      region: bucket.region,
      url: `${objectUrl(bucket, key)}${query}`,
      method,
      headers: {
        'X-Amz-Content-Sha256': createHash('sha256')
          .update(body ?? '')
          .digest('hex'),
        ...headers,
      },
    }).sign();
    return this.send(id, url.href, {
      method,
      headers: Object.fromEntries(all),
      ...(body === undefined ? {} : { body }),
      ...(most === undefined ? {} : { most }),
    });
  }

  /** The same, for cleaning up after a fault: whether it works does not matter. */
  async quietly(method: string, key: string, query?: string, bucket?: Bucket): Promise<void> {
    await this.signed('delete', method, key, query === undefined ? {} : { query }, bucket).catch(
      () => undefined,
    );
  }
}

/** The object that is written. */
interface Sample {
  readonly key: string;
  readonly content: string;
  readonly type: string;
}

type Add = (
  id: BucketRung['id'],
  state: BucketRung['state'],
  fault: Pick<Fault, 'seen'> & Partial<Fault>,
) => void;

/** Writes, reads, tries to list and deletes small objects, until a step fails. Throws nothing but faults of the code. */
export async function tryBucket(
  trial: BucketTrial,
  report: (rung: BucketRung) => void = () => undefined,
): Promise<BucketRung[]> {
  const rungs: BucketRung[] = [];
  const add: Add = (id, state, fault) => {
    const rung = { ...fault, id, title: TITLES[id], state };
    rungs.push(rung);
    report(rung);
  };
  try {
    await climb(trial, add);
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    add(error.id, 'failed', error.fault);
  }
  return rungs;
}

async function climb(trial: BucketTrial, add: Add): Promise<void> {
  const { bucket, secretKey, withParts, wholeMs = WHOLE_MS } = trial;
  if (secretKey === undefined)
    throw new Stopped('write', {
      seen: 'the secret key is not in secrets.json',
      next: 'Give it again, with the option s3-secret-key-file of the app.',
    });
  const requests = new Requests(trial, secretKey, wholeMs);
  const key = `fedi-setup/${randomUUID()}.txt`;
  const sample: Sample = { key, content: `fedi-setup was here, ${key}`, type: 'text/plain' };
  await write(trial, requests, sample);
  add('write', 'passed', { seen: bucketHost(bucket) });
  try {
    await lookUp(bucket, requests, sample);
    add('head', 'passed', { seen: `${sample.content.length} bytes, ${sample.type}` });
    await readAndList(trial, requests, sample, add);
    if (withParts && takesParts(bucket)) {
      await uploadParts(bucket, requests);
      add('parts', 'passed', { seen: `${BIG_BYTES} bytes in 2 parts, read back` });
    }
  } catch (error) {
    await requests.quietly('DELETE', key);
    throw error;
  }
  const removed = await requests.signed('delete', 'DELETE', key);
  if (removed.status !== 204 && removed.status !== 200) throw new Stopped('delete', faultIn(bucket, removed));
  add('delete', 'passed', { seen: 'deleted' });
}

const put = (requests: Requests, { key, content, type }: Sample, bucket: Bucket): Promise<Reply> =>
  requests.signed(
    'write',
    'PUT',
    key,
    { body: content, headers: { 'Content-Type': type, ...allows(bucket.acl) } },
    bucket,
  );

/** Every S3 server sends the hash of what it stored. */
const isStored = ({ status, headers }: Reply): boolean => status === 200 && headers['etag'] !== undefined;

/** Errors that an ACL may have caused: providers without ACLs answer differently. */
const ABOUT_ACL =
  /^(AccessDenied|AllAccessDisabled|AccessControlListNotSupported|InvalidBucketAcl.*|InvalidArgument|InvalidRequest|NotImplemented|MalformedACLError|UnsupportedArgument)$/;

/** Errors that a name in the URL may have caused. */
const ABOUT_NAME = /^(ENOTFOUND|EAI_AGAIN|EPROTO|ERR_TLS_CERT_ALTNAME_INVALID|ERR_SSL_.*)$/;

async function write(trial: BucketTrial, requests: Requests, sample: Sample): Promise<void> {
  const { bucket } = trial;
  let fault: Fault;
  try {
    const written = await put(requests, sample, bucket);
    if (isStored(written)) return;
    fault = faultIn(bucket, written);
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    if (!ABOUT_NAME.test(error.fault.code ?? '')) throw error;
    fault = error.fault;
  }
  if (bucket.acl === 'public-read' && ABOUT_ACL.test(fault.code ?? ''))
    fault = await withoutAcl(trial, requests, sample, fault);
  else if (fault.code === undefined || fault.code === 'NoSuchBucket' || fault.isUnreached === true) {
    const other = await otherStyle(trial, requests, sample);
    if (other !== undefined) fault = { seen: fault.seen, next: other };
  }
  throw new Stopped('write', fault);
}

/** What to do if the bucket's name is elsewhere in the URLs; undefined: it is not. */
async function otherStyle(
  { bucket }: BucketTrial,
  requests: Requests,
  sample: Sample,
): Promise<string | undefined> {
  const style = bucket.style === 'path' ? 'virtual' : 'path';
  const other: Bucket = { ...bucket, style };
  const reply = await put(requests, sample, other).catch(() => undefined);
  if (reply === undefined || !isStored(reply)) return undefined;
  await requests.quietly('DELETE', sample.key, undefined, other);
  return `The same works with style ${style}: set style to ${style}.`;
}

/** The fault of a bucket that refused an object with an ACL: whether it accepts one without. */
async function withoutAcl(
  { bucket, needsAcl, origin, isEarly }: BucketTrial,
  requests: Requests,
  sample: Sample,
  refused: Fault,
): Promise<Fault> {
  const bare: Bucket = { ...bucket, acl: 'none' };
  const written = await put(requests, sample, bare).catch(() => undefined);
  if (written === undefined || !isStored(written))
    return written === undefined ? refused : faultIn(bare, written);
  const read = await requests
    .send('write', publicUrl(bucket, sample.key), { headers: { Origin: origin } })
    .catch(() => undefined);
  await requests.quietly('DELETE', sample.key);
  const isPublic = read?.status === 200;
  const isKnown = isPublic || bucket.alias === undefined || !isEarly;
  const readers = isKnown ? `, and it is ${isPublic ? '' : 'not '}public` : '';
  return {
    seen: `an object with the ACL public-read is refused (${quoted(refused.code ?? '', 60)}); one without an ACL is accepted${readers}`,
    next:
      needsAcl === true
        ? 'This app sets an ACL on each object: allow ACLs for the bucket and grant the key s3:PutObjectAcl, or use another bucket.'
        : `Set acl to none${isPublic ? '' : ' and make the bucket readable by a policy'}; or allow ACLs for the bucket and grant the key s3:PutObjectAcl.`,
  };
}

/** Compares the object's properties with those that were sent. */
async function lookUp(bucket: Bucket, requests: Requests, sample: Sample): Promise<void> {
  const found = await requests.signed('head', 'HEAD', sample.key);
  if (found.status === 404)
    throw new Stopped('head', {
      seen: 'the object that was just written is not there (404)',
      next: NOT_S3,
    });
  if (found.status !== 200) throw new Stopped('head', faultIn(bucket, found));
  const length = found.headers['content-length'];
  if (length !== undefined && Number(length) !== sample.content.length)
    throw new Stopped('head', {
      seen: `${bucketHost(bucket)} says that the object has ${quoted(String(length), 20)} bytes; ${sample.content.length} were written`,
      next: NOT_S3,
    });
}

async function readAndList(trial: BucketTrial, requests: Requests, sample: Sample, add: Add): Promise<void> {
  const { bucket, isEarly } = trial;
  let read: Reply;
  try {
    read = await readAnonymously(trial, requests, sample);
  } catch (error) {
    if (!(error instanceof Stopped && isEarly && bucket.alias !== undefined)) throw error;
    add('read', 'warning', {
      seen: error.fault.seen,
      next: `${error.fault.next} If this site or a CDN that you set up later serves ${bucket.alias}, that is fine: the proofs at the end of the run read it again.`,
    });
    return;
  }
  add('read', 'passed', { seen: new URL(publicUrl(bucket, sample.key)).host });
  add('acl', 'passed', {
    seen: bucket.acl === 'none' ? 'none is needed: the bucket is public' : 'public-read is accepted',
  });
  judgeCors(trial, read, add);
  await list(bucket, requests, add);
}

/** Throws unless everybody gets the same bytes with the same type at the public address. */
async function readAnonymously(
  { bucket, origin }: BucketTrial,
  requests: Requests,
  sample: Sample,
): Promise<Reply> {
  const url = publicUrl(bucket, sample.key);
  const read = await requests.send('read', url, { headers: { Origin: origin } });
  const stop = (seen: string, next: string): Stopped => new Stopped('read', { seen: `${url} ${seen}`, next });
  if (read.status !== 200) {
    const answered = `answered ${read.status}`;
    const direct =
      bucket.alias === undefined
        ? undefined
        : await requests.send('read', objectUrl(bucket, sample.key)).catch(() => undefined);
    if (direct?.status === 200 || (direct !== undefined && read.status !== 403))
      throw stop(
        `${answered}, though the object is in the bucket`,
        `${bucket.alias} must point to the root of the bucket ${bucket.name}.`,
      );
    if (bucket.acl === 'public-read')
      throw stop(
        `${answered}: the provider accepts the ACL public-read but ignores it`,
        'Allow public ACLs for the bucket, or make it readable by a policy and set acl to none.',
      );
    throw (await isPublicByAcl(bucket, requests, sample, url))
      ? stop(
          `${answered}. The bucket is not public; with the ACL public-read the object is`,
          'Set acl to public-read, or allow everybody s3:GetObject on the objects of the bucket, and nothing else.',
        )
      : stop(
          `${answered}. The bucket is not public`,
          'Allow everybody s3:GetObject on its objects, and nothing else.',
        );
  }
  if (!read.body.equals(Buffer.from(sample.content)))
    throw stop(
      `returned ${read.body.length} bytes that differ from those written`,
      bucket.alias === undefined
        ? NOT_S3
        : `${bucket.alias} must point to the root of the bucket ${bucket.name} and leave its files as they are.`,
    );
  const type = String(read.headers['content-type'] ?? '');
  if (!type.startsWith(sample.type))
    throw stop(
      `has the type ${type === '' ? '(none)' : quoted(type, 60)} and was written as ${sample.type}`,
      'Browsers would not show media. The bucket, or the proxy or CDN in front of it, must keep the header Content-Type.',
    );
  return read;
}

/** Whether the object, written again with an ACL, can be read by everybody. */
async function isPublicByAcl(
  bucket: Bucket,
  requests: Requests,
  sample: Sample,
  url: string,
): Promise<boolean> {
  const written = await put(requests, sample, { ...bucket, acl: 'public-read' }).catch(() => undefined);
  if (written === undefined || !isStored(written)) return false;
  return (await requests.send('read', url).catch(() => undefined))?.status === 200;
}

function judgeCors({ bucket, origin }: BucketTrial, read: Reply, add: Add): void {
  // This site's Caddy sets the header.
  if (bucket.isProxied === true && bucket.alias === undefined) return;
  const allowed = String(read.headers['access-control-allow-origin'] ?? '');
  if (allowed === '*' || allowed === origin) add('cors', 'passed', { seen: allowed });
  else
    add('cors', 'warning', {
      seen: `${allowed === '' ? 'no header Access-Control-Allow-Origin' : `it allows ${quoted(allowed, 100)} only`}, so browsers will not show all media`,
      next: `Give the bucket a CORS rule: origin * (or ${origin}), methods GET and HEAD, headers *.`,
    });
}

/** Tries to list the objects without a key. An error is fine: then nobody can. */
async function list(bucket: Bucket, requests: Requests, add: Add): Promise<void> {
  const tops = [objectUrl(bucket, ''), ...(bucket.alias === undefined ? [] : [publicUrl(bucket, '')])];
  for (const top of tops) {
    const listed = await requests.send('list', top).catch(() => undefined);
    if (listed?.text().includes('<ListBucketResult') === true) {
      add('list', 'warning', {
        seen: `the list of all files is public at ${top}`,
        next: 'Deny s3:ListBucket to everybody: nobody should be able to find the files of private posts.',
      });
      return;
    }
  }
  add('list', 'passed', { seen: 'not public' });
}

/** An upload in two parts, as the SDKs of the apps send large files; read back and deleted. */
async function uploadParts(bucket: Bucket, requests: Requests): Promise<void> {
  const key = `fedi-setup/${randomUUID()}.bin`;
  const whole = Buffer.alloc(BIG_BYTES, `${key}\n`);
  const stop = (reply: Reply): Stopped => {
    const fault = faultIn(bucket, reply);
    return new Stopped('parts', {
      ...fault,
      next: `${fault.next} Small files work; long videos would fail.`,
    });
  };
  const headers = { 'Content-Type': 'application/octet-stream', ...allows(bucket.acl) };
  const started = await requests.signed('parts', 'POST', key, { query: '?uploads=', headers });
  const id = /<UploadId>([^<]{1,2000})<\/UploadId>/.exec(started.text())?.[1];
  if (started.status !== 200 || id === undefined) throw stop(started);
  const upload = `uploadId=${encodeURIComponent(id)}`;
  try {
    const parts: string[] = [];
    for (const [index, body] of [whole.subarray(0, PART_BYTES), whole.subarray(PART_BYTES)].entries()) {
      const sent = await requests.signed('parts', 'PUT', key, {
        query: `?partNumber=${index + 1}&${upload}`,
        body,
      });
      if (!isStored(sent)) throw stop(sent);
      const etag = String(sent.headers['etag']).replaceAll('"', '&quot;');
      parts.push(`<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`);
    }
    const ended = await requests.signed('parts', 'POST', key, {
      query: `?${upload}`,
      body: `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join('')}</CompleteMultipartUpload>`,
      headers: { 'Content-Type': 'application/xml' },
    });
    // A server that needs long for this sends 200 first, and the error later.
    if (ended.status !== 200 || fieldOf(ended, 'Code') !== undefined) throw stop(ended);
  } catch (error) {
    await requests.quietly('DELETE', key, `?${upload}`);
    throw error;
  }
  const read = await requests.signed('parts', 'GET', key, { most: 2 * BIG_BYTES });
  await requests.quietly('DELETE', key);
  if (read.status !== 200) throw stop(read);
  if (!read.body.equals(whole))
    throw new Stopped('parts', {
      seen: `${read.body.length} bytes came back that differ from the ${whole.length} written`,
      next: 'The provider joins parts incorrectly. Small files work; long videos would be damaged. Use another provider.',
    });
}

/** A failed step, or a warning, as a sentence. */
export const sentenceOf = ({ title, seen, next = '' }: BucketRung): string =>
  `${title}: ${seen}. ${next}`.trim();

/** What passed, in a few words. */
export function evidenceOf(bucket: Bucket, rungs: readonly BucketRung[]): string {
  const passed = (id: BucketRung['id']): boolean =>
    rungs.some((rung) => rung.id === id && rung.state === 'passed');
  return [
    `written at ${bucketHost(bucket)}`,
    ...(passed('read') ? [`read anonymously at ${new URL(publicUrl(bucket, '')).host}`] : []),
    ...(passed('list') ? ['not listed'] : []),
    ...(passed('parts') ? ['uploaded in parts'] : []),
    'deleted',
  ].join(', ');
}

/** The proof of the running site. Resolves to the evidence, with warnings; throws what failed. */
export async function proveBucket(keys: BucketKeys): Promise<string> {
  const rungs = await tryBucket({ ...keys, withParts: true, isEarly: false });
  const failed = rungs.find(({ state }) => state === 'failed');
  if (failed !== undefined) throw new Error(sentenceOf(failed).replace(/\.$/, ''));
  const warnings = rungs.filter(({ state }) => state === 'warning').map(sentenceOf);
  return [evidenceOf(keys.bucket, rungs), ...warnings.map((text) => `WARNING: ${text}`)].join('; ');
}

/** Throws unless a picture's URL is in the bucket and the page's Content-Security-Policy lets browsers show it. */
export function expectShown(bucket: Bucket, url: string, page: Reply): void {
  if (!url.startsWith(publicUrl(bucket, ''))) throw new Error(`the picture is at ${url}, not in the bucket`);
  const { origin } = new URL(url);
  const pictures = /img-src ([^;]*)/.exec(String(page.headers['content-security-policy'] ?? ''))?.[1];
  if (!pictures?.includes(origin))
    throw new Error(`the Content-Security-Policy of the pages does not allow ${origin}`);
}
