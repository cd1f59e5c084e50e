/** Tries new and changed buckets before anything is written. */
import { lookup } from 'node:dns/promises';
import type { Resolved } from '../answers/resolve.ts';
import { appOf } from '../apps/index.ts';
import { bucketIn, needsAcl, secretKeyOf } from '../apps/shared/s3.ts';
import { bucketHost, objectUrl } from '../config/bucket.ts';
import { OWN_CAS_KEY, ingressAddress } from '../config/config.ts';
import type { Config } from '../config/config.ts';
import type { Answers } from '../config/question.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Progress } from '../progress.ts';
import { client } from '../prove/http.ts';
import { evidenceOf, tryBucket } from '../prove/s3.ts';
import { splitRoot } from '../secrets/openssl.ts';
import type { Store } from '../secrets/store.ts';

/** A name that this host does not know may be one inside the site, behind its Caddy, which may not run yet. */
async function isUnknown(host: string): Promise<boolean> {
  return lookup(host).then(
    () => false,
    () => true,
  );
}

export interface BucketTrials {
  readonly config: Config;
  readonly store: Store;
  /** PEM of the CA certificates of the administrator's own servers. */
  readonly ownCas: string | undefined;
  /** The answers of the running site. */
  readonly before: Answers;
  readonly secrets: Resolved['secrets'];
  /** By --skip-check. */
  readonly isSkipped: boolean;
  readonly progress: Progress;
}

/** Throws a Problem if an app could not use its bucket. Resolves to whether a trial was left out on request. */
export async function tryBuckets(trials: BucketTrials): Promise<boolean> {
  const { config, store, ownCas, before, secrets, isSkipped, progress } = trials;
  let isUntested = false;
  for (const app of config.apps) {
    const { bucket } = app;
    if (bucket === undefined) continue;
    const isSame =
      JSON.stringify(bucketIn(before, app.id)) === JSON.stringify(bucket) &&
      before[OWN_CAS_KEY] === config.ownCas;
    if (isSame && secrets[secretKeyOf(app.id)] === undefined) continue;
    const title = `The bucket ${bucket.name} at ${bucketHost(bucket)}`;
    progress.start(`trial.${app.id}.bucket`, title);
    if (isSkipped) {
      progress.skip('not tried (--skip-check bucket)');
      isUntested = true;
      continue;
    }
    // Caddy, which may not run yet, will read it at the S3 interface.
    const tried = bucket.isProxied === true ? { ...bucket, alias: undefined } : bucket;
    const { isLab } = config.tls;
    const root = isLab ? splitRoot(store.get('tls.root').reveal()) : undefined;
    const rungs = await tryBucket(
      {
        http: client(
          isLab ? ingressAddress(config) : undefined,
          root !== undefined && 'certificate' in root ? root.certificate : undefined,
          [],
          undefined,
          undefined,
          ownCas,
        ),
        bucket: tried,
        secretKey: store.find(secretKeyOf(app.id)),
        origin: `https://${app.domain}`,
        needsAcl: needsAcl(appOf(app.id).questions, app.id),
        withParts: true,
        isEarly: true,
      },
      (rung) => progress.update(rung.title),
    );
    const failed = rungs.find(({ state }) => state === 'failed');
    if (failed === undefined) progress.done(evidenceOf(tried, rungs));
    else if (
      isLab &&
      failed.isUnreached === true &&
      (await isUnknown(new URL(objectUrl(bucket, '')).hostname))
    ) {
      progress.already('not reachable from here; the receipt will show it');
    } else {
      progress.fail();
      throw new Problem(EXIT.USAGE, `${title}: ${failed.title}: ${failed.seen}.`, {
        means: 'Pictures could not be stored there. Nothing was changed.',
        next: `${failed.next ?? ''}\n(--skip-check bucket skips this.)`,
      });
    }
    for (const { title: rung, seen, next } of rungs.filter(({ state }) => state === 'warning'))
      progress.say(`  ! ${rung}: ${seen}\n    ${next ?? ''}`);
  }
  return isUntested;
}
