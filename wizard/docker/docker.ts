/** The real engine: dockerode inspects and executes, `docker compose` makes changes. The only importer of dockerode. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import Docker from 'dockerode';
import { EXIT, Problem, codeOf, messageOf } from '../problem.ts';
import { EngineGone } from './engine.ts';
import type {
  Container,
  Engine,
  EngineInfo,
  Image,
  ListedContainer,
  Network,
  OneShot,
  Output,
  Pipe,
  Published,
} from './engine.ts';
import type { Rights } from './policy.ts';
import { Kept } from './kept.ts';
import { removeAfterSignal } from '../temporary.ts';
import { isOlder, numbersOf } from '../versions.ts';
import { run, runAttached, runPiped, tookTooLong } from './run.ts';
import type { RunOptions } from './run.ts';

const COMPOSE_MINIMUM = [2, 24] as const;

/** How often a container is removed after a signal until Docker's client has ended, and the pause between. */
const [REMOVALS, REMOVAL_MS] = [20, 250] as const;

const INSTALL = 'Install Docker Engine and the Compose plugin: https://docs.docker.com/engine/install/';

/**
 * Variables of Docker's client that must not apply to this host's own engine: TLS to another machine, an API version, another
 * platform. Content trust asks a server for signatures that our images do not have.
 */
const IGNORED = [
  'DOCKER_API_VERSION',
  'DOCKER_CERT_PATH',
  'DOCKER_CONTENT_TRUST',
  'DOCKER_CONTENT_TRUST_SERVER',
  'DOCKER_DEFAULT_PLATFORM',
  'DOCKER_TLS',
  'DOCKER_TLS_VERIFY',
];

/**
 * The environment for Docker's client. Without Compose's own variables: a stray COMPOSE_FILE would run another stack. Without
 * DOCKER_CONTEXT, since the engine is known already.
 */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) =>
        !name.startsWith('COMPOSE_') &&
        !name.startsWith('FEDI_') &&
        name !== 'DOCKER_CONTEXT' &&
        !IGNORED.includes(name),
    ),
  );
}

/** The ignored variables that are set. An empty one does not count, except DOCKER_TLS_VERIFY. */
const ignoredVariables = (): string[] =>
  IGNORED.filter(
    (name) =>
      !['', '0'].includes(process.env[name] ?? '') ||
      (name === 'DOCKER_TLS_VERIFY' && process.env[name] !== undefined),
  );

const NOT_INSTALLED = new Problem(EXIT.PREFLIGHT, 'Docker is not installed: there is no `docker` command.', {
  means: 'The apps run in containers. Nothing was changed.',
  next: INSTALL,
});

const DEFAULT_SOCKET = 'unix:///var/run/docker.sock';

interface Endpoint {
  readonly host: string;
  readonly chosenBy: string | undefined;
}

