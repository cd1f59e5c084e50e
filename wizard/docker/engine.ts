/** The interface of the Docker engine for the rest of the wizard. */
import type { Duplex } from 'node:stream';
import { EXIT, Problem } from '../problem.ts';
import type { Rights } from './policy.ts';

/** The engine stopped answering, or does not answer. */
export class EngineGone extends Problem {}

export interface EngineInfo {
  readonly version: string;
  readonly composeVersion: string;
  readonly memoryMiB: number;
  readonly cpus: number;
  /** Where Docker keeps images and volumes. */
  readonly dataRoot: string;
  readonly rootless: boolean;
  /** Users of containers are mapped to other users of the host (`userns-remap`). */
  readonly mapsUsers: boolean;
  /** Architecture of the engine, as images name it: `amd64`, `arm64`, … The kernel's may differ. */
  readonly architecture: string;
  /** Of the machine the engine runs on: `Debian GNU/Linux 12 (bookworm)`, `Docker Desktop`, … */
  readonly system: string;
  /** `unix:///…`. */
  readonly socket: string;
  /** Source of a socket other than Docker's default: `DOCKER_HOST`, or `the context NAME`. */
  readonly chosenBy: string | undefined;
  /** Variables of Docker's client that are set but not passed on: they are for remote engines. */
  readonly ignored: readonly string[];
}

export interface Image {
  /** `sha256:…` of the image's configuration. */
  readonly id: string;
  /**
   * `repository@sha256:…`. The classic image store has one for each registry of origin; containerd's, where the id is a
   * digest too, has one for each local name.
   */
  readonly digests: readonly string[];
  /** Whether the engine knows that it came from a registry; undefined: unknown (before Docker 29). */
  readonly pulled?: boolean;
  /** `amd64`, `arm64`, …; undefined: it does not say. */
  readonly architecture?: string;
  /** Bytes of its layers, which it may share with other images. */
  readonly bytes?: number;
}

/** An image as the registry describes it. */
export interface Published {
  readonly digest: string;
  /** `linux/amd64`, `linux/arm64`, …; empty if the registry does not say. */
  readonly platforms: readonly string[];
}

/** A network of the engine. */
export interface Network {
  readonly name: string;
  /** Compose project and the network's key in it; undefined: Compose did not create it. */
  readonly project: string | undefined;
  readonly key: string | undefined;
  /** IPv4 in CIDR notation. */
  readonly subnets: readonly string[];
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
  /** Undefined if the container has no health check. */
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
  /** Id of its image. */
  readonly image?: string;
  /** Anonymous volumes, which the image declares. */
  readonly anonymous?: readonly string[];
}

