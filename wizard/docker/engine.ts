/** The Docker boundary: what the rest of the wizard may ask of an engine. */
import { EXIT, Problem } from '../problem.ts';
import type { Rights } from './policy.ts';

/** The engine does not answer, though it did or should. */
export class EngineGone extends Problem {}

export interface EngineInfo {
  readonly version: string;
  readonly composeVersion: string;
  readonly memoryMiB: number;
  readonly cpus: number;
  /** Where Docker keeps images and volumes. */
  readonly dataRoot: string;
  readonly rootless: boolean;
  /** What the engine runs programs for, as images name it: `amd64`, `arm64`, … It may be another than the kernel's. */
  readonly architecture: string;
  /** Of the machine the engine runs on: `Debian GNU/Linux 12 (bookworm)`, `Docker Desktop`, … */
  readonly system: string;
  /** `unix:///…`. */
  readonly socket: string;
  /** What names that socket, where it is not Docker's default: `DOCKER_HOST`, or `the context NAME`. */
  readonly chosenBy: string | undefined;
  /** Variables of Docker's client that are set and that we keep from it: they are for engines elsewhere. */
  readonly ignored: readonly string[];
}

export interface Image {
  /** `sha256:…` of the image's configuration. */
  readonly id: string;
  /**
   * `repository@sha256:…`. In the classic image store one for each registry that it came from; in containerd's, where the
   * id is a digest too, one for each name that the image has here.
   */
  readonly digests: readonly string[];
  /** Whether the engine knows that it came from a registry; undefined: an engine before 29 does not tell. */
  readonly pulled?: boolean;
}

/** What a registry says of an image. */
export interface Published {
  readonly digest: string;
  /** `linux/amd64`, `linux/arm64`, …; empty where the registry does not say. */
  readonly platforms: readonly string[];
}

/** One health check as Docker ran it; exit code -1: Docker ended it, and the output says why. */
export interface HealthCheck {
  readonly exitCode: number;
  readonly output: string;
}

export interface Container {
  readonly id: string;
  /** Compose service. */
  readonly service: string;
  readonly project: string;
  /** Without the slash that Docker puts before it. */
  readonly name: string;
  readonly state: 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';
  /** Absent where the container has no health check. */
  readonly health: 'starting' | 'healthy' | 'unhealthy' | undefined;
  /** What the last health check printed. */
  readonly healthOutput: string;
  /** The last health checks, oldest first. */
  readonly healthLog: readonly HealthCheck[];
  /** As Docker writes it (RFC 3339); a year before 1970: it was never started. */
  readonly startedAt: string;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly restarts: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly rights: Rights;
  /** Volumes without a name of their own, which the image asked for. */
  readonly anonymous?: readonly string[];
  /** Published ports of the host. */
  readonly ports: readonly { readonly ip: string; readonly port: number; readonly protocol: string }[];
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command in a container: an argument array, never a shell line. Secrets go in by `stdin`. */
export interface Command {
  readonly argv: readonly string[];
  readonly stdin?: string;
}

/** A one-shot container that is removed when it ends. Without network unless one is named. */
export interface OneShot {
  readonly image: string;
  /** Replaces the image's entry point by the first word. */
  readonly argv: readonly string[];
  readonly stdin?: string;
  /** `source:target[:ro]`. */
  readonly mounts?: readonly string[];
  readonly network?: string;
  readonly user?: string;
  /** Capabilities it needs; without them it has none. */
  readonly capabilities?: readonly string[];
  /** Handed over by name, so that no value stands in an argument. */
  readonly env?: Readonly<Record<string, string>>;
}

/** From here on an exit code of `docker run` is not the program's: Docker could not start it. */
const NOT_STARTED = 125;

/** Docker's own failure to run a one-shot container; undefined: its program ran, and the exit code is the program's. */
export function notStarted(image: string, { code, stderr }: Output): Problem | undefined {
  if (code < NOT_STARTED || code > NOT_STARTED + 2) return undefined;
  // Docker's own words come before its advice.
  const words =
    stderr
      .trim()
      .split('\n')[0]
      ?.replace(/^docker: /, '') || `exit code ${code}`;
  return new Problem(EXIT.FAILED, `Docker could not run a container of ${image}: ${words}`, {
    means: 'Docker or the image is the cause, not your answers. Nothing was changed.',
    next: `Try \`docker run --rm ${image} true\`; fix what it says and run this again.`,
  });
}

export interface Engine {
  /** Throws a Problem (exit 4) in words when the engine or Compose cannot be used. */
  info(): Promise<EngineInfo>;
  /**
   * What containers reach without the proxy that Docker's client gives to every container (`proxies` in its
   * configuration); undefined: it gives them none.
   */
  noProxy(): Promise<readonly string[] | undefined>;
  image(reference: string): Promise<Image | undefined>;
  /**
   * Asks the image's registry for it as a pull would, and fetches nothing. Undefined: the registry wants a log-in. Throws
   * a Problem when the engine does not reach it, or it is not there.
   */
  findInRegistry(reference: string): Promise<Published | undefined>;
  pull(reference: string, onLine: (line: string) => void): Promise<void>;
  build(reference: string, folder: string, onLine: (line: string) => void): Promise<void>;
  /** `device`: the directory it leads to, where Docker does not keep it itself. */
  volume(name: string): Promise<{ readonly device: string | undefined } | undefined>;
  /** Creates it with Compose's own labels, so that Compose takes it for its own. */
  createVolume(
    name: string,
    project: string,
    key: string,
    options?: Readonly<Record<string, string>>,
  ): Promise<void>;
  removeVolume(name: string): Promise<void>;
  /** Every volume of a Compose project, also of services it has no more. */
  removeVolumes(project: string): Promise<void>;
  /** Those of these volumes that no container has. */
  removeUnused(volumes: readonly string[]): Promise<void>;
  /** Those of a Compose project's networks, by their keys, that are wanted no more; one that somebody still uses stays. */
  removeNetworks(project: string, isUnwanted: (key: string) => boolean): Promise<void>;
  /** Containers of a project, or of every Compose project. */
  containers(project?: string): Promise<Container[]>;
  /** The last lines, of the last so many seconds where these are given. */
  logs(id: string, lines: number, seconds?: number): Promise<string>;
  /** @param wholeMs throws a Problem after that; absent: two hours. The command in the container goes on. */
  exec(id: string, argv: readonly string[], stdin?: string, wholeMs?: number): Promise<Output>;
  run(shot: OneShot): Promise<Output>;
  /** Stops and removes a container; its volumes stay. One that is gone, or just being removed, is no error. */
  removeContainer(id: string): Promise<void>;
  /** `docker compose ARGV` in a folder; the shell's COMPOSE_… variables do not count. `signal` ends it early. */
  compose(
    folder: string,
    argv: readonly string[],
    onLine?: (line: string) => void,
    signal?: AbortSignal,
  ): Promise<Output>;
  /** The same with the person's terminal; resolves to the exit code. */
  composeAttached(folder: string, argv: readonly string[]): Promise<number>;
}
