// A small S3: enough for aws-sdk's uploads and for every refusal that people meet. Unlike other stand-ins it checks what a
// real one checks: signatures (SigV4 in the header, payloads signed and unsigned), checksums, clock,
// region, ACL per object, CORS and listing. Objects live in memory.
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { crc32 } from 'node:zlib';

const SKEW_MS = 15 * 60 * 1000;

class S3Error extends Error {
  constructor(status, code, message, more = {}) {
    super(message);
    Object.assign(this, { status, code, more });
  }
}

const denied = () => new S3Error(403, 'AccessDenied', 'Access Denied');
const sha256 = (data) => createHash('sha256').update(data).digest('hex');
const hmac = (key, text) => createHmac('sha256', key).update(text).digest();
const same = (a, b) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
const encode = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
const escape = (text) =>
  String(text).replace(/[<>&]/g, (c) => ({ '<': '&lt;', '>': '&gt;', '&': '&amp;' })[c]);
const element = (name, value) =>
  Array.isArray(value)
    ? value.map((one) => element(name, one)).join('')
    : `<${name}>${typeof value === 'object' ? elements(value) : escape(value)}</${name}>`;
const elements = (tree) =>
  Object.entries(tree)
    .map(([name, value]) => element(name, value))
    .join('');
const xml = (tree) => `<?xml version="1.0" encoding="UTF-8"?>\n${elements(tree)}`;

/** The chain of keys for one day, region and service. */
const signingKey = (secret, [day, region, service]) =>
  ['aws4_request'].reduce(hmac, hmac(hmac(hmac(`AWS4${secret}`, day), region), service));

/** Who signed the request, or undefined for nobody; throws what S3 answers to a bad signature. */
function authenticate(request, url, { keys, region }, now) {
  const { authorization } = request.headers;
  if (authorization === undefined) return undefined;
  const parts =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  if (parts === null)
    throw new S3Error(400, 'AuthorizationHeaderMalformed', 'The authorization header is malformed.');
  const [, id, day, signedRegion, service, names, signature] = parts;
  const key = keys[id];
  if (key === undefined)
    throw new S3Error(
      403,
      'InvalidAccessKeyId',
      'The AWS Access Key Id you provided does not exist in our records.',
    );
  const date = String(request.headers['x-amz-date']);
  const asked = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (Number.isNaN(asked)) throw new S3Error(403, 'AccessDenied', 'AWS authentication requires a valid Date');
  if (Math.abs(now().getTime() - asked) > SKEW_MS)
    throw new S3Error(
      403,
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
      { RequestTime: date, ServerTime: now().toISOString() },
    );
  if (signedRegion !== region)
    throw new S3Error(
      400,
      'AuthorizationHeaderMalformed',
      `The authorization header is malformed; the region '${signedRegion}' is wrong; expecting '${region}'`,
      { Region: region },
    );
  const signedNames = names.split(';');
  if (
    !signedNames.includes('host') ||
    Object.keys(request.headers).some((name) => name.startsWith('x-amz-') && !signedNames.includes(name))
  )
    throw new S3Error(403, 'AccessDenied', 'There were headers present in the request which were not signed');
  const payload = String(request.headers['x-amz-content-sha256']);
  const canonical = [
    request.method,
    url.pathname
      .split('/')
      .map((part) => encode(decodeURIComponent(part)))
      .join('/'),
    url.search
      .slice(1)
      .split('&')
      .filter(Boolean)
      .map((pair) => {
        const at = pair.indexOf('=');
        const plain = (text) => encode(decodeURIComponent(text.replaceAll('+', ' ')));
        return at < 0 ? `${plain(pair)}=` : `${plain(pair.slice(0, at))}=${plain(pair.slice(at + 1))}`;
      })
      .toSorted()
      .join('&'),
    ...signedNames.map(
      (name) =>
        `${name}:${String(request.headers[name] ?? '')
          .trim()
          .replaceAll(/ +/g, ' ')}`,
    ),
    '',
    names,
    payload,
  ].join('\n');
  const scope = `${day}/${signedRegion}/${service}/aws4_request`;
  const signing = signingKey(key.secret, [day, signedRegion, service]);
  const expected = hmac(signing, ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n')).toString(
    'hex',
  );
  if (!same(expected, signature))
    throw new S3Error(
      403,
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    );
  return { id, readonly: key.readonly === true };
}