/** What the engine's list of containers says about one. */
export interface ListedContainer extends Pick<Container, 'service' | 'project' | 'state' | 'labels'> {
  /** Published ports of the host, while it runs. `ip` is empty for every address. */
  readonly ports: readonly { readonly ip: string; readonly port: number; readonly protocol: string }[];
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command in a container: an argument array, never a shell line. Secrets are passed by `stdin`. */
export interface Command {
  readonly argv: readonly string[];
  readonly stdin?: string;
}

/** Limits of a call. Its output is always bounded (docker/kept.ts). */
export interface Call {
  /** Time limit, then a Problem. */
  readonly timeoutMs?: number;
  /** Ends the call early: it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called for every line of output of both streams; only for `run`. */
  readonly onLine?: (line: string) => void;
}

/** A one-shot container that is removed when it ends. Without network unless one is named. */
export interface OneShot {
  /** Name of the container; absent: a random one. */
  readonly name?: string;
  readonly image: string;
  /** Replaces the image's entry point by the first word. */
  readonly argv: readonly string[];
  readonly stdin?: string;
  /** `source:target[:ro]`. */
  readonly mounts?: readonly string[];
  readonly network?: string;
  readonly hostname?: string;
  readonly user?: string;
  /** Capabilities it needs; without them it has none. */
  readonly capabilities?: readonly string[];
  /** Passed by name, so that no value is in an argument. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A one-shot container whose standard input and output are a stream. */
export interface Pipe {
  readonly stream: Duplex;
  /** Removes the container. */
  close(): Promise<void>;
}

/** From this exit code of `docker run` on, Docker could not start the program. */
const NOT_STARTED = 125;

/** The Problem if Docker could not run a one-shot container; undefined: the exit code is the program's. */
export function notStarted(image: string, { code, stderr }: Output): Problem | undefined {
  if (code < NOT_STARTED || code > NOT_STARTED + 2) return undefined;
  // Docker prints its error before its advice.
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

/** Runs a one-shot container. Throws a Problem if Docker could not start it: the exit code is the program's. */
export async function runOneShot(engine: Engine, shot: OneShot, call?: Call): Promise<Output> {
  const output = await engine.run(shot, call);
  const failed = notStarted(shot.image, output);
  if (failed !== undefined) throw failed;
  return output;
}

export interface Engine {
  /** Throws a Problem (exit 4) if the engine or Compose cannot be used. */
  info(): Promise<EngineInfo>;
  /**
   * Hosts that containers reach without the proxy that Docker's client sets in every container (`proxies` in its
   * configuration); undefined: it sets none.
   */
  noProxy(): Promise<readonly string[] | undefined>;
  image(reference: string): Promise<Image | undefined>;
  /**
   * Looks an image up in its registry, as a pull would. Undefined: the registry requires a log-in. Throws
   * a Problem if the registry cannot be reached or does not have it.
   */
  findInRegistry(reference: string): Promise<Published | undefined>;
  pull(reference: string, onLine: (line: string) => void): Promise<void>;
  /** @param fresh ignore the build cache and look for a newer base image */
  build(reference: string, folder: string, onLine: (line: string) => void, fresh?: 'fresh'): Promise<void>;
  /** Gives an image another name, which it may take from another image. */
  tag(id: string, reference: string): Promise<void>;
  /** Whether an image could be removed: no container uses it, and it has no other name than `tag`. */
  isUnusedImage(id: string, tag: string): Promise<boolean>;
  /** Removes an image that no container uses. @returns whether it was removed */
  removeImage(id: string): Promise<boolean>;
  /** `device`: the directory of a bind volume. */
  volume(name: string): Promise<{ readonly device: string | undefined } | undefined>;
  /** Names of all volumes of a Compose project. */
  volumes(project: string): Promise<string[]>;
  /** Creates it with Compose's labels, so that Compose accepts it as its own. */
  createVolume(
    name: string,
    project: string,
    key: string,
    options?: Readonly<Record<string, string>>,
  ): Promise<void>;
  removeVolume(name: string): Promise<void>;
  /** Removes every volume of a Compose project, also those of removed services. */
  removeVolumes(project: string): Promise<void>;
  /** Removes those of the volumes that no container uses. */
  removeUnused(volumes: readonly string[]): Promise<void>;
  /** All networks, of every project and of none. */
  networks(): Promise<Network[]>;
  /** Creates that many networks and removes them again. Returns what Docker says if it cannot; undefined: it can. */
  tryNetworks(count: number): Promise<string | undefined>;
  /** Removes networks of a Compose project by their keys; one that is in use stays. */
  removeNetworks(project: string, isUnwanted: (key: string) => boolean): Promise<void>;
  containers(project: string): Promise<Container[]>;
  /**
   * Containers of every Compose project, from the engine's list alone. To inspect a container can hang: Docker 20.10 never
   * answers about one whose health check timed out while it started.
   */
  listed(): Promise<ListedContainer[]>;
  /** Processor time that a container has used since it started; 0 if it is gone. */
  cpuSeconds(id: string): Promise<number>;
  /** Bytes of memory that a container uses, without the page cache that the kernel can free; undefined: it does not run. */
  memoryOf(id: string): Promise<number | undefined>;
  /** The last lines, within the last `seconds` if given. */
  logs(id: string, lines: number, seconds?: number): Promise<string>;
  /** Time limit if none is given: two hours. A command that was not awaited continues in the container. */
  exec(id: string, command: Command, call?: Call): Promise<Output>;
  /** Time limit if none is given: four hours. After it, and after a signal, the container is removed. */
  run(shot: OneShot, call?: Call): Promise<Output>;
  /** Starts a one-shot container. A failed start ends the stream. */
  pipe(shot: OneShot): Promise<Pipe>;
  /**
   * Stops and removes a container. Its volumes stay, the anonymous ones too unless they are disposable, as those of a one-shot.
   * Accepts a container that is gone or being removed.
   */
  removeContainer(id: string, disposable?: 'disposable'): Promise<void>;
  /** Runs `docker compose ARGV` in a directory, without the shell's COMPOSE_… variables. `signal` ends it early. */
  compose(
    folder: string,
    argv: readonly string[],
    onLine?: (line: string) => void,
    signal?: AbortSignal,
  ): Promise<Output>;
  /** The same with the user's terminal; resolves to the exit code. */
  composeAttached(folder: string, argv: readonly string[]): Promise<number>;
}
