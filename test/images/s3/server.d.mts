import type { Server } from 'node:http';

export interface S3Config {
  readonly region: string;
  /** If set, only addresses `https://BUCKET.domain` are accepted. */
  readonly domain?: string;
  /** Access key → its secret and rights. */
  readonly keys: Readonly<Record<string, { readonly secret: string; readonly readonly?: boolean }>>;
  readonly buckets: Readonly<
    Record<
      string,
      {
        /** False: refuses a request that names an ACL. */
        readonly acl?: boolean;
        /** Everything in it may be read by anybody, as by a policy. */
        readonly public?: boolean;
        readonly listable?: boolean;
        /** Value of Access-Control-Allow-Origin. */
        readonly cors?: string;
        /** False: refuses the checksums that newer SDKs send, as older servers do. */
        readonly checksums?: boolean;
      }
    >
  >;
}

export interface S3Line {
  readonly method: string;
  /** Host, path and query. */
  readonly path: string;
  readonly status: number;
  readonly code?: string;
  readonly key?: string;
  readonly payload?: string;
  readonly acl?: string;
  readonly sums: readonly string[];
}

export function s3(
  config: S3Config,
  options?: { readonly now?: () => Date; readonly log?: (line: S3Line) => void },
): Server & {
  readonly buckets: Readonly<
    Record<
      string,
      {
        readonly objects: Map<string, { readonly data: Buffer; public: boolean }>;
        readonly uploads: ReadonlyMap<string, unknown>;
      }
    >
  >;
};
