/** An S3 bucket, and its URLs. */

export interface Bucket {
  /** Id of the provider; undefined: one that is not listed. */
  readonly provider?: string | undefined;
  /** Origin of the provider's S3 interface; undefined: Amazon's own. */
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly name: string;
  readonly accessKey: string;
  /** Public host (and path) of the bucket's root, without `https://`; undefined: endpoint and bucket. */
  readonly alias: string | undefined;
  /** This site's Caddy serves `alias`, from the S3 interface. */
  readonly isProxied?: true;
  readonly acl: 'public-read' | 'none';
  /** Where the bucket's name is in URLs: in the path, or before the host. */
  readonly style: 'path' | 'virtual';
}

/** Host (and port) of the S3 interface. */
export const bucketHost = ({ endpoint, region }: Bucket): string =>
  endpoint === undefined ? `s3.${region}.amazonaws.com` : new URL(endpoint).host;

/** The host and path of the bucket's root at the S3 interface, without scheme. */
export const bucketRoot = (bucket: Bucket): string =>
  bucket.style === 'virtual'
    ? `${bucket.name}.${bucketHost(bucket)}`
    : `${bucketHost(bucket)}/${bucket.name}`;

/** Whether the S3 interface speaks plain HTTP, as in a private network. */
export const isPlain = ({ endpoint }: Pick<Bucket, 'endpoint'>): boolean =>
  endpoint?.startsWith('http://') === true;

/** URL of an object at the S3 interface. */
export const objectUrl = (bucket: Bucket, key: string): string =>
  `${isPlain(bucket) ? 'http' : 'https'}://${bucketRoot(bucket)}/${key}`;

/** Public URL of an object, as the app uses it in its pages. */
export const publicUrl = (bucket: Bucket, key: string): string =>
  bucket.alias === undefined ? objectUrl(bucket, key) : `https://${bucket.alias}/${key}`;

/** Whether files may be uploaded in parts. Google's accept no ACL then, so apps get a higher limit for uploads in one request. */
export const takesParts = (bucket: Bucket): boolean => bucketHost(bucket) !== 'storage.googleapis.com';
