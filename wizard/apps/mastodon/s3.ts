/** Mastodon's media in a bucket. */
import { bucketHost, bucketRoot, takesParts } from '../../config/bucket.ts';
import type { AppConfig } from '../../config/config.ts';
import type { EnvGroup } from '../../stack/env.ts';
import type { Secret } from '../../secrets/secret.ts';
import { bucketSecret } from '../shared/s3.ts';

/** Variables of Mastodon (config/initializers/paperclip.rb, v4.6.5); none without a bucket. */
export function mastodonS3({ bucket }: AppConfig, secret: (name: string) => Secret): EnvGroup {
  if (bucket === undefined) return {};
  const foreign = bucket.endpoint !== undefined;
  // Without an alias Mastodon's URLs always have the bucket in the path.
  const alias = bucket.alias ?? (bucket.style === 'virtual' ? bucketRoot(bucket) : undefined);
  return {
    S3_ENABLED: 'true',
    S3_BUCKET: bucket.name,
    AWS_ACCESS_KEY_ID: bucket.accessKey,
    AWS_SECRET_ACCESS_KEY: bucketSecret('mastodon', secret),
    S3_REGION: bucket.region,
    S3_ENDPOINT: bucket.endpoint,
    S3_PROTOCOL: 'https',
    // One of the two is in the pages' Content-Security-Policy; the default is a host that Amazon no longer uses.
    S3_HOSTNAME: alias === undefined ? bucketHost(bucket) : undefined,
    S3_ALIAS_HOST: alias,
    // Upstream's name is misleading: true means the bucket's name before the host.
    S3_OVERRIDE_PATH_STYLE: foreign && bucket.style === 'virtual' ? 'true' : undefined,
    // Empty on purpose: if unset, every object is sent with public-read.
    S3_PERMISSION: bucket.acl === 'none' ? '' : undefined,
    // Other providers reject the checksums that newer SDKs send, and reads in parts.
    AWS_REQUEST_CHECKSUM_CALCULATION: foreign ? 'when_required' : undefined,
    AWS_RESPONSE_CHECKSUM_VALIDATION: foreign ? 'when_required' : undefined,
    S3_FORCE_SINGLE_REQUEST: foreign ? 'true' : undefined,
    // With upstream's 5 s and no retry, a slow response of the provider becomes a broken picture.
    S3_OPEN_TIMEOUT: 10,
    S3_READ_TIMEOUT: 20,
    S3_RETRY_LIMIT: 2,
    // With this limit most files are sent in one request.
    S3_MULTIPART_THRESHOLD: takesParts(bucket) ? undefined : 52_428_800,
  };
}