interface ClientConfig {
  readonly currentContext?: string;
  /** By the engine's address, or `default`. */
  readonly proxies?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** The configuration of Docker's client, read directly: a call of `docker` takes as long as a whole no-op run. */
async function clientConfig(): Promise<ClientConfig> {
  try {
    const folder = process.env['DOCKER_CONFIG'] || join(homedir(), '.docker');
    return JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as ClientConfig;
  } catch {
    return {};
  }
}

/** The context, unless it is the default. */
async function chosenContext(): Promise<string | undefined> {
  const named = process.env['DOCKER_CONTEXT'];
  if (named) return named;
  const { currentContext } = await clientConfig();
  return currentContext === 'default' ? undefined : currentContext;
}

/** The socket that `docker` would use. dockerode does not support contexts, so the client resolves them. */
async function endpoint(): Promise<Endpoint> {
  const fromEnvironment = process.env['DOCKER_HOST'];
  if (fromEnvironment !== undefined && fromEnvironment !== '')
    return { host: fromEnvironment, chosenBy: 'DOCKER_HOST' };
  const context = await chosenContext();
  if (context === undefined) return { host: DEFAULT_SOCKET, chosenBy: undefined };
  try {
    const { code, stdout, stderr } = await run('docker', [
      'context',
      'inspect',
      '--format',
      '{{.Endpoints.docker.Host}}',
    ]);
    if (code !== 0) {
      throw new Problem(EXIT.PREFLIGHT, `The Docker context ${context} cannot be used: ${stderr.trim()}`, {
        means: 'Docker is configured for another engine than this host’s own. Nothing was changed.',
        next: '`docker context use default`, or unset DOCKER_CONTEXT.',
      });
    }
    return { host: stdout.trim() || DEFAULT_SOCKET, chosenBy: `the context ${context}` };
  } catch (error) {
    throw codeOf(error) === 'ENOENT' ? NOT_INSTALLED : error;
  }
}

/** The newest API version that we know; the responses of newer ones may differ. */
const NEWEST_API = '1.53';

/** The API version to use: the engine's newest, but not newer than ours. (An engine may no longer support ours.) */
export function apiVersion(newest: string | undefined): string | undefined {
  if (newest === undefined || !/^\d+\.\d+$/.test(newest)) return undefined;
  return `v${isOlder(numbersOf(newest) ?? [], numbersOf(NEWEST_API) ?? []) ? newest : NEWEST_API}`;
}

/** Asks the engine for its API version, since later engines may refuse calls without one. The next call reports a silent engine. */
async function negotiate(socketPath: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping', method: 'GET', timeout: 10_000 }, (response) => {
      response.resume();
      const newest = response.headers['api-version'];
      resolve(apiVersion(typeof newest === 'string' ? newest : undefined));
    });
    ping.on('error', () => resolve(undefined));
    ping.on('timeout', () => ping.destroy());
    ping.end();
  });
}

async function client({ host, chosenBy }: Endpoint): Promise<Docker> {
  if (host.startsWith('unix://')) {
    const socketPath = host.slice('unix://'.length);
    const version = await negotiate(socketPath);
    return new Docker({ socketPath, ...(version === undefined ? {} : { version }) });
  }
  throw new Problem(
    EXIT.PREFLIGHT,
    `${chosenBy === 'DOCKER_HOST' ? 'DOCKER_HOST' : 'The Docker context'} is ${host}, an engine on another machine.`,
    {
      means: 'A site mounts files of the host that runs its containers, so run fedi-setup on that host.',
      next: 'Run this on that machine, or unset DOCKER_HOST (or `docker context use default`).',
    },
  );
}

async function unreachable({ host, chosenBy }: Endpoint, error: unknown): Promise<Problem> {
  const socket = host.replace(/^unix:\/\//, '');
  const code = codeOf(error);
  const origin = chosenBy === undefined ? '' : ` This address comes from ${chosenBy}.`;
  if (code === 'EACCES' || code === 'EPERM') {
    return new Problem(EXIT.PREFLIGHT, `You do not have permission to use the Docker socket ${socket}.`, {
      means: 'Docker is installed, but your account is not in its group. Nothing was changed.',
      next: 'Run this with sudo, or `sudo usermod -aG docker $USER` and log in again. (Members of that group have the rights of root.)',
      cause: error,
    });
  }
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTSOCK' || code === 'ENOTDIR') {
    return new Problem(EXIT.PREFLIGHT, `No Docker engine answers at ${socket}.${origin}`, {
      means: 'It is stopped, or it listens elsewhere. Nothing was changed.',
      next: chosenBy
        ? chosenBy === 'DOCKER_HOST'
          ? 'Unset DOCKER_HOST or set it to the right socket.'
          : '`docker context use default`, or start that engine.'
        : (await isSystemd())
          ? 'Start it with `sudo systemctl start docker`.'
          : 'Start it with `sudo service docker start` (or `sudo dockerd`).',
      cause: error,
    });
  }
  return new Problem(EXIT.PREFLIGHT, `The Docker engine at ${socket} does not answer: ${messageOf(error)}`, {
    next: 'Check `docker info`.',
    cause: error,
  });
}

async function isSystemd(): Promise<boolean> {
  try {
    return (await readFile('/proc/1/comm', 'utf8')).trim() === 'systemd';
  } catch {
    return false;
  }
}

