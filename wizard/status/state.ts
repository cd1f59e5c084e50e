/** The state of a site, as `status` shows it: what it consists of. Times are ISO 8601, sizes are bytes; null: unknown. */
/** `starts`: some containers start, and none is at fault. `fails`: some are at fault. `down`: none runs. */
export type Verdict = 'runs' | 'starts' | 'fails' | 'down';

/** A service of the Compose file, or another container of the site. */
export interface ListedService {
  readonly service: string;
  /** Id of its app; null: it belongs to the whole site. */
  readonly app: string | null;
  /** Null: it has none. */
  readonly container: {
    readonly state: string;
    readonly health: string | undefined;
    readonly restarts: number;
  } | null;
  /** For people: `running (healthy)`. */
  readonly seen: string;
  /** As a predicate: `has stopped, with exit code 137`. Null: it is as it should be. */
  readonly fault: string | null;
  /** The same, of one that runs. */
  readonly remark: string | null;
  /** It has not started completely yet. */
  readonly isStarting: boolean;
}

export interface AppState {
  readonly id: string;
  readonly name: string;
  readonly url: string;
  readonly state: Verdict;
  readonly version: string | null;
  /** A patch release that could be installed. */
  readonly newer: string | null;
  readonly people: {
    readonly accounts: number | null;
    readonly active: number | null;
    readonly posts: number | null;
    /** When the app said so; null: now. */
    readonly at: string | null;
  } | null;
  /** Its background jobs. */
  readonly jobs: {
    readonly waiting: number;
    /** Seconds since the job that waits longest was added; null: none waits, or the app does not record it. */
    readonly oldestSeconds: number | null;
    readonly later: number;
    readonly failed: number;
    /** Only queues with jobs. */
    readonly queues: Readonly<Record<string, number>>;
  } | null;
}

export interface Part {
  readonly what: string;
  readonly bytes: number;
  /** Those of them that are copies of remote files; null: unknown, or none. */
  readonly cached: number | null;
}

export interface SiteState {
  readonly site: string;
  readonly folder: string;
  readonly at: string;
  readonly state: Verdict;
  /** Sentences about what is in progress or was interrupted. */
  readonly notes: readonly string[];
  readonly services: readonly ListedService[];
  readonly apps: readonly AppState[];
  readonly disk: {
    /** When the parts were measured; null: never. */
    readonly at: string | null;
    readonly parts: readonly Part[];
    readonly images: number | null;
    readonly free: readonly { readonly path: string; readonly bytes: number }[];
    /** Days until a file system is full; null: its use does not grow, or there are too few readings. */
    readonly fullInDays: number | null;
    /** There are enough readings for a forecast. */
    readonly isForecast: boolean;
  };
  readonly memory: {
    readonly total: number;
    readonly available: number;
    readonly site: number | null;
  };
  /** Served certificates; null: the administrator's own proxy has them. `to` null: none is served. */
  readonly certificates:
    | readonly { readonly name: string; readonly to: string | null; readonly issuer: string | null }[]
    | null;
  readonly mail: {
    readonly mode: string;
    readonly server: string | null;
    /** The last mail that a proof sent; null: none yet. */
    readonly proof: {
      readonly at: string;
      readonly ok: boolean;
    } | null;
  };
  readonly backup: {
    readonly isConfigured: boolean;
    /** The newest complete one. */
    readonly last: { readonly at: string; readonly bytes: number } | null;
    readonly drill: { readonly at: string; readonly ok: boolean } | null;
    /** When the recovery sheet was written. */
    readonly sheet: string | null;
  };
  readonly receipt: {
    readonly at: string;
    readonly proven: boolean;
    /** The site has not changed since. */
    readonly isCurrent: boolean;
    /** Titles of failed proofs. */
    readonly failed: readonly string[];
  } | null;
  /** The public status page; null: there is none. `checked` null: not yet. */
  readonly page: { readonly url: string; readonly checked: string | null } | null;
  /** When `maintain` ran last; null: never. */
  readonly maintained: string | null;
  /** What to do, the most important first. `at`: when it was found; null: now. */
  readonly advice: readonly { readonly what: string; readonly next: string; readonly at: string | null }[];
}
