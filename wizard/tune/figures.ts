/** What `doctor --tune` reads of a running site. */

/** Of one container. Undefined: could not be seen. */
export interface ContainerFigures {
  readonly service: string;
  /** Bytes. `limit` undefined: none, or unknown. */
  readonly memory: number | undefined;
  readonly limit: number | undefined;
  /** Processes that the kernel ended for lack of memory, since the container started. */
  readonly kills: number | undefined;
  /** Cores that it used on average during the sample. */
  readonly cores: number | undefined;
  /** Share of the periods in which its CPU limit held it, since it started; undefined: it has no limit. */
  readonly throttled: number | undefined;
  /** Samples in which connections waited to be accepted, of all samples; the most that waited. */
  readonly backlog: { readonly seen: number; readonly of: number; readonly most: number } | undefined;
  /** Threads of Sidekiq that were busy, on average, and how many there are. */
  readonly sidekiq: { readonly busy: number; readonly threads: number } | undefined;
  /** Worker processes of Puma and of Horizon. */
  readonly puma: number;
  readonly horizon: number;
}

export interface DatabaseFigures {
  readonly service: string;
  readonly kind: 'PostgreSQL' | 'MariaDB';
  readonly connections: number;
  readonly most: number;
  /** Reads since the server started: those that its cache answered, and those that it did not. */
  readonly hits: number;
  readonly misses: number;
}

export interface ValkeyFigures {
  readonly service: string;
  /** Bytes; `most` 0: no limit. */
  readonly used: number;
  readonly most: number;
  readonly evicted: number;
}

export interface AppFigures {
  readonly id: string;
  readonly name: string;
  /** Size, and the next larger one with the memory (MiB) that it needs; undefined: there is none. */
  readonly size: string | undefined;
  readonly larger: string | undefined;
  readonly largerMiB: number | undefined;
  /** Jobs that wait, and for how many seconds the oldest does; undefined: unknown. */
  readonly waiting: number | undefined;
  readonly oldest: number | undefined;
  readonly containers: readonly ContainerFigures[];
  readonly databases: readonly DatabaseFigures[];
  readonly valkeys: readonly ValkeyFigures[];
}

export interface Figures {
  /** Of the host: bytes, cores, and the share of the last minute in which some process waited for a core (0 to 1). */
  readonly memory: number;
  readonly available: number;
  readonly cores: number;
  readonly pressure: number | undefined;
  readonly apps: readonly AppFigures[];
  /** What could not be seen; sentences. */
  readonly unseen: readonly string[];
}
