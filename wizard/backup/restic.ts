/** restic in a one-shot container. */
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../atomic.ts';
import { shellProgram } from '../assets.ts';
import type { Backup, Repository } from '../config/backup.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Call, Engine, Output } from '../docker/engine.ts';
import { OWN } from '../layout.ts';
import { EXIT, Problem, messageOf } from '../problem.ts';
import type { Secret } from '../secrets/secret.ts';

/** What it takes to open a repository. */
export interface Access {
  readonly engine: Engine;
  /** Reference of the image. */
  readonly image: string;
  readonly repository: Repository;
  readonly password: Secret;
  readonly s3?: { readonly key: string; readonly secret: Secret } | undefined;
  readonly sshKey?: Secret | undefined;
  /** PEM of CA certificates that are trusted besides the public ones. */
  readonly ownCas?: string | undefined;
  /** Directory with `known_hosts`: an SFTP server that is not in it yet is added, one with another key is refused. */
  readonly ssh: string;
  /** The password comes from a file that the user gave. */
  readonly isRecovery?: true;
  /** Volume for restic's cache; absent: none. */
  readonly cache?: string;
  readonly limitKiB?: Backup['limitKiB'] | undefined;
}

/** Directory of {@link Access.ssh} in a site directory. */
export const sshFolder = (folder: string): string => join(folder, OWN, 'ssh');

/** restic's exit codes. */
const NO_REPOSITORY = 10;
const LOCKED = 11;
const WRONG_PASSWORD = 12;
/** Some files could not be read, but there is a snapshot. */
export const INCOMPLETE = 3;

/** Name of the "host" of our containers in restic's locks, so that a lock of a killed run is recognised. */
const lockName = (site: string): string => `fedi-setup-${site}`;

/** How long a repository may take to answer for the first time: restic repeats a failed request for 15 minutes. */
const OPEN_MS = 90_000;
/** The same error so often is not a passing one. restic waits longer each time: this takes 5 to 25 seconds. */
const MOST_TRIES = 5;
/** What restic prints before it repeats a request; the rest is the error. */
const RETRY = /^.* returned error, retrying after [\d.hmnµs]+: (?:\w+: )?/;
/** restic repeats the request too if the bucket does not exist. */
const NO_BUCKET = /bucket does not exist|NoSuchBucket/i;
/** A first upload can take days. */
const LONGEST_MS = 7 * 24 * 3_600_000;

const addressOf = (repository: Repository): string => {
  if (repository.kind === 'local') return repository.path;
  if (repository.kind === 's3') return repository.text;
  const host = repository.host.includes(':') ? `[${repository.host}]` : repository.host;
  return `sftp://${repository.user}@${host}:${repository.port}/${repository.path}`;
};

/**
 * It learns the key of a new server, and refuses a changed one. It never asks. Its errors go directly to the container's output:
 * restic loses them when it ends first.
 */
const SSH =
  'ssh -E /proc/1/fd/2 -i /tmp/ssh-key -o UserKnownHostsFile=/ssh/known_hosts -o StrictHostKeyChecking=accept-new -o UpdateHostKeys=no -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=30';

const sshCommand = ({ user, host, port }: Repository & { kind: 'sftp' }): string =>
  `${SSH} -p ${port} ${user}@${host} -s sftp`;

export interface ResticRun extends Call {
  readonly mounts?: readonly string[];
  readonly capabilities?: readonly string[];
  /** Site whose lock it takes; absent: an inspection. */
  readonly site?: string;
  /** Directory in the container whose files are printed: a line each with path, space and content in base64. */
  readonly printed?: string;
  /** The site is down until it has ended; else it has the lowest priority. */
  readonly isUrgent?: boolean;
}

/** Capabilities to restore owners and modes. */
export const OWNERS = ['CHOWN', 'FOWNER', 'FSETID'];

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

