/** Connection checks of external servers, before anything is written. */
import { appOf } from '../apps/index.ts';
import type { Trial } from '../apps/app.ts';
import type { Config } from '../config/config.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { lockedReference } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Progress } from '../progress.ts';
import { PRIVATE_CA } from '../trust.ts';
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
            : /certificate/i.test(problem)
              ? `${PRIVATE_CA}${trial.caFlag === undefined ? '' : ` ${trial.caFlag} names one for this database alone.`}`
              : trial.hint,
        });
      }
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
