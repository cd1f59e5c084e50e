/** Checks the buckets with media: writes, reads and deletes one small object, with the app's settings. */
import { allNamesOf, appOf } from '../apps/index.ts';
import { needsAcl, secretKeyOf } from '../apps/shared/s3.ts';
import { bucketHost } from '../config/bucket.ts';
import { ingressAddress } from '../config/config.ts';
import { Problem } from '../problem.ts';
import { LIMITS, client } from '../prove/http.ts';
import { evidenceOf, tryBucket } from '../prove/s3.ts';
import { Store } from '../secrets/store.ts';
import { readOwnCas } from '../trust.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';
import { rootsOf } from './site.ts';

const LIMIT_MS = 15_000;

/** Applies to apps with a bucket. */
export async function checkBuckets({
  config,
  folder,
  info,
  exists,
}: CheckContext): Promise<CheckResult | undefined> {
  const apps = config.apps.filter(({ bucket }) => bucket !== undefined);
  if (info instanceof Problem || !exists || apps.length === 0) return undefined;
  const store = await Store.open(folder);
  const root = await rootsOf(folder, config);
  const http = client(
    config.tls.isLab ? ingressAddress(config) : undefined,
    root,
    allNamesOf(config),
    { ...LIMITS, idleMs: LIMIT_MS, wholeMs: LIMIT_MS },
    undefined,
    await readOwnCas(folder, config),
  );
  const seen: string[] = [];
  const found: Finding[] = [];
  for (const { id, domain, bucket } of apps) {
    if (bucket === undefined) continue;
    const secretKey = store.find(secretKeyOf(id));
    const place = `${bucket.name} at ${bucketHost(bucket)}`;
    const rungs = await tryBucket({
      http,
      bucket,
      secretKey,
      origin: `https://${domain}`,
      needsAcl: needsAcl(appOf(id).questions, id),
      withParts: false,
      isEarly: false,
      wholeMs: 3 * LIMIT_MS,
    });
    const failed = rungs.find(({ state }) => state === 'failed');
    seen.push(`${place}: ${failed === undefined ? evidenceOf(bucket, rungs) : 'failed'}`);
    if (failed !== undefined)
      found.push({
        level: 'blocker',
        what: `The bucket ${place} cannot be used: ${failed.title}: ${failed.seen}.`,
        means: 'Uploads fail, or nobody sees them.',
        next: `${failed.next ?? ''} Correct it at your provider, or the options --${id}-s3-…; \`fedi-setup prove\` tests it with the app.`,
      });
    for (const rung of rungs.filter(({ state }) => state === 'warning'))
      found.push({
        level: 'warning',
        what: `The bucket ${place}: ${rung.title}: ${rung.seen}.`,
        means:
          rung.id === 'list'
            ? 'Everybody can find the files of private posts.'
            : 'Uploads work, but browsers do not show all media.',
        next: rung.next ?? '',
      });
  }
  return { seen: seen.join('; '), found };
}
