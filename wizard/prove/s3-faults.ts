/** What answers of an S3 server mean, and what to do about them. They are text from outside: limited, and escaped. */
import { bucketHost } from '../config/bucket.ts';
import type { Bucket } from '../config/bucket.ts';
import { codeOf, messageOf } from '../problem.ts';
import { PRIVATE_CA } from '../trust.ts';
import { quoted } from '../visible.ts';
import type { Reply } from './http.ts';

export interface Fault {
  /** What was observed. */
  readonly seen: string;
  /** What to do; a sentence or more. */
  readonly next: string;
  /** Code of the S3 error, or of the system if there was no reply; absent: there is none. */
  readonly code?: string;
  /** There was no reply. */
  readonly isUnreached?: true;
}

/** Content of an element of an S3 reply, escaped; undefined: there is none. */
export const fieldOf = (reply: Reply, name: string): string | undefined => {
  const found = new RegExp(`<${name}>([^<]*)</${name}>`).exec(reply.text())?.[1];
  return found === undefined ? undefined : quoted(found, 2000);
};

const WHERE = 'Compare endpoint and region with your provider’s instructions.';
const RIGHTS =
  'It needs the rights s3:GetObject, s3:PutObject and s3:DeleteObject on the objects of the bucket, for acl public-read also s3:PutObjectAcl.';

/** What the codes of S3 errors mean here. */
function meaning(bucket: Bucket, code: string, region: string | undefined): [string, string] | undefined {
  switch (code) {
    case 'AccessDenied':
    case 'AllAccessDisabled':
      return ['the key may not do this', RIGHTS];
    case 'InvalidAccessKeyId':
      return [
        `there is no access key ${bucket.accessKey}`,
        'Was it copied whole, and is it one of this provider and region?',
      ];
    case 'SignatureDoesNotMatch':
      return [
        'the secret key does not belong to this access key',
        'Copy it again. If it is right, the region may be wrong.',
      ];
    case 'NoSuchBucket':
      return [
        `there is no bucket ${bucket.name}`,
        'Create it at your provider, or correct its name, the endpoint or the region.',
      ];
    case 'RequestTimeTooSkewed':
      return ['the clock of this host is wrong by more than 15 minutes', 'Set it: timedatectl set-ntp true.'];
    case 'AccessControlListNotSupported':
    case 'InvalidBucketAclWithObjectOwnership':
      return ['the bucket accepts no ACLs', 'Set acl to none and make the bucket readable by a policy.'];
    case 'SecondLevelDomainForbidden':
    case 'PathStyleDomainForbidden':
      return ['the provider expects the bucket’s name before the host', 'Set style to virtual.'];
    case 'AuthorizationHeaderMalformed':
    case 'PermanentRedirect':
    case 'TemporaryRedirect':
    case 'IllegalLocationConstraintException':
    case 'InvalidRegion':
      return [
        `the bucket is not in the region ${bucket.region}`,
        region === undefined ? `Use the region that your provider states. ${WHERE}` : `It is in ${region}.`,
      ];
    case 'SlowDown':
    case 'ServiceUnavailable':
    case 'InternalError':
      return ['the provider has a problem', 'Try again later.'];
    default:
      return undefined;
  }
}

/** The fault of a reply that is not the expected one. */
export function faultIn(bucket: Bucket, reply: Reply): Fault {
  const host = bucketHost(bucket);
  const header = reply.headers['x-amz-bucket-region'];
  const region = fieldOf(reply, 'Region') ?? (header === undefined ? undefined : quoted(String(header), 50));
  const isRedirect = reply.status >= 300 && reply.status < 400;
  const code =
    fieldOf(reply, 'Code') ?? (isRedirect && region !== undefined ? 'PermanentRedirect' : undefined);
  if (code !== undefined) {
    const known = meaning(bucket, code, region);
    const said = fieldOf(reply, 'Message') ?? '';
    const [seen, next] = known ?? [
      `${host} answered ${reply.status}${said === '' ? '' : `: ${quoted(said)}`}`,
      'Look for this code in the documentation of your provider.',
    ];
    return { seen: `${seen} (${quoted(code, 60)})`, next, code };
  }
  if (isRedirect)
    return {
      seen: `${host} redirects to ${quoted(String(reply.headers['location'] ?? 'nowhere'))} (${reply.status})`,
      next: `Give the address of the S3 interface, to which nothing redirects. ${WHERE}`,
    };
  // Replies to HEAD, and those of some proxies, are empty.
  const text = quoted(reply.text(), 80);
  if (text === '' && (reply.status === 403 || reply.status === 401))
    return { seen: `the key may not do this (${reply.status})`, next: RIGHTS };
  return {
    seen: `${host} answered ${reply.status} and does not seem to speak S3${text === '' ? '' : `: ${text}`}`,
    next: `Something else may listen there, such as a web page or a proxy. ${WHERE}`,
  };
}

