/** Short commands for what is in a volume or a network, whether or not a container runs there. */
import type { Engine, OneShot, Output } from './engine.ts';

/** From this exit code on, the program was killed or did not start. */
const NOT_ITS_OWN = 125;

/**
 * Runs a command in the container of a service. Runs it in a new container if that service does not run, or if its container ends
 * during the call: an interrupted run may have left a container that Docker is about to stop.
 */
export async function execOrRun(
  engine: Engine,
  { project, service }: { readonly project: string; readonly service: string },
  shot: OneShot,
): Promise<Output> {
  const running = (await engine.containers(project)).find(
    (one) => one.service === service && one.state === 'running',
  );
  if (running !== undefined) {
    const output = await engine.exec(running.id, shot.argv).catch(() => undefined);
    if (output !== undefined && output.code < NOT_ITS_OWN) return output;
  }
  return engine.run(shot);
}
