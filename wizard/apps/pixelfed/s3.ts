/** Pixelfed's media in a bucket. */
import { publicUrl } from '../../config/bucket.ts';
import type { AppConfig } from '../../config/config.ts';
import type { EnvGroup } from '../../stack/env.ts';
import type { Secret } from '../../secrets/secret.ts';
import { bucketSecret } from '../shared/s3.ts';

/** Variables of Pixelfed (config/filesystems.php, 0.12.6); none without a bucket. */
export function pixelfedS3({ bucket }: AppConfig, secret: (name: string) => Secret): EnvGroup {
  if (bucket === undefined) return {};
  const foreign = bucket.endpoint !== undefined;
  return {
    PF_ENABLE_CLOUD: 'true',
    FILESYSTEM_CLOUD: 's3',
    AWS_BUCKET: bucket.name,
    AWS_ACCESS_KEY_ID: bucket.accessKey,
    AWS_SECRET_ACCESS_KEY: bucketSecret('pixelfed', secret),
    AWS_DEFAULT_REGION: bucket.region,
    AWS_ENDPOINT: bucket.endpoint,
    AWS_URL: publicUrl(bucket, '').replace(/\/$/, ''),
    // As in AWS_URL.
    AWS_USE_PATH_STYLE_ENDPOINT: bucket.style === 'path' ? 'true' : 'false',
    AWS_VISIBILITY: 'public',
    // Other providers reject the checksums that newer SDKs send. Read by the SDK, not by Pixelfed.
    AWS_REQUEST_CHECKSUM_CALCULATION: foreign ? 'WHEN_REQUIRED' : undefined,
    AWS_RESPONSE_CHECKSUM_VALIDATION: foreign ? 'WHEN_REQUIRED' : undefined,
  };
}