const CHECKSUMS = {
  crc32: (data) => {
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(data));
    return sum.toString('base64');
  },
  sha1: (data) => createHash('sha1').update(data).digest('base64'),
  sha256: (data) => createHash('sha256').update(data).digest('base64'),
};

/** Throws unless the body is the one that was signed and summed up. */
function checkBody({ headers }, data, who) {
  const payload = headers['x-amz-content-sha256'];
  // aws-sdk sends these to Amazon alone.
  if (payload?.startsWith('STREAMING-'))
    throw new S3Error(501, 'NotImplemented', `${payload} is not known here.`);
  if (who !== undefined && payload !== 'UNSIGNED-PAYLOAD' && payload !== sha256(data))
    throw new S3Error(
      400,
      'XAmzContentSHA256Mismatch',
      'The provided x-amz-content-sha256 header does not match what was computed.',
    );
  for (const [name, sum] of Object.entries(CHECKSUMS)) {
    const given = headers[`x-amz-checksum-${name}`];
    if (given !== undefined && given !== sum(data))
      throw new S3Error(
        400,
        'BadDigest',
        `The ${name.toUpperCase()} you specified did not match the calculated checksum.`,
      );
  }
  const md5 = headers['content-md5'];
  if (md5 !== undefined && md5 !== createHash('md5').update(data).digest('base64'))
    throw new S3Error(400, 'BadDigest', 'The Content-MD5 you specified did not match what we received.');
}

const KEPT = ['content-type', 'cache-control', 'content-disposition', 'content-encoding', 'content-language'];
const headersToKeep = (headers) =>
  Object.fromEntries(KEPT.filter((name) => headers[name] !== undefined).map((name) => [name, headers[name]]));
const etagOf = (data) => `"${createHash('md5').update(data).digest('hex')}"`;

