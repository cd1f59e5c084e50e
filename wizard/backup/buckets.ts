/** Copies of the apps' buckets: a volume per app, which is part of a backup like any other. */
import { SITE_IMAGES } from '../answers/questions.ts';
import { OWN_CAS } from '../apps/app.ts';
import { secretKeyOf } from '../apps/shared/s3.ts';
import { trustMounts } from '../apply/trust.ts';
import { shellProgram } from '../assets.ts';
import { sizeText } from '../checks/check.ts';
import type { Bucket } from '../config/bucket.ts';
import type { AppConfig, Config } from '../config/config.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine, Output } from '../docker/engine.ts';
import { lockedReference } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import type { Secret } from '../secrets/secret.ts';
import type { Store } from '../secrets/store.ts';
import type { ComposeFile } from '../stack/compose.ts';
import { ensureImage } from './access.ts';
import type { Manifest } from './set.ts';

/** Key of the volume with the copy, as in a manifest. */
const keyOf = (app: string): string => `${app}_bucket`;

type WithBucket = AppConfig & { readonly bucket: Bucket };

const appsWithBuckets = ({ apps }: Pick<Config, 'apps'>): WithBucket[] =>
  apps.filter((app): app is WithBucket => app.bucket !== undefined);

/** The Compose file with the volumes of the copies, which no service uses. Without the option: as it is. */
export function withCopies(compose: ComposeFile, config: Config): ComposeFile {
  if (config.backup?.copiesBuckets !== true) return compose;
  const copies = appsWithBuckets(config).map(({ id }): [string, { name: string }] => [
    keyOf(id),
    { name: `${config.name}_${keyOf(id)}` },
  ]);
  return { ...compose, volumes: { ...compose.volumes, ...Object.fromEntries(copies) } };
}

/** Whether a backup has a copy of a bucket. @param only ids of apps; undefined: all */
export const hasCopies = ({ volumes }: Manifest, only: readonly string[] | undefined): boolean =>
  volumes.some(({ key }) => key.endsWith('_bucket') && (only?.some((app) => key === keyOf(app)) ?? true));

/** What rclone needs: an engine, a site with its secrets, and its image lock. */
export interface CopySite {
  readonly folder: string;
  readonly engine: Engine;
  readonly config: Config;
  readonly store: Store;
  readonly lock: Lock;
  readonly progress: Progress;
}

/** Reference of rclone's image: the locked one of the site, or the default. */
export const rcloneImage = ({ lock, config }: Pick<CopySite, 'lock' | 'config'>): string =>
  lock['rclone'] === undefined
    ? (config.images['rclone'] ?? SITE_IMAGES.rclone.reference)
    : lockedReference(lock['rclone']);

/** Updates the copies, or removes those that are not wanted. Throws a Problem if a bucket cannot be read. */
export async function copyBuckets(site: CopySite): Promise<void> {
  const { engine, config, progress } = site;
  for (const { id } of config.apps) {
    const name = `${config.name}_${keyOf(id)}`;
    const isWanted =
      config.backup?.copiesBuckets === true && appsWithBuckets(config).some((app) => app.id === id);
    if (!isWanted && (await engine.volume(name)) !== undefined) await engine.removeVolume(name);
  }
  if (config.backup?.copiesBuckets !== true) return;
  for (const app of appsWithBuckets(config)) {
    const name = `${config.name}_${keyOf(app.id)}`;
    await ensureImage(engine, rcloneImage(site), progress);
    if ((await engine.volume(name)) === undefined)
      await engine.createVolume(name, config.name, keyOf(app.id));
    await withLine(progress, `bucket.${app.id}`, `Copy of the bucket ${app.bucket.name}`, async () => {
      const output = await rclone(site, app, 'download.sh', name);
      if (output.code === NO_SPACE) {
        const [needed = 0, free = 0] = output.stdout.trim().split('\n').map(Number);
        throw new Problem(
          EXIT.PREFLIGHT,
          `The copy of the bucket ${app.bucket.name} needs ${sizeText(needed)} more; Docker’s disk has ${sizeText(free)} free.`,
          {
            means: 'No backup was made.',
            next: 'Free some space, use a larger disk, or set backup.buckets to leave in fedi.yaml.',
          },
        );
      }
      if (output.code !== 0)
        throw rcloneFailed(output, `Reading the bucket ${app.bucket.name}`, 'No backup was made.');
    });
  }
}

/**
 * Uploads the copies to the buckets: what is missing there or differs. Nothing is deleted.
 * @param only ids of apps; undefined: all
 */
