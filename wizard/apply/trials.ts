/** What the person named is tried from inside a container, before anything is written. */
import { appOf } from '../apps/index.ts';
import type { Trial } from '../apps/app.ts';
import type { Config } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { lockedReference } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Progress } from '../progress.ts';
import { revealAll } from '../secrets/secret.ts';
import type { Store } from '../secrets/store.ts';

export async function runTrials(
  engine: Engine,
  config: Config,
  store: Store,
  lock: Lock,
  progress: Progress,
): Promise<void> {
  for (const { id } of config.apps) {
    for (const trial of appOf(id).trials?.(config) ?? []) {
      progress.start(`trial.${trial.id}`, trial.title);
      const problem = await attempt(engine, store, lock, trial);
      if (problem === undefined) progress.done();
      else {
        progress.fail();
        throw new Problem(EXIT.USAGE, `${trial.title}: ${problem}`, {
          means: 'Tried from inside a container, where the server will ask from. Nothing was changed.',
          next: trial.hint,
        });
      }
    }
  }
}

async function attempt(engine: Engine, store: Store, lock: Lock, trial: Trial): Promise<string | undefined> {
  const { code, stdout, stderr } = await engine.run({
    image: lockedReference(lock[trial.image] as Lock[string]),
    argv: trial.argv,
    env: revealAll(trial.env((name) => store.get(name))),
    network: 'bridge',
  });
  if (code !== 0) return stderr.trim().replaceAll(/\s*\n\s*/g, ' ') || `exit code ${code}`;
  return trial.problem(stdout);
}