/** Runs restic. Any exit code; see {@link repositoryProblem}. */
export async function restic(access: Access, argv: readonly string[], run: ResticRun = {}): Promise<Output> {
  const { mounts = [], capabilities = [], site, printed = '', isUrgent = false } = run;
  const { timeoutMs = LONGEST_MS, signal, onLine } = run;
  const { engine, image, repository, password, s3, sshKey, ownCas, ssh, cache, limitKiB } = access;
  // Docker would create the directory, or refuse in its own words.
  if (repository.kind === 'local' && !(await isFolder(repository.path))) throw noBackups(access);
  if (repository.kind === 'sftp') {
    await mkdir(ssh, { recursive: true, mode: 0o700 });
    // Otherwise it belongs to the container's user, and the recovery sheet could not contain it.
    await writeFile(join(ssh, 'known_hosts'), '', { flag: 'a', mode: 0o600 });
  }
  const options = [
    ...(cache === undefined ? ['--no-cache'] : ['--cache-dir=/cache', '--cleanup-cache']),
    ...(repository.kind === 'sftp' ? ['-o', `sftp.command=${sshCommand(repository)}`] : []),
    ...(limitKiB === undefined ? [] : [`--limit-upload=${limitKiB}`]),
  ];
  return runOneShot(
    engine,
    {
      image,
      argv: shellProgram('backup/programs/restic.sh', [
        isUrgent ? 'normal' : 'low',
        printed,
        ...options,
        ...argv,
      ]),
      stdin: repository.kind === 'sftp' ? (sshKey?.reveal() ?? '') : '',
      env: {
        RESTIC_REPOSITORY: addressOf(repository),
        RESTIC_PASSWORD: password.reveal(),
        ...(ownCas === undefined ? {} : { OWN_CAS: ownCas }),
        ...(s3 === undefined ? {} : { AWS_ACCESS_KEY_ID: s3.key, AWS_SECRET_ACCESS_KEY: s3.secret.reveal() }),
      },
      mounts: [
        ...mounts,
        ...(cache === undefined ? [] : [`${cache}:/cache`]),
        ...(repository.kind === 'local' ? [`${repository.path}:${repository.path}`] : []),
        ...(repository.kind === 'sftp' ? [`${ssh}:/ssh`] : []),
      ],
      network: repository.kind === 'local' ? 'none' : 'bridge',
      user: '0:0',
      // Root in this container may not read the files of other users without this capability.
      capabilities: ['DAC_OVERRIDE', ...capabilities],
      ...(site === undefined ? {} : { hostname: lockName(site) }),
    },
    {
      timeoutMs,
      ...(signal === undefined ? {} : { signal }),
      ...(onLine === undefined ? {} : { onLine }),
    },
  );
}

/** The last line that says something. restic prints its errors as text, or as JSON with --json. */
export function lastWords({ stdout, stderr }: Output): string {
  const lines = `${stdout}\n${stderr}`
    .split('\n')
    .map((line) => {
      try {
        const event = JSON.parse(line) as { message?: string; message_type?: string };
        return event.message_type === 'exit_error' ? (event.message ?? '') : '';
      } catch {
        return line;
      }
    })
    .map((line) =>
      line
        .replace(RETRY, '')
        .replace(/^.*Fatal: (?:unable to open repository at \S+: )?/, '')
        .trim(),
    )
    .filter((line) => line !== '');
  return (
    lines.findLast((line) =>
      /host key|permission denied|denied|no space|refused|could not resolve/i.test(line),
    ) ??
    lines.at(-1) ??
    ''
  );
}

/** There is no repository. */
export const noBackups = ({ repository: { text, kind } }: Pick<Access, 'repository'>): Problem =>
  new Problem(EXIT.FAILED, `There are no backups in ${text}.`, {
    means: 'Nothing was changed.',
    next: kind === 'local' ? 'Check the path, and whether the disk is mounted.' : 'Check the address.',
  });