const NO_ANSWER = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOENT', 'ETIMEDOUT']);
const NO_DAEMON =
  /^(error during connect|cannot connect to the docker daemon)|: cannot connect to the docker daemon|connect (ECONNREFUSED|ENOENT) \S+\.sock/im;

/** Whether an error, of the socket or of `docker`, means that the engine stopped during a run. */
export function isGone(error: unknown): boolean {
  return (
    NO_ANSWER.has(codeOf(error) ?? '') ||
    /^(socket hang up|aborted)$/.test(messageOf(error)) ||
    isSilent(error)
  );
}

const isSilent = (error: unknown): boolean => NO_DAEMON.test(messageOf(error));

/** Time limit for calls that only ask. An overloaded host may take a minute to answer. */
const ANSWER_MS = 2 * 60_000;
/** Methods that only ask. The others may take long: they wait for containers, volumes or a network. */
const QUICK = new Set(['image', 'volume', 'volumes', 'networks', 'containers', 'listed', 'memoryOf', 'logs']);

/** Rejects if there is no result in time. The work itself continues. */
async function inTime<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(Object.assign(new Error(`no answer within ${ms / 1000} s`), { code: 'ETIMEDOUT' }));
    }, ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Wraps every method of an engine: one Problem if it stops answering. `info` has its own, more precise ones. */
export function watched({ info, ...methods }: Engine, socket: string): Engine {
  const gone = (cause: unknown): EngineGone =>
    new EngineGone(
      EXIT.PREFLIGHT,
      `The Docker engine at ${socket.replace(/^unix:\/\//, '')} stopped answering.`,
      {
        means: `It stopped, crashed or hangs (${messageOf(cause)}). Completed steps are kept.`,
        next: 'Start or restart it (`sudo systemctl restart docker`), then run the same command again.',
        cause,
      },
    );
  const isOutput = (result: unknown): result is Output =>
    typeof result === 'object' && result !== null && 'code' in result && 'stderr' in result;
  const wrap =
    (name: string, method: (...argv: unknown[]) => unknown) =>
    async (...argv: unknown[]): Promise<unknown> => {
      let result: unknown;
      try {
        const work = Promise.resolve(method(...argv));
        result = await (QUICK.has(name) ? inTime(work, ANSWER_MS) : work);
      } catch (error) {
        if (error instanceof Problem ? isSilent(error) : isGone(error)) throw gone(error);
        throw error;
      }
      if (isOutput(result) && result.code !== 0 && NO_DAEMON.test(result.stderr))
        throw gone(new Error(result.stderr.trim()));
      return result;
    };
  const wrapped = Object.fromEntries(
    Object.entries(methods).map(([name, method]) => [
      name,
      wrap(name, method as (...argv: unknown[]) => unknown),
    ]),
  );
  return { info, ...wrapped } as Engine;
}

/** Collects a stream's bytes as text, up to a limit. */
class Sink extends Writable {
  readonly #kept = new Kept();
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#kept.add(chunk);
    done();
  }
  get text(): string {
    return this.#kept.text;
  }
}

/** Label of networks that exist only for a moment, to test whether Docker has addresses for them. */
const TRIAL_LABEL = 'org.fedi-setup.trial';

/** Time limit for a command in a container: longer than the migrations of a large database. */
const EXEC_MS = 2 * 3_600_000;
/** Time limit from the end of its output to its exit code. */
const EXIT_CODE_MS = 60_000;