const FIREWALL =
  'A firewall on the way may drop the connection, or the server is overloaded: try again later.';
const CERTIFICATE = `Apps refuse it too: use an address with a valid certificate of a public CA. ${WHERE}`;

/** Fault by the code of the error: what is wrong at `host`, and what to do. */
const CAUSES: Readonly<Record<string, readonly [(host: string) => string, string]>> = {
  ENOTFOUND: [(host) => `${host} does not exist in the DNS`, WHERE],
  EAI_AGAIN: [
    (host) => `the DNS did not answer for ${host}`,
    'Check the DNS of this host, and try again later.',
  ],
  ECONNREFUSED: [(host) => `nothing listens at ${host}`, WHERE],
  ECONNRESET: [(host) => `${host} ended the connection`, FIREWALL],
  EPIPE: [(host) => `${host} ended the connection`, FIREWALL],
  ETIMEDOUT: [(host) => `${host} does not answer`, FIREWALL],
  EHOSTUNREACH: [(host) => `${host} cannot be reached`, FIREWALL],
  ENETUNREACH: [(host) => `${host} cannot be reached`, FIREWALL],
  CERT_HAS_EXPIRED: [(host) => `the certificate of ${host} has expired`, CERTIFICATE],
  CERT_NOT_YET_VALID: [(host) => `the certificate of ${host} is not valid yet`, CERTIFICATE],
  ERR_TLS_CERT_ALTNAME_INVALID: [(host) => `the certificate of ${host} is for another name`, CERTIFICATE],
  EPROTO: [(host) => `${host} does not speak TLS there, or has no certificate for that name`, WHERE],
  ERR_SSL_WRONG_VERSION_NUMBER: [(host) => `${host} does not speak TLS there`, WHERE],
  ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR: [(host) => `${host} has no certificate for that name`, WHERE],
  HPE_HEADER_OVERFLOW: [
    (host) => `the header of the answer of ${host} has no end`,
    `That is no S3 interface. ${WHERE}`,
  ],
};

/** The fault when there is no reply, from what the client threw. */
export const faultOf = (url: string, error: unknown): Fault => ({
  ...causeOf(url, error),
  isUnreached: true,
});

function causeOf(url: string, error: unknown): Fault {
  const { hostname, host } = new URL(url);
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code = codeOf(cause);
  const said = messageOf(error);
  if (/no (complete )?answer within/.test(said))
    return {
      seen: `${host} is silent or slow: ${/no (?:complete )?answer within [\d.]+ s/.exec(said)?.[0]}`,
      next: FIREWALL,
    };
  if (/reply is larger than/.test(said))
    return { seen: `the answer of ${host} has no end`, next: `That is no S3 interface. ${WHERE}` };
  if (code === undefined) return { seen: quoted(said), next: WHERE };
  const isName = code === 'ENOTFOUND' || code === 'EAI_AGAIN';
  const known =
    CAUSES[code] ??
    (/CERT|ISSUER|SIGNATURE/.test(code)
      ? ([(name: string) => `the certificate of ${name} is not trusted`, `${PRIVATE_CA} ${WHERE}`] as const)
      : code.startsWith('HPE_')
        ? ([(name: string) => `what answers at ${name} does not speak HTTP`, WHERE] as const)
        : undefined);
  // The client adds this if the clock of this host is wrong.
  const clock = /\. The clock of this host [\s\S]*/.exec(said)?.[0] ?? '';
  const names = certificateNames(cause);
  const words = known === undefined ? quoted(said) : known[0](isName ? hostname : host);
  return { seen: `${words}${names} (${quoted(code, 60)})${clock}`, next: known?.[1] ?? WHERE, code };
}

/** `, those in it are DNS:…`, if a certificate is somebody else's. */
function certificateNames(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('cert' in error)) return '';
  const { cert } = error;
  const names =
    typeof cert === 'object' && cert !== null && 'subjectaltname' in cert ? cert.subjectaltname : '';
  return typeof names === 'string' && names !== '' ? `: ${quoted(names, 120)}` : '';
}