/** Why restic failed. @param doing what was tried: "Opening the repository" */
export function repositoryProblem(
  { repository, isRecovery }: Pick<Access, 'repository' | 'isRecovery'>,
  output: Output,
  doing: string,
): Problem {
  const { text, kind } = repository;
  const words = lastWords(output);
  const whole = `${output.stdout}${output.stderr}`;
  if (output.code === WRONG_PASSWORD && isRecovery)
    return new Problem(EXIT.REFUSED, `The password in that file does not open the backups in ${text}.`, {
      means: 'Nothing was changed.',
      next: 'Give the recovery sheet of the site that made them.',
    });
  if (output.code === WRONG_PASSWORD)
    return new Problem(EXIT.REFUSED, `The password does not open the backups in ${text}.`, {
      means: 'They belong to another site, or to this one with other secrets. Nothing in them was changed.',
      next: 'Choose another directory for this site, or restore the secrets.json that belongs to them.',
    });
  if (output.code === NO_REPOSITORY) return noBackups({ repository });
  if (output.code === LOCKED)
    return new Problem(
      EXIT.LOCKED,
      `Another program is working on the backups in ${text}: ${/locked.* by .*/.exec(whole)?.[0] ?? words}`,
      {
        means: 'Nothing in them was changed.',
        next: 'Wait until it has finished and run this again. If it was killed, `fedi-setup backup unlock` removes its lock.',
      },
    );
  if (kind === 'sftp' && /REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed/.test(whole))
    return new Problem(EXIT.REFUSED, `The SFTP server of ${text} has another host key than before.`, {
      means: 'It may be another machine that pretends to be yours. Nothing was sent to it.',
      next: `If the server was installed again, remove its line from ${OWN}/ssh/known_hosts and run this again.`,
    });
  return new Problem(EXIT.FAILED, `${doing} ${text} failed: ${words || `exit code ${output.code}`}`, {
    means: 'The site was not changed.',
    next: hintFor(kind, whole),
  });
}

function hintFor(kind: Repository['kind'], words: string): string {
  if (/no space left|disk quota/i.test(words)) return 'Free some space there and run this again.';
  if (kind === 'sftp')
    return /permission denied \(/i.test(words)
      ? 'Allow the key of this site there: `fedi-setup backup key` prints the line for authorized_keys.'
      : 'Check host, port and path, and whether the server runs.';
  if (kind === 's3' && /^$|dial tcp/.test(words)) return 'Check the address, and whether the server runs.';
  if (kind === 's3')
    return 'Check the address, the access key and its secret, and whether the bucket exists.';
  return 'Check the directory, and whether its disk is mounted and works.';
}

/** Errors of a local disk that do not pass: restic repeats them for 15 minutes. */
const LASTING = /read-only file system|permission denied|input\/output error|no space left/i;

/** Runs restic, but ends it at an error of a local disk that does not pass. */
async function unlessBroken(access: Access, argv: readonly string[], run: ResticRun): Promise<Output> {
  if (access.repository.kind !== 'local') return restic(access, argv, run);
  const broken = new AbortController();
  let last = '';
  const onLine = (line: string): void => {
    if (!RETRY.test(line) || !LASTING.test(line)) return;
    last = line.replace(RETRY, '');
    broken.abort();
  };
  try {
    return await restic(access, argv, { ...run, signal: broken.signal, onLine });
  } catch (error) {
    if (!broken.signal.aborted) throw error;
    return { code: 1, stdout: '', stderr: last };
  }
}

/** Runs restic with limits on retries and time. If it exceeds one, the output is its last error. */
async function firstCall(access: Access, argv: readonly string[]): Promise<Output> {
  const { text, kind } = access.repository;
  const enough = new AbortController();
  let [last, times] = ['', 0];
  const onLine = (line: string): void => {
    if (!RETRY.test(line)) return;
    const words = line.replace(RETRY, '');
    times = words === last ? times + 1 : 1;
    last = words;
    if (times >= MOST_TRIES || NO_BUCKET.test(words)) enough.abort();
  };
  try {
    return await restic(access, argv, { timeoutMs: OPEN_MS, signal: enough.signal, onLine });
  } catch (error) {
    const isLate = error instanceof Problem && error.message.includes('did not end within');
    if (!enough.signal.aborted && !isLate) throw error;
    if (last !== '') return { code: NO_BUCKET.test(last) ? NO_REPOSITORY : 1, stdout: '', stderr: last };
    throw new Problem(EXIT.FAILED, `${text} does not answer.`, {
      means: 'The site was not changed.',
      next: hintFor(kind, ''),
    });
  }
}

/** Id of the repository; undefined: there is none yet. Throws a Problem if it cannot be opened. */
export async function repositoryId(access: Access): Promise<string | undefined> {
  const { repository } = access;
  if (repository.kind === 'local' && !(await exists(repository.path))) return undefined;
  const output = await firstCall(access, ['cat', 'config', '--no-lock']);
  if (output.code === NO_REPOSITORY) return undefined;
  if (output.code !== 0) throw repositoryProblem(access, output, 'Opening the backups in');
  return (JSON.parse(output.stdout) as { id: string }).id;
}

/** Creates the repository. */
export async function createRepository(access: Access): Promise<string> {
  const { repository } = access;
  if (repository.kind === 'local')
    await mkdir(repository.path, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      throw new Problem(EXIT.FAILED, `${repository.path} cannot be created: ${messageOf(error)}.`, {
        means: 'Backups go there.',
        next: 'Correct the place: `fedi-setup apply --backup-to …`.',
        cause: error,
      });
    });
  const output = await firstCall(access, ['init', '--json']);
  if (output.code !== 0) throw repositoryProblem(access, output, 'Creating the repository in');
  return (JSON.parse(output.stdout) as { id: string }).id;
}

