/** The containers of one site, by their Compose service. */
import { EXIT, Problem } from '../problem.ts';
import type { Call, Command, Container, Engine, OneShot, Output } from './engine.ts';

/** The container of a service does not exist or is stopped. */
export class NotRunning extends Problem {}

/** From this exit code on, a program was killed or did not start. */
const DID_NOT_END = 125;

export interface Runtime {
  readonly engine: Engine;
  /** Compose project: the site's name. */
  readonly project: string;
  /** All containers of the site. */
  containers(): Promise<Container[]>;
  /** The running container of a service; undefined: there is none. */
  running(service: string): Promise<Container | undefined>;
  /** The running container of a service. Throws {@link NotRunning}. */
  needed(service: string): Promise<Container>;
  /** Runs a command in the container of a service. Throws {@link NotRunning}. */
  exec(service: string, command: Command, call?: Call): Promise<Output>;
  /**
   * Runs a short command in the container of a service, or in a new one if that does not run or ends during the call: an
   * interrupted run may have left a container that Docker is about to stop.
   */
  execOrRun(service: string, shot: OneShot, call?: Call): Promise<Output>;
  /** The last lines of a service, within the last `seconds` if given. Throws {@link NotRunning}. */
  logs(service: string, lines: number, seconds?: number): Promise<string>;
}

export function runtimeOf(engine: Engine, project: string): Runtime {
  const containers = (): Promise<Container[]> => engine.containers(project);
  const running = async (service: string): Promise<Container | undefined> =>
    (await containers()).find((one) => one.service === service && one.state === 'running');
  const needed = async (service: string): Promise<Container> => {
    const container = await running(service);
    if (container !== undefined) return container;
    throw new NotRunning(EXIT.FAILED, `The container ${service} is not running.`, {
      next: `\`fedi-setup logs ${service}\` shows why, \`fedi-setup start ${service}\` starts it.`,
    });
  };
  return {
    engine,
    project,
    containers,
    running,
    needed,
    exec: async (service, command, call) => engine.exec((await needed(service)).id, command, call),
    execOrRun: async (service, shot, call) => {
      const container = await running(service);
      if (container !== undefined) {
        const output = await engine.exec(container.id, shot, call).catch(() => undefined);
        if (output !== undefined && output.code < DID_NOT_END) return output;
      }
      return engine.run(shot, call);
    },
    logs: async (service, lines, seconds) => engine.logs((await needed(service)).id, lines, seconds),
  };
}