/** What one bucket answers to one request that was let in. */
function answer(bucket, name, key, { method, headers, url, data, who }) {
  const query = url.searchParams;
  const write = () => {
    if (who === undefined || who.readonly) throw denied();
    if (headers['x-amz-acl'] !== undefined && bucket.acl === false)
      throw new S3Error(400, 'AccessControlListNotSupported', 'The bucket does not allow ACLs');
    const newer = Object.keys(headers).find((header) =>
      /^x-amz-(checksum-|sdk-checksum|trailer)/.test(header),
    );
    if (bucket.checksums === false && newer !== undefined && !query.has('delete'))
      throw new S3Error(
        501,
        'NotImplemented',
        'A header you provided implies functionality that is not implemented',
      );
  };
  const isPublic = headers['x-amz-acl'] === 'public-read';

  if (key === '') {
    if (method === 'POST' && query.has('delete')) {
      write();
      if (
        headers['content-md5'] === undefined &&
        !Object.keys(headers).some((header) => header.startsWith('x-amz-checksum-'))
      )
        throw new S3Error(
          400,
          'InvalidRequest',
          'Missing required header for this request: Content-MD5 OR x-amz-checksum-*',
        );
      const gone = [...data.toString().matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, one]) =>
        one.replaceAll('&amp;', '&'),
      );
      for (const one of gone) bucket.objects.delete(one);
      return { body: xml({ DeleteResult: { Deleted: gone.map((one) => ({ Key: one })) } }) };
    }
    if (method === 'HEAD' || method === 'GET') {
      if (who === undefined && !bucket.listable) throw denied();
      const prefix = query.get('prefix') ?? '';
      const found = [...bucket.objects]
        .filter(([one]) => one.startsWith(prefix))
        .toSorted(([a], [b]) => (a < b ? -1 : 1));
      return {
        body: xml({
          ListBucketResult: {
            Name: name,
            Prefix: prefix,
            KeyCount: found.length,
            IsTruncated: false,
            Contents: found.map(([one, object]) => ({
              Key: one,
              Size: object.data.length,
              ETag: object.etag,
            })),
          },
        }),
      };
    }
    if (method === 'PUT') throw denied();
    throw new S3Error(405, 'MethodNotAllowed', 'The specified method is not allowed against this resource.');
  }

  if (method === 'PUT' && query.has('acl')) {
    write();
    const object = bucket.objects.get(key);
    if (object === undefined) throw new S3Error(404, 'NoSuchKey', 'The specified key does not exist.');
    object.public = isPublic;
    return {};
  }
  if (method === 'POST' && query.has('uploads')) {
    write();
    const id = randomBytes(12).toString('hex');
    bucket.uploads.set(id, { key, parts: new Map(), public: isPublic, headers: headersToKeep(headers) });
    return { body: xml({ InitiateMultipartUploadResult: { Bucket: name, Key: key, UploadId: id } }) };
  }
  if (query.has('uploadId')) {
    write();
    const upload = bucket.uploads.get(query.get('uploadId'));
    if (upload?.key !== key)
      throw new S3Error(404, 'NoSuchUpload', 'The specified multipart upload does not exist.');
    if (method === 'PUT') {
      upload.parts.set(Number(query.get('partNumber')), data);
      return { headers: { ETag: etagOf(data) } };
    }
    bucket.uploads.delete(query.get('uploadId'));
    if (method === 'DELETE') return { status: 204 };
    const wanted = [...data.toString().matchAll(/<Part>([\s\S]*?)<\/Part>/g)].map(([, part]) => ({
      number: Number(/<PartNumber>(\d+)</.exec(part)?.[1]),
      etag: /<ETag>([^<]+)</.exec(part)?.[1]?.replaceAll('&quot;', '"'),
    }));
    const parts = wanted.map(({ number }) => upload.parts.get(number));
    if (wanted.length === 0 || parts.some((part, i) => part === undefined || etagOf(part) !== wanted[i].etag))
      throw new S3Error(400, 'InvalidPart', 'One or more of the specified parts could not be found.');
    if (parts.slice(0, -1).some((part) => part.length < 5 * 1024 * 1024))
      throw new S3Error(
        400,
        'EntityTooSmall',
        'Your proposed upload is smaller than the minimum allowed size',
      );
    const whole = Buffer.concat(parts);
    const etag = etagOf(whole).replace(/"$/, `-${parts.length}"`);
    bucket.objects.set(key, { data: whole, etag, public: upload.public, headers: upload.headers });
    return { body: xml({ CompleteMultipartUploadResult: { Bucket: name, Key: key, ETag: etag } }) };
  }
  if (method === 'PUT') {
    write();
    if (headers['x-amz-copy-source'] !== undefined)
      throw new S3Error(501, 'NotImplemented', 'Copies are not known here.');
    const etag = etagOf(data);
    bucket.objects.set(key, { data, etag, public: isPublic, headers: headersToKeep(headers) });
    return { headers: { ETag: etag } };
  }
  if (method === 'DELETE') {
    write();
    bucket.objects.delete(key);
    return { status: 204 };
  }
  if (method !== 'GET' && method !== 'HEAD')
    throw new S3Error(405, 'MethodNotAllowed', 'The specified method is not allowed against this resource.');
  const object = bucket.objects.get(key);
  // Who may not list is not told either that there is nothing.
  const readable = object === undefined ? bucket.listable : bucket.public || object.public;
  if (who === undefined && readable !== true) throw denied();
  if (object === undefined) throw new S3Error(404, 'NoSuchKey', 'The specified key does not exist.');
  const all = {
    ...object.headers,
    ETag: object.etag,
    'Accept-Ranges': 'bytes',
    'Last-Modified': new Date().toUTCString(),
  };
  const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
  if (range === null) return { headers: all, body: object.data };
  const from = Number(range[1]);
  const to = Math.min(range[2] === '' ? Infinity : Number(range[2]), object.data.length - 1);
  if (from > to) throw new S3Error(416, 'InvalidRange', 'The requested range is not satisfiable');
  return {
    status: 206,
    headers: { ...all, 'Content-Range': `bytes ${from}-${to}/${object.data.length}` },
    body: object.data.subarray(from, to + 1),
  };
}

/** An HTTP server, not listening yet. */
export function s3(config, { now = () => new Date(), log = () => {} } = {}) {
  const buckets = Object.fromEntries(
    Object.entries(config.buckets).map(([name, settings]) => [
      name,
      { ...settings, objects: new Map(), uploads: new Map() },
    ]),
  );
  const server = createServer((request, response) => {
    const body = [];
    request.on('data', (part) => body.push(part));
    request.on('end', () => {
      const url = new URL(request.url, 'http://s3');
      const path = decodeURIComponent(url.pathname);
      const host = String(request.headers.host).replace(/:\d+$/, '');
      const isVirtual = config.domain !== undefined && host.endsWith(`.${config.domain}`);
      const [, name = '', key = ''] = isVirtual
        ? [path, host.slice(0, -config.domain.length - 1), path.slice(1)]
        : (/^\/([^/]*)\/?(.*)$/s.exec(path) ?? []);
      const bucket = buckets[name];
      const { method, headers } = request;
      let result;
      let code;
      let who;
      const origin = headers.origin;
      const cors =
        origin !== undefined && bucket?.cors !== undefined
          ? { 'Access-Control-Allow-Origin': bucket.cors, 'Access-Control-Allow-Methods': 'GET, HEAD' }
          : {};
      try {
        if (config.domain !== undefined && !isVirtual)
          throw new S3Error(403, 'SecondLevelDomainForbidden', 'Please use virtual hosted style to access.');
        if (method === 'GET' && url.pathname === '/ready') result = { body: 'ready' };
        else if (method === 'OPTIONS' && 'Access-Control-Allow-Origin' in cors) result = {};
        else {
          who = authenticate(request, url, config, now);
          const data = Buffer.concat(body);
          checkBody(request, data, who);
          if (name === '') throw denied();
          if (bucket === undefined)
            throw method === 'PUT' && key === ''
              ? denied()
              : new S3Error(404, 'NoSuchBucket', 'The specified bucket does not exist', { BucketName: name });
          result = answer(bucket, name, key, { method, headers, url, data, who });
        }
      } catch (error) {
        const refusal = error instanceof S3Error ? error : new S3Error(500, 'InternalError', String(error));
        code = refusal.code;
        result = {
          status: refusal.status,
          body: xml({
            Error: { Code: refusal.code, Message: refusal.message, Resource: url.pathname, ...refusal.more },
          }),
        };
      }
      const { status = 200, body: text = '', headers: more = {} } = result;
      if (url.pathname !== '/ready')
        log({
          method,
          path: `${request.headers.host}${request.url}`,
          status,
          ...(code === undefined ? {} : { code }),
          ...(who === undefined ? {} : { key: who.id, payload: headers['x-amz-content-sha256'] }),
          ...(headers['x-amz-acl'] === undefined ? {} : { acl: headers['x-amz-acl'] }),
          sums: Object.keys(headers).filter((header) => /checksum|trailer|content-md5/.test(header)),
        });
      response.writeHead(status, {
        ...(typeof text === 'string' && text !== '' ? { 'Content-Type': 'application/xml' } : {}),
        ...more,
        ...cors,
        'x-amz-request-id': randomBytes(8).toString('hex'),
        ...(status === 204 ? {} : { 'Content-Length': Buffer.byteLength(text) }),
      });
      response.end(method === 'HEAD' ? undefined : text);
    });
  });
  return Object.assign(server, { buckets });
}

// Run by itself: the settings are JSON in S3_CONFIG, requests are told line by line.
if (process.env.S3_CONFIG !== undefined) {
  const server = s3(JSON.parse(process.env.S3_CONFIG), {
    log: (line) => process.stdout.write(`${JSON.stringify(line)}\n`),
  });
  server.listen(9000);
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => process.exit(0));
}
