/**
 * What is known about providers of S3 buckets, from their documentation and that of Mastodon (2025 and 2026). None was reached
 * from a test, apart from Ceph's gateway.
 */
export interface BucketProvider {
  readonly id: string;
  readonly name: string;
  /** The S3 interface, with REGION and ACCOUNT to replace; absent: Amazon's own, or see `isOwn`. */
  readonly endpoint?: string;
  /** Software on a server of your own: only you know its address. */
  readonly isOwn?: true;
  /** The default region. */
  readonly region: string;
  /** It has only this region, or ignores it. */
  readonly isRegionFixed?: true;
  /** How objects become public there. */
  readonly acl: 'public-read' | 'none';
  /** It accepts no object with an ACL. */
  readonly refusesAcl?: true;
  /** Why it needs a public host other than the S3 interface; a sentence. Absent: it does not. */
  readonly needsAlias?: string;
  /** What to do there; sentences. */
  readonly hint: string;
}

/** The value of the question for all others. */
export const OTHER_BUCKET_PROVIDER = 'other';

const BY_POLICY = 'Allow everybody s3:GetObject on the objects by a bucket policy, and nothing else.';

/** By name. */
export const BUCKET_PROVIDERS: readonly BucketProvider[] = [
  {
    id: 'aws',
    name: 'Amazon S3',
    region: 'us-east-1',
    acl: 'none',
    hint: `Turn off “Block public access” for policies. ${BY_POLICY} acl public-read needs ACLs enabled in Object Ownership.`,
  },
  {
    id: 'b2',
    name: 'Backblaze B2',
    endpoint: 'https://s3.REGION.backblazeb2.com',
    region: 'us-west-004',
    acl: 'none',
    refusesAcl: true,
    hint: 'Make the bucket public, and use an application key, not the master key. The region is a part of the endpoint that B2 shows, such as eu-central-003.',
  },
  {
    id: 'ceph',
    name: 'Ceph (radosgw), on your own server',
    isOwn: true,
    region: 'us-east-1',
    acl: 'public-read',
    hint: 'Give the address of its gateway.',
  },
  {
    id: 'r2',
    name: 'Cloudflare R2',
    endpoint: 'https://ACCOUNT.r2.cloudflarestorage.com',
    region: 'auto',
    isRegionFixed: true,
    acl: 'none',
    refusesAcl: true,
    needsAlias: 'R2 does not serve public files at its own address.',
    hint: 'Connect a domain to the bucket and give it as the public host. The address r2.dev is limited, so it is no substitute.',
  },
  {
    id: 'spaces',
    name: 'DigitalOcean Spaces',
    endpoint: 'https://REGION.digitaloceanspaces.com',
    region: 'nyc3',
    acl: 'public-read',
    hint: 'Set File Listing to Restricted.',
  },
  {
    id: 'garage',
    name: 'Garage, on your own server',
    isOwn: true,
    region: 'garage',
    acl: 'none',
    refusesAcl: true,
    needsAlias: 'Garage serves public files only at its web endpoint.',
    hint: 'Give the address of its S3 interface, usually on port 3900, and as the public host the name of the bucket at its web endpoint, usually port 3902.',
  },
  {
    id: 'hetzner',
    name: 'Hetzner',
    endpoint: 'https://REGION.your-objectstorage.com',
    region: 'fsn1',
    acl: 'public-read',
    hint: 'Regions: fsn1, nbg1, hel1.',
  },
  {
    id: 'minio',
    name: 'MinIO, on your own server',
    isOwn: true,
    region: 'us-east-1',
    acl: 'none',
    hint: `Give its address. ${BY_POLICY}`,
  },
  {
    id: 'scaleway',
    name: 'Scaleway',
    endpoint: 'https://s3.REGION.scw.cloud',
    region: 'fr-par',
    acl: 'public-read',
    hint: 'Regions: fr-par, nl-ams, pl-waw. Keep the bucket private: each file has its own ACL.',
  },
  {
    id: 'wasabi',
    name: 'Wasabi',
    endpoint: 'https://s3.REGION.wasabisys.com',
    region: 'us-east-1',
    acl: 'none',
    hint: `${BY_POLICY} An ACL for everybody on the bucket would let everybody list it.`,
  },
];

/** Address of its S3 interface; undefined: Amazon's own, or a part of it is missing. */
export function endpointOf(
  { endpoint = '' }: BucketProvider,
  region: string,
  account: string | undefined,
): string | undefined {
  const filled = endpoint.replace('REGION', region).replace('ACCOUNT', account ?? 'ACCOUNT');
  return filled === '' || filled.includes('ACCOUNT') ? undefined : filled;
}
