/** Runs the steps of a first run: check, act once, check again. */
import type { AppStep } from '../apps/app.ts';
import type { Output } from '../docker/engine.ts';
import type { Runtime } from '../docker/runtime.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Progress } from '../progress.ts';
import type { Store } from '../secrets/store.ts';

export interface StepContext {
  readonly runtime: Runtime;
  readonly store: Store;
  readonly progress: Progress;
  readonly now: () => Date;
}

/** Steps that apply to this site. */
export const due = (steps: readonly AppStep[], store: Store): AppStep[] =>
  steps.filter(({ sets }) => sets === undefined || store.has(sets.answer));

async function isDone(context: StepContext, step: AppStep): Promise<boolean> {
  if (step.sets !== undefined) return context.store.wasShown(step.sets.as);
  if (step.check === undefined) return step.capture !== undefined && context.store.has(step.capture.secret);
  const { code, stdout } = await context.runtime.exec(step.service, step.check);
  return (
    code === 0 && (step.check.prints === undefined || stdout.trim().split('\n').at(-1) === step.check.prints)
  );
}

export async function runSteps(context: StepContext, steps: readonly AppStep[]): Promise<void> {
  const { progress } = context;
  for (const step of due(steps, context.store)) {
    // Another step has captured its secret: there is nothing to report.
    if (step.check === undefined && step.sets === undefined && (await isDone(context, step))) continue;
    progress.start(step.id, step.title);
    try {
      if (await isDone(context, step)) {
        progress.already();
        continue;
      }
      progress.emit({ event: 'act', id: step.id });
      const act =
        typeof step.act === 'function' ? step.act(context.store.get(step.sets?.answer ?? '')) : step.act;
      const output = await context.runtime.exec(step.actIn ?? step.service, act);
      if (step.sets) await put(context, step, output);
      if (step.capture) await capture(context, step, output);
      progress.emit({ event: 'acted', id: step.id });
      if (!(await isDone(context, step))) throw failed(step, output, 'it had no effect');
      progress.done();
    } catch (error) {
      progress.fail();
      throw error;
    }
  }
}

/** Stores the value that the app has now, as shown: the user chose it. */
async function put({ store, now }: StepContext, step: AppStep, output: Output): Promise<void> {
  const { answer, as } = step.sets as NonNullable<AppStep['sets']>;
  if (output.code !== 0) throw failed(step, output, 'it was rejected');
  store.put(as, 'free', store.get(answer).reveal(), now());
  store.markShown(as);
  await store.save();
}

/** Stores what a command prints once, before anything else happens. */
async function capture({ store, now }: StepContext, step: AppStep, output: Output): Promise<void> {
  const { pattern, secret } = step.capture as NonNullable<AppStep['capture']>;
  const value = pattern.exec(output.stdout)?.[1];
  if (value === undefined) throw failed(step, output, 'it did not print the expected value');
  store.put(secret, 'free', value, now());
  await store.save();
}

function failed(step: AppStep, { code, stdout, stderr }: Output, why: string): Problem {
  // The output of a step may be the secret itself, so only standard error is shown.
  return new Problem(EXIT.FAILED, `${step.title}: ${why} (exit code ${code}).`, {
    means: 'The site runs, but its first run is incomplete. Completed steps are kept.',
    next: `${step.hint} Then run this again.`,
    log: (step.capture || step.sets ? stderr : `${stdout}${stderr}`).trim().split('\n').slice(-20).join('\n'),
  });
}
