/** Checks the buckets with media: writes, reads and deletes one small object, with the app's settings. */
import { allNamesOf } from '../apps/index.ts';
import { secretKeyOf } from '../apps/shared/s3.ts';
import { bucketHost } from '../config/bucket.ts';
import { ingressAddress } from '../config/config.ts';
import { Problem, messageOf } from '../problem.ts';
import { LIMITS, client } from '../prove/http.ts';
import { proveBucket } from '../prove/s3.ts';
import { Store } from '../secrets/store.ts';
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
  const http = client(config.tls.isLab ? ingressAddress(config) : undefined, root, allNamesOf(config), {
    ...LIMITS,
    idleMs: LIMIT_MS,
    wholeMs: LIMIT_MS,
  });
  const seen: string[] = [];
  const found: Finding[] = [];
  for (const { id, domain, bucket } of apps) {
    if (bucket === undefined) continue;
    const secretKey = store.find(secretKeyOf(id));
    const place = `${bucket.name} at ${bucketHost(bucket)}`;
    try {
      const evidence = await proveBucket({ http, bucket, secretKey, origin: `https://${domain}` });
      const [good = '', warning] = evidence.split('; WARNING: ');
      seen.push(`${place}: ${good}`);
      if (warning !== undefined)
        found.push({
          level: 'warning',
          what: `Everybody can list the files in the bucket ${place}.`,
          means: 'Files of private posts have names that nobody should be able to find.',
          next: `Change the bucket at your provider: ${warning}.`,
        });
    } catch (error) {
      seen.push(`${place}: failed`);
      found.push({
        level: 'blocker',
        what: `The bucket ${place} cannot be used: ${messageOf(error)}.`,
        means: 'Uploads fail, or nobody sees them.',
        next: `Correct it at your provider, or the options --${id}-s3-…; \`fedi-setup prove\` tests it with the app.`,
      });
    }
  }
  return { seen: seen.join('; '), found };
}