/** Finds the engine; {@link Engine.info} tests whether it answers. */
export async function connect(): Promise<Engine> {
  const end = await endpoint();
  const docker = await client(end);
  const environment = { ...cleanEnvironment(), DOCKER_HOST: end.host };
  const cli = (argv: readonly string[], { env = {}, ...options }: RunOptions = {}): Promise<Output> =>
    run('docker', argv, { ...options, env: { ...environment, ...env } }).catch((error: unknown) => {
      throw codeOf(error) === 'ENOENT' ? NOT_INSTALLED : error;
    });

  const volumes = async (project: string): Promise<string[]> => {
    const { Volumes } = await docker.listVolumes({
      filters: { label: [`com.docker.compose.project=${project}`] },
    });
    return Volumes.map(({ Name }) => Name).toSorted();
  };

  const engine: Engine = {
    async info(): Promise<EngineInfo> {
      let info: {
        ServerVersion: string;
        MemTotal: number;
        NCPU: number;
        DockerRootDir: string;
        SecurityOptions?: string[];
        OperatingSystem?: string;
      };
      let architecture: string;
      // The client first: if it is missing, that is the error to report.
      const compose = await cli(['compose', 'version', '--short']);
      try {
        info = (await inTime(docker.info(), ANSWER_MS)) as typeof info;
        architecture = (await inTime(docker.version(), ANSWER_MS)).Arch;
      } catch (error) {
        throw await unreachable(end, error);
      }
      const composeVersion = compose.stdout.trim().replace(/^v/, '');
      if (compose.code !== 0 || !/^\d+\.\d+/.test(composeVersion)) {
        throw new Problem(EXIT.PREFLIGHT, '`docker compose` is missing.', {
          means: 'The engine runs, but the Compose plugin is not installed. Nothing was changed.',
          next: INSTALL,
        });
      }
      if (isOlder(numbersOf(composeVersion) ?? [], COMPOSE_MINIMUM)) {
        throw new Problem(
          EXIT.PREFLIGHT,
          `Docker Compose ${composeVersion} is too old: it must be ${COMPOSE_MINIMUM.join('.')} or newer.`,
          {
            means: 'Older versions read env files differently. Nothing was changed.',
            next: INSTALL,
          },
        );
      }
      return {
        version: info.ServerVersion,
        composeVersion,
        memoryMiB: Math.round(info.MemTotal / 1024 / 1024),
        cpus: info.NCPU,
        dataRoot: info.DockerRootDir,
        rootless: (info.SecurityOptions ?? []).some((option) => option.includes('rootless')),
        mapsUsers: (info.SecurityOptions ?? []).includes('name=userns'),
        architecture,
        system: info.OperatingSystem ?? '',
        socket: end.host,
        chosenBy: end.host === DEFAULT_SOCKET ? undefined : end.chosenBy,
        ignored: ignoredVariables(),
      };
    },

    async noProxy(): Promise<readonly string[] | undefined> {
      const { proxies = {} } = await clientConfig();
      const { noProxy = '', ...proxy } = proxies[end.host] ?? proxies['default'] ?? {};
      if (Object.values(proxy).every((one) => !one)) return undefined;
      return noProxy
        .split(',')
        .map((one) => one.trim())
        .filter(Boolean);
    },

    async image(reference): Promise<Image | undefined> {
      try {
        const image = (await docker.getImage(reference).inspect()) as Docker.ImageInspectInfo & {
          Identity?: { Pull?: unknown[] };
        };
        const { Identity: identity } = image;
        return {
          id: image.Id,
          digests: image.RepoDigests ?? [],
          bytes: image.Size,
          ...(image.Architecture === '' ? {} : { architecture: image.Architecture }),
          ...(identity === undefined ? {} : { pulled: (identity.Pull ?? []).length > 0 }),
        };
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    },

    async isUnusedImage(id, tag): Promise<boolean> {
      const names = [tag, tag.replace(/^docker\.io\/(library\/)?/, '')];
      const { RepoTags: tags } = await docker.getImage(id).inspect();
      if ((tags ?? []).some((name) => !names.includes(name))) return false;
      return (await docker.listContainers({ all: true })).every(({ ImageID: used }) => used !== id);
    },

    async removeImage(id): Promise<boolean> {
      try {
        await docker.getImage(id).remove();
        return true;
      } catch (error) {
        // Gone, or used since then.
        if ([404, 409].includes(statusOf(error) ?? 0)) return false;
        throw error;
      }
    },

    async findInRegistry(reference): Promise<Published | undefined> {
      try {
        const { Descriptor, Platforms } = (await docker.getImage(reference).distribution()) as {
          Descriptor: { digest: string };
          Platforms?: { os: string; architecture: string }[] | null;
        };
        return {
          digest: Descriptor.digest,
          platforms: (Platforms ?? [])
            .filter(({ os, architecture }) => os !== '' && architecture !== '')
            .map(({ os, architecture }) => `${os}/${architecture}`),
        };
      } catch (error) {
        // The registry answered. Authentication is left to the pull, which may have credentials.
        if ([401, 403].includes(statusOf(error) ?? 0)) return undefined;
        throw pullProblem(reference, messageOf(error));
      }
    },

    async pull(reference, onLine): Promise<void> {
      const result = await cli(['pull', reference], { onLine });
      if (result.code !== 0) throw pullProblem(reference, result.stderr.trim());
    },

    async build(reference, folder, onLine, fresh): Promise<void> {
      const lines: string[] = [];
      const more = fresh === undefined ? [] : ['--no-cache', '--pull'];
      const result = await cli(['build', ...more, '--tag', reference, folder], {
        onLine: (line) => {
          lines.push(line);
          onLine(line);
        },
      });
      if (result.code !== 0) {
        throw new Problem(EXIT.FAILED, `The image ${reference} could not be built.`, {
          means: 'The site was not changed.',
          next: 'Fix the error in the log above and run this again.',
          log: lines.slice(-20).join('\n'),
        });
      }
    },

    async tag(id, reference): Promise<void> {
      const colon = reference.lastIndexOf(':');
      await docker.getImage(id).tag({ repo: reference.slice(0, colon), tag: reference.slice(colon + 1) });
    },

    async volume(name): Promise<{ device: string | undefined } | undefined> {
      try {
        const { Options } = await docker.getVolume(name).inspect();
        return { device: Options?.['device'] };
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    },

    async createVolume(name, project, key, options = {}): Promise<void> {
      await docker.createVolume({
        Name: name,
        DriverOpts: { ...options },
        Labels: { 'com.docker.compose.project': project, 'com.docker.compose.volume': key },
      });
    },

    async removeVolume(name): Promise<void> {
      await docker.getVolume(name).remove();
    },

    volumes,

    async removeVolumes(project): Promise<void> {
      for (const name of await volumes(project)) await docker.getVolume(name).remove();
    },

    async removeUnused(volumes): Promise<void> {
      for (const name of volumes)
        await docker
          .getVolume(name)
          .remove()
          .catch((error: unknown) => {
            // Removed already, or in use.
            if (![404, 409].includes(statusOf(error) ?? 0)) throw error;
          });
    },

    async networks(): Promise<Network[]> {
      return (await docker.listNetworks()).map(({ Name, Labels, IPAM }) => ({
        name: Name,
        project: Labels?.['com.docker.compose.project'],
        key: Labels?.['com.docker.compose.network'],
        subnets: (IPAM?.Config ?? []).flatMap(({ Subnet }) => (Subnet?.includes('.') ? [Subnet] : [])),
      }));
    },

    async tryNetworks(count): Promise<string | undefined> {
      // A killed run may have left some.
      const removeAll = async (): Promise<void> => {
        for (const { Id } of await docker.listNetworks({ filters: { label: [TRIAL_LABEL] } }))
          await docker
            .getNetwork(Id)
            .remove()
            .catch((error: unknown) => {
              if (![403, 404].includes(statusOf(error) ?? 0)) throw error;
            });
      };
      await removeAll();
      try {
        for (let i = 0; i < count; i++)
          await docker.createNetwork({
            Name: `fedi-setup-trial-${randomUUID()}`,
            Labels: { [TRIAL_LABEL]: '' },
          });
        return undefined;
      } catch (error) {
        if (statusOf(error) === undefined) throw error;
        return messageOf(error).trim().split(' - ').at(-1);
      } finally {
        await removeAll();
      }
    },

    async removeNetworks(project, isUnwanted): Promise<void> {
      const networks = await docker.listNetworks({
        filters: { label: [`com.docker.compose.project=${project}`] },
      });
      for (const { Id, Labels } of networks) {
        if (!isUnwanted(Labels?.['com.docker.compose.network'] ?? '')) continue;
        await docker
          .getNetwork(Id)
          .remove()
          .catch((error: unknown) => {
            if (![403, 404].includes(statusOf(error) ?? 0)) throw error;
          });
      }
    },

    async containers(project): Promise<Container[]> {
      const listed = await docker.listContainers({
        all: true,
        filters: { label: [`com.docker.compose.project=${project}`] },
      });
      const inspected = await Promise.all(
        listed.map(async ({ Id }) => {
          try {
            return await docker.getContainer(Id).inspect();
          } catch (error) {
            // Removed between the two calls.
            if (statusOf(error) === 404) return undefined;
            throw error;
          }
        }),
      );
      return inspected
        .filter((container) => container !== undefined)
        .filter((container) => container.Config.Labels['com.docker.compose.oneoff'] !== 'True')
        .map((container) => ({
          id: container.Id,
          service: container.Config.Labels['com.docker.compose.service'] ?? '',
          project: container.Config.Labels['com.docker.compose.project'] ?? '',
          name: container.Name.replace(/^\//, ''),
          state: container.State.Status as Container['state'],
          health: container.State.Health?.Status as Container['health'],
          healthOutput: container.State.Health?.Log.at(-1)?.Output ?? '',
          healthLog: (container.State.Health?.Log ?? []).map(({ ExitCode, Output }) => ({
            exitCode: ExitCode,
            output: Output,
          })),
          startedAt: container.State.StartedAt,
          exitCode: container.State.ExitCode,
          oomKilled: container.State.OOMKilled,
          restarts: container.RestartCount,
          labels: container.Config.Labels,
          rights: rightsOf(container),
          image: container.Image,
          anonymous: container.Mounts.flatMap(({ Type, Name = '' }) =>
            Type === 'volume' && /^[0-9a-f]{64}$/.test(Name) ? [Name] : [],
          ),
        }));
    },

    async listed(): Promise<ListedContainer[]> {
      return (
        await docker.listContainers({ all: true, filters: { label: ['com.docker.compose.project'] } })
      ).map(({ Labels, State, Ports }) => ({
        service: Labels['com.docker.compose.service'] ?? '',
        project: Labels['com.docker.compose.project'] ?? '',
        state: State as Container['state'],
        labels: Labels,
        // Without a public port: one that is only declared.
        ports: Ports.filter(({ PublicPort }) => PublicPort > 0).map(({ IP, PublicPort, Type }) => ({
          ip: IP ?? '',
          port: PublicPort,
          protocol: Type,
        })),
      }));
    },

    async cpuSeconds(id): Promise<number> {
      try {
        const { cpu_stats: cpu } = await docker.getContainer(id).stats({ stream: false, 'one-shot': true });
        return cpu.cpu_usage.total_usage / 1e9;
      } catch (error) {
        if (statusOf(error) === 404) return 0;
        throw error;
      }
    },

    async memoryOf(id): Promise<number | undefined> {
      try {
        // With `one-shot` the engine does not wait for a second sample of the processors.
        const options = { stream: false, 'one-shot': true } as const;
        const { memory_stats: memory } = await docker.getContainer(id).stats(options);
        return memoryIn(memory);
      } catch (error) {
        if (statusOf(error) === 404 || statusOf(error) === 409) return undefined;
        throw error;
      }
    },

    async logs(id, lines, seconds): Promise<string> {
      const since = seconds === undefined ? [] : ['--since', `${seconds}s`];
      const { stdout, stderr } = await cli(['logs', '--tail', String(lines), ...since, id]);
      return `${stdout}${stderr}`.trim();
    },

    async exec(id, { argv, stdin }, { timeoutMs = EXEC_MS, signal } = {}): Promise<Output> {
      signal?.throwIfAborted();
      const exec = await docker.getContainer(id).exec({
        Cmd: [...argv],
        AttachStdin: stdin !== undefined,
        AttachStdout: true,
        AttachStderr: true,
        Tty: false,
      });
      const stream = await exec.start({ hijack: true, stdin: stdin !== undefined });
      const stdout = new Sink();
      const stderr = new Sink();
      docker.modem.demuxStream(stream, stdout, stderr);
      if (stdin !== undefined) stream.end(stdin);
      const deadline = AbortSignal.timeout(timeoutMs);
      const ending = signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
      const stop = (): void => void stream.destroy();
      ending.addEventListener('abort', stop);
      try {
        await new Promise((resolve, reject) => {
          stream.on('end', resolve);
          stream.on('error', reject);
          stream.on('close', resolve);
        });
      } finally {
        ending.removeEventListener('abort', stop);
      }
      signal?.throwIfAborted();
      if (deadline.aborted) throw tookTooLong(argv, timeoutMs);
      // The stream may end a moment before the engine has noted the exit code.
      const since = Date.now();
      for (;;) {
        const state = await exec.inspect();
        if (!state.Running) return { code: state.ExitCode ?? 1, stdout: stdout.text, stderr: stderr.text };
        if (Date.now() - since > EXIT_CODE_MS) throw tookTooLong(argv, EXIT_CODE_MS);
        await delay(20);
      }
    },

    async run(shot, { timeoutMs, signal, onLine } = {}): Promise<Output> {
      const container = shot.name ?? `fedi-setup-${randomUUID()}`;
      signal?.throwIfAborted();
      // Its process may ignore the signal that Docker's client forwards.
      const remove = (): Promise<void> =>
        engine.removeContainer(container, 'disposable').catch(() => undefined);
      signal?.addEventListener('abort', remove, { once: true });
      // Docker's client ends at the third signal, whatever its container does. It may not have created the container yet.
      const forget = removeAfterSignal(async () => {
        for (let tries = 0; tries < REMOVALS; tries++) {
          await remove();
          if ((await Promise.race([ended, delay(REMOVAL_MS, 'running')])) === 'ended') break;
        }
        await remove();
      });
      const client = cli(oneShotArgv(shot, container), {
        stdin: shot.stdin ?? '',
        env: shot.env,
        wholeMs: timeoutMs,
        signal,
        onLine,
      });
      const ended = client.then(
        () => 'ended',
        () => 'ended',
      );
      const output = await client.catch(async (error: unknown) => {
        // Docker's client was killed, but not the container.
        await remove();
        forget();
        throw error;
      });
      forget();
      signal?.removeEventListener('abort', remove);
      if (signal?.aborted === true) await remove();
      signal?.throwIfAborted();
      return output;
    },

    async pipe(shot): Promise<Pipe> {
      const container = shot.name ?? `fedi-setup-${randomUUID()}`;
      const stream = runPiped('docker', oneShotArgv(shot, container), {
        env: { ...environment, ...shot.env },
      });
      const close = (): Promise<void> => {
        stream.destroy();
        return engine.removeContainer(container, 'disposable');
      };
      return { stream, close };
    },

    async removeContainer(id, disposable): Promise<void> {
      try {
        await docker.getContainer(id).remove({ force: true, v: disposable !== undefined });
      } catch (error) {
        if (![404, 409].includes(statusOf(error) ?? 0)) throw error;
      }
    },

    compose(folder, argv, onLine, signal): Promise<Output> {
      return run('docker', ['compose', '--ansi=never', '--progress=plain', ...argv], {
        cwd: folder,
        env: environment,
        signal,
        ...(onLine ? { onLine } : {}),
      });
    },

    composeAttached(folder, argv): Promise<number> {
      return runAttached('docker', ['compose', ...argv], { cwd: folder, env: environment });
    },
  };
  return watched(engine, end.host);
}

/** Arguments of `docker` for a one-shot container. */
function oneShotArgv(shot: OneShot, container: string): string[] {
  const [program = '', ...rest] = shot.argv;
  return [
    'run',
    `--name=${container}`,
    '--rm',
    '--interactive',
    // A shell that is the first process of a container ignores signals, and its programs get none.
    '--init',
    '--env=TINI_KILL_PROCESS_GROUP=1',
    '--pull=never',
    '--cap-drop=ALL',
    ...(shot.capabilities ?? []).map((name) => `--cap-add=${name}`),
    '--security-opt=no-new-privileges',
    '--pids-limit=512',
    `--network=${shot.network ?? 'none'}`,
    ...(shot.hostname === undefined ? [] : [`--hostname=${shot.hostname}`]),
    ...(shot.user === undefined ? [] : [`--user=${shot.user}`]),
    ...Object.keys(shot.env ?? {}).map((name) => `--env=${name}`),
    ...(shot.mounts ?? []).map((mount) => `--volume=${mount}`),
    `--entrypoint=${program}`,
    shot.image,
    ...rest,
  ];
}

/** Memory in use as `docker stats` computes it: cgroup v2 and v1 name the page cache differently. */
export function memoryIn({
  usage,
  stats = {},
}: {
  readonly usage?: number;
  readonly stats?: Readonly<Record<string, number>> | object;
}): number | undefined {
  // A stopped container has no figures.
  if (usage === undefined) return undefined;
  const { total_inactive_file: v1, inactive_file: v2 } = stats as Record<string, number>;
  const cache = v1 ?? v2 ?? 0;
  return cache < usage ? usage - cache : usage;
}

function rightsOf({ Config: config, HostConfig: host, Mounts: mounts }: Docker.ContainerInspectInfo): Rights {
  return {
    user: config.User,
    privileged: host.Privileged ?? false,
    network: host.NetworkMode ?? '',
    capDrop: host.CapDrop ?? [],
    capAdd: ((host.CapAdd ?? []) as string[]).map((name) => name.replace(/^CAP_/, '')),
    securityOptions: host.SecurityOpt ?? [],
    readOnly: host.ReadonlyRootfs ?? false,
    tmpfs: (host.Tmpfs as Record<string, string> | undefined) ?? {},
    sources: mounts.map(({ Name, Source }) => Name ?? Source),
    memory: host.Memory ?? 0,
    pids: host.PidsLimit ?? 0,
    init: host.Init ?? false,
    logSize: (host.LogConfig?.Config as Record<string, string> | undefined)?.['max-size'] ?? '',
  };
}

function statusOf(error: unknown): number | undefined {
  return typeof error === 'object' && error !== null && 'statusCode' in error
    ? Number(error.statusCode)
    : undefined;
}

/** Reasons of a failed pull: a pattern in the error text, what it means, and what to do. */
const PULL_PROBLEMS: readonly {
  readonly words: RegExp;
  readonly means: (digest: string | undefined) => string;
  readonly next: (tag: string, digest: string | undefined) => string;
}[] = [
  {
    words: /toomanyrequests/i,
    means: () =>
      'The registry limits pulls per address, and your limit is reached. Downloaded layers are kept.',
    next: () => 'Run `docker login`, or wait some hours and run this again.',
  },
  {
    words: /no matching manifest|does not match the (?:specified|expected) platform|no match for platform/i,
    means: () => 'The registry has the image for other processors only.',
    next: () => 'Use a machine with another processor, or name another image with --images-NAME.',
  },
  {
    words: /no space left on device/i,
    means: () => 'The disk where Docker keeps images is full. The site was not changed.',
    next: () => 'Free some space (`docker system df` shows what uses it) and run this again.',
  },
  {
    words: /x509:|certificate (?:signed by|is not|has expired)|tls: failed to verify/i,
    means: () =>
      'The engine does not trust the registry’s certificate: the registry is private, a proxy intercepts TLS, or the clock of this host is wrong.',
    next: () =>
      'Install the CA certificate of that registry or proxy for the engine: https://docs.docker.com/engine/security/certificates/',
  },
  {
    words: /manifest unknown|not found|repository does not exist|denied/i,
    means: (digest) =>
      digest === undefined
        ? 'The registry does not have it, or requires a log-in.'
        : 'The registry no longer has this exact image, or requires a log-in. The name alone may mean another image by now.',
    next: (tag, digest) =>
      digest === undefined
        ? 'Check the images in fedi.yaml.'
        : `To use the current image of that name: remove its entry (if any) from images.lock.yaml, \`docker pull ${tag}\`, and run this again.`,
  },
];

export function pullProblem(reference: string, stderr: string): Problem {
  const last = stderr.split('\n').at(-1) ?? '';
  const [tag = '', digest] = reference.split('@');
  const known = PULL_PROBLEMS.find(({ words }) => words.test(stderr));
  return new Problem(EXIT.PREFLIGHT, `The image ${reference} could not be pulled: ${last}`, {
    means:
      known?.means(digest) ??
      'The registry could not be reached. Downloaded layers are kept; the site was not changed.',
    next: known?.next(tag, digest) ?? 'Check the network (`docker pull` the same name) and run this again.',
  });
}
