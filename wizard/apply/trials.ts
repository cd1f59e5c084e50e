/** Connection checks of external servers and buckets, before anything is written. */
import { appOf } from '../apps/index.ts';
import { lookup } from 'node:dns/promises';
import type { Trial } from '../apps/app.ts';
import { bucketIn, secretKeyOf } from '../apps/shared/s3.ts';
import { bucketHost, objectUrl } from '../config/bucket.ts';
import { ingressAddress } from '../config/config.ts';
import type { Config } from '../config/config.ts';
import type { Answers } from '../config/question.ts';
import type { Resolved } from '../answers/resolve.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { lockedReference } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem, messageOf } from '../problem.ts';
import type { Progress } from '../progress.ts';
import { client } from '../prove/http.ts';
import { Unreached, tryBucket } from '../prove/s3.ts';
import { splitRoot } from '../secrets/openssl.ts';
import { revealAll } from '../secrets/secret.ts';
import type { Store } from '../secrets/store.ts';

export async function runTrials(
  engine: Engine,
  config: Config,
  store: Store,
  lock: Lock,
  progress: Progress,
  mounts: readonly string[],
): Promise<void> {
  for (const { id, options } of config.apps) {
    for (const trial of appOf(id).trials?.(options) ?? []) {
      progress.start(`trial.${trial.id}`, trial.title);
      const { problem, answered, note } = await attempt(engine, store, lock, trial, mounts);
      if (problem === undefined) progress.done(note);
      else {
        progress.fail();
        throw new Problem(EXIT.USAGE, `${trial.title}: ${problem}`, {
          means: 'Tested from inside a container, as the app connects. Nothing was changed.',
          next: answered
            ? 'Change that on the server, or use another one, and run this again.'
            : /certificate/i.test(problem) && trial.caFlag !== undefined
              ? `If a private CA issued its certificate, put that CA’s certificate into trust/custom and name the file with ${trial.caFlag}.`
              : trial.hint,
        });
      }
    }
  }
}

/** The name may resolve only inside the site, behind its reverse proxy, which is not running yet. */
async function isUnknown(host: string): Promise<boolean> {
  return lookup(host).then(
    () => false,
    () => true,
  );
}

/** Tests new and changed buckets before anything is written: the key may be wrong or the bucket private. */
export async function tryBuckets(
  config: Config,
  store: Store,
  before: Answers,
  secrets: Resolved['secrets'],
  progress: Progress,
): Promise<void> {
  for (const app of config.apps) {
    const { bucket } = app;
    if (bucket === undefined) continue;
    const isSame = JSON.stringify(bucketIn(before, app.id)) === JSON.stringify(bucket);
    if (isSame && secrets[secretKeyOf(app.id)] === undefined) continue;
    const internal = config.tls.isLab;
    const root = internal ? splitRoot(store.get('tls.root').reveal()) : undefined;
    const title = `The bucket ${bucket.name} at ${bucketHost(bucket)}`;
    progress.start(`trial.${app.id}.bucket`, title);
    try {
      progress.done(
        await tryBucket({
          http: client(
            internal ? ingressAddress(config) : undefined,
            root !== undefined && 'certificate' in root ? root.certificate : undefined,
            [],
          ),
          bucket,
          secretKey: store.find(secretKeyOf(app.id)),
          origin: `https://${app.domain}`,
        }),
      );
    } catch (error) {
      if (
        internal &&
        error instanceof Unreached &&
        (await isUnknown(new URL(objectUrl(bucket, '')).hostname))
      ) {
        progress.already('not reachable from here; the receipt will show it');
        continue;
      }
      progress.fail();
      throw new Problem(EXIT.USAGE, `${title}: ${messageOf(error)}.`, {
        means: 'Pictures could not be stored there. Nothing was changed.',
        next: 'Fix that at your provider or in the answers, and run this again.',
        cause: error,
      });
    }
  }
}

async function attempt(
  engine: Engine,
  store: Store,
  lock: Lock,
  trial: Trial,
  mounts: readonly string[],
): Promise<{ problem?: string | undefined; answered: boolean; note?: string | undefined }> {
  const image = lockedReference(lock[trial.image] as Lock[string]);
  const { code, stdout, stderr } = await runOneShot(engine, {
    image,
    argv: trial.argv,
    env: revealAll(trial.env((name) => store.get(name))),
    network: 'bridge',
    mounts,
  });
  if (code !== 0)
    return {
      answered: false,
      problem: (stderr.trim() || stdout.trim()).replaceAll(/\s*\n\s*/g, ' ') || `exit code ${code}`,
    };
  return { answered: true, problem: trial.problem(stdout), note: trial.note?.(stdout) };
}