/** A snapshot that `fedi-setup backup` made. */
export interface Snapshot {
  readonly id: string;
  readonly at: string;
  /** Bytes of all files; undefined: unknown. */
  readonly bytes: number | undefined;
}

/** Tag of our snapshots. */
export const TAG = 'fedi-setup';

/** Id and snapshots of a repository, oldest first. Throws a Problem if it cannot be read, or there is none. */
export async function openBackups(
  access: Access,
): Promise<{ readonly id: string; readonly snapshots: readonly Snapshot[] }> {
  // At the same time: deriving the key takes longest.
  const [id, snapshots] = await Promise.allSettled([repositoryId(access), snapshotsIn(access)]);
  if (id.status === 'rejected') throw id.reason;
  if (id.value === undefined) throw noBackups(access);
  if (snapshots.status === 'rejected') throw snapshots.reason;
  return { id: id.value, snapshots: snapshots.value };
}

async function snapshotsIn(access: Access): Promise<Snapshot[]> {
  const output = await firstCall(access, ['snapshots', '--json', '--no-lock', `--tag=${TAG}`]);
  if (output.code !== 0) throw repositoryProblem(access, output, 'Reading the backups in');
  const list = JSON.parse(output.stdout || '[]') as {
    id: string;
    time: string;
    summary?: { total_bytes_processed?: number };
  }[];
  return list
    .map(({ id, time, summary }) => ({ id, at: time, bytes: summary?.total_bytes_processed }))
    .toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

/**
 * Runs restic with a lock in the repository. If a killed run of this site left one, it is removed first: the caller holds the
 * run lock of the site. Throws a Problem for any exit code that is not accepted.
 */
export async function locking(
  access: Access,
  argv: readonly string[],
  doing: string,
  { accept = [0], ...run }: ResticRun & { readonly site: string; readonly accept?: readonly number[] },
): Promise<Output> {
  let output = await unlessBroken(access, argv, run);
  if (output.code === LOCKED && (await removeOwnLocks(access, run.site)))
    output = await unlessBroken(access, argv, run);
  if (!accept.includes(output.code)) throw repositoryProblem(access, output, doing);
  return output;
}

/** Removes all locks, also those of others. */
export async function removeLocks(access: Access): Promise<void> {
  const output = await restic(access, ['unlock', '--remove-all']);
  if (output.code !== 0) throw repositoryProblem(access, output, 'Unlocking the backups in');
}

/** Removes the locks of the repository if all of them are of this site. @returns whether they were */
async function removeOwnLocks(access: Access, site: string): Promise<boolean> {
  const { code, stdout } = await restic(access, ['list', 'locks', '--no-lock', '--quiet']);
  const ids = stdout.trim().split('\n').filter(Boolean);
  if (code !== 0) return false;
  for (const id of ids) {
    const lock = await restic(access, ['cat', 'lock', id, '--no-lock']);
    const { hostname } = JSON.parse(lock.stdout || '{}') as { hostname?: string };
    if (hostname !== lockName(site)) return false;
  }
  return (await restic(access, ['unlock', '--remove-all'])).code === 0;
}