export async function uploadCopies(site: CopySite, only: readonly string[] | undefined): Promise<void> {
  const { engine, config, progress } = site;
  for (const app of appsWithBuckets(config)) {
    const name = `${config.name}_${keyOf(app.id)}`;
    if (only?.includes(app.id) === false || (await engine.volume(name)) === undefined) continue;
    await ensureImage(engine, rcloneImage(site), progress);
    await withLine(progress, `bucket.${app.id}`, `Media in the bucket ${app.bucket.name}`, async () => {
      const output = await rclone(site, app, 'upload.sh', name);
      if (output.code !== 0)
        throw rcloneFailed(
          output,
          `Writing to the bucket ${app.bucket.name}`,
          'The site cannot start until the restore is complete.',
        );
    });
  }
}

/** Exit code of `download.sh`. */
const NO_SPACE = 28;
/** A first copy can take days. */
export const LONGEST_MS = 7 * 24 * 3_600_000;

/** Mount point of the copy. */
const COPY = '/copy';

/** Variables that define rclone's remote `bucket:`. @param limitKiB of uploads, KiB/s; undefined: none */
export const remoteEnv = (
  { endpoint, region, accessKey, acl, style }: Bucket,
  secretKey: Secret,
  limitKiB: number | undefined,
): Readonly<Record<string, string>> => ({
  RCLONE_CONFIG_BUCKET_TYPE: 's3',
  RCLONE_CONFIG_BUCKET_PROVIDER: endpoint === undefined ? 'AWS' : 'Other',
  RCLONE_CONFIG_BUCKET_ACCESS_KEY_ID: accessKey,
  RCLONE_CONFIG_BUCKET_SECRET_ACCESS_KEY: secretKey.reveal(),
  RCLONE_CONFIG_BUCKET_REGION: region,
  RCLONE_CONFIG_BUCKET_FORCE_PATH_STYLE: String(style === 'path'),
  RCLONE_CONFIG_BUCKET_NO_CHECK_BUCKET: 'true',
  ...(endpoint === undefined ? {} : { RCLONE_CONFIG_BUCKET_ENDPOINT: endpoint }),
  ...(acl === 'none' ? {} : { RCLONE_CONFIG_BUCKET_ACL: acl }),
  ...(limitKiB === undefined ? {} : { RCLONE_BWLIMIT: `${limitKiB}:off` }),
});

/** Besides this file, programs in Go read all in the image's /etc/ssl/certs. */
export const trustEnv = ({ ownCas }: Config): Readonly<Record<string, string>> =>
  ownCas === undefined ? {} : { SSL_CERT_FILE: OWN_CAS };

/** Runs a program with rclone's remote `bucket:` and the volume of the copy. */
async function rclone(
  site: CopySite,
  { id, bucket }: WithBucket,
  program: string,
  volume: string,
): Promise<Output> {
  const { folder, engine, store, config } = site;
  return runOneShot(
    engine,
    {
      image: rcloneImage(site),
      argv: shellProgram(`backup/programs/${program}`, [bucket.name, COPY]),
      env: {
        ...trustEnv(config),
        ...remoteEnv(bucket, store.get(secretKeyOf(id)), config.backup?.limitKiB),
      },
      mounts: [`${volume}:${COPY}`, ...(await trustMounts(folder, config))],
      network: 'bridge',
      user: '0:0',
      capabilities: ['DAC_OVERRIDE'],
    },
    { timeoutMs: LONGEST_MS },
  );
}

/** What rclone prints before an error: the time and the level. */
const PREFIX = /^.*? (?:ERROR|CRITICAL|NOTICE) *: (?:Attempt \d+\/\d+ failed with \d+ errors and: |[^:]*: )?/;
/** How far it is. */
export const STATS = / ETA /;

/** @param next what to do. The command that ends with rclone’s own error lines is the cause */
export function rcloneFailed(
  { code, stderr }: Output,
  doing: string,
  means: string,
  next = 'Check the bucket with `fedi-setup prove`, then run this again.',
): Problem {
  const lines = stderr.trim().split('\n');
  const words =
    (lines.findLast((line) => PREFIX.test(line) && !STATS.test(line)) ?? lines.at(-1))?.replace(PREFIX, '') ??
    '';
  return new Problem(EXIT.FAILED, `${doing} failed: ${words || `exit code ${code}`}`, {
    means,
    next,
    log: lines.slice(-5).join('\n'),
  });
}
