/** The policy for containers: one table. A test compares every rendered service and every running container with it. */

/** What a container may do and use, as the engine reports it. */
export interface Rights {
  /** `uid:gid` or a name; empty: root. */
  readonly user: string;
  readonly privileged: boolean;
  /** `host` is the host's own network. */
  readonly network: string;
  /** Names without `CAP_`. */
  readonly capDrop: readonly string[];
  readonly capAdd: readonly string[];
  readonly securityOptions: readonly string[];
  readonly readOnly: boolean;
  /** Path → mount options. */
  readonly tmpfs: Readonly<Record<string, string>>;
  /** Paths of the host and names of volumes. */
  readonly sources: readonly string[];
  /** Bytes; 0: no limit. */
  readonly memory: number;
  /** 0 or less: no limit. */
  readonly pids: number;
  /** Process 1 is an init, which reaps orphans. */
  readonly init: boolean;
  /** Size at which a log file is rotated; empty: never. */
  readonly logSize: string;
}

export interface Rule {
  readonly id: string;
  /** The requirement, in a few words. */
  readonly demand: string;
  readonly holds: (rights: Rights) => boolean;
}

export const POLICY: readonly Rule[] = [
  {
    id: 'user',
    demand: 'runs as a user other than root',
    holds: ({ user }) => !['', '0', 'root'].includes(user.split(':')[0] ?? ''),
  },
  {
    id: 'isolation',
    demand: 'is not privileged, is not on the host’s network and has no access to the Docker socket',
    holds: ({ privileged, network, sources }) =>
      !privileged && network !== 'host' && !sources.some((source) => source.endsWith('docker.sock')),
  },
  { id: 'cap_drop', demand: 'drops all capabilities', holds: ({ capDrop }) => capDrop.includes('ALL') },
  { id: 'cap_add', demand: 'adds no capability', holds: ({ capAdd }) => capAdd.length === 0 },
  {
    id: 'no-new-privileges',
    demand: 'gains no privileges by executing a file',
    holds: ({ securityOptions }) => securityOptions.some((one) => /^no-new-privileges(:true)?$/.test(one)),
  },
  { id: 'read_only', demand: 'has a read-only root file system', holds: ({ readOnly }) => readOnly },
  {
    id: 'tmpfs',
    demand: 'has a size limit on every tmpfs',
    holds: ({ tmpfs }) => Object.values(tmpfs).every((options) => /\bsize=\d/.test(options)),
  },
  { id: 'memory', demand: 'has a memory limit', holds: ({ memory }) => memory > 0 },
  { id: 'pids', demand: 'has a limit on processes and threads', holds: ({ pids }) => pids > 0 },
  { id: 'init', demand: 'has an init as process 1', holds: ({ init }) => init },
  { id: 'logs', demand: 'rotates its log', holds: ({ logSize }) => logSize !== '' },
];

/** Rule → reason for an exception, from `x-exceptions` of the service. */
export type Exceptions = Readonly<Record<string, string>>;

/** Capabilities that an exception may add. Others give a container access to files of the host or of other users. */
const ALLOWED = ['NET_BIND_SERVICE'];

/** Rules that a container breaks without an exception. */
export function violations(rights: Rights, exceptions: Exceptions = {}): Rule[] {
  return POLICY.filter((rule) => {
    if (rule.holds(rights)) return false;
    if (rule.id === 'cap_add' && rights.capAdd.some((name) => !ALLOWED.includes(name))) return true;
    return exceptions[rule.id] === undefined;
  });
}
