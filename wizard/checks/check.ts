/** Types of the checks that preflight and doctor run. */
import type { Config } from '../config/config.ts';
import type { Engine, EngineInfo } from '../docker/engine.ts';
import type { Problem } from '../problem.ts';
import type { Host } from './host.ts';

export interface CheckContext {
  readonly folder: string;
  readonly config: Config;
  readonly host: Host;
  readonly engine: Engine;
  /** A Problem if the engine cannot be used. */
  readonly info: EngineInfo | Problem;
  /** References of the images to pull. */
  readonly pulls: readonly string[];
  /** Whether the site already has containers. */
  readonly exists: boolean;
  /** Reference of Caddy's image, for one-shot containers; undefined: not on the host yet. */
  readonly caddy: string | undefined;
  /** References of the site's images by name; empty: none yet. */
  readonly images: Readonly<Record<string, string>>;
  /** Size of the swap file that this run will create; 0: none. */
  readonly swapGiB: number;
  /** Why other commands refuse the site: an interrupted restore or upgrade, a move. */
  readonly unfinished?: Problem | undefined;
  readonly now: () => Date;
  /** What a run would change on the site, in sentences; throws a Problem if no run is possible. Absent: it was not asked for. */
  readonly differences?: (() => Promise<readonly Difference[]>) | undefined;
}

/** A difference between the answers, the files and what runs. */
export interface Difference {
  readonly what: string;
  readonly means: string;
}

export interface Finding {
  /**
   * A blocker would make the run fail later, or shows that a part of the site does not work; a warning would not. Advice: all is
   * well, and could be better; only `doctor` shows it.
   */
  readonly level: 'advice' | 'warning' | 'blocker';
  /** The cause, as a sentence. */
  readonly what: string;
  readonly means: string;
  readonly next: string;
  /** Last lines of a container's log. */
  readonly log?: string;
  /** Size of a swap file that would fix it. */
  readonly swapGiB?: number;
  /** The check cannot be skipped. */
  readonly must?: true;
  /** Fixes it (idempotent); resolves to what was changed. Only `doctor --fix` calls it. */
  readonly fix?: () => Promise<string>;
}

/** The result of a check; no findings mean success. */
export interface CheckResult {
  /** What was observed. */
  readonly seen: string;
  readonly found: readonly Finding[];
}

export interface Check {
  readonly id: string;
  readonly title: string;
  /** What it looks at, for docs/reference/checks.md. */
  readonly about: string;
  /** before: before anything is written. inside: from inside a container, once there are images. site: on an existing site. */
  readonly phase: 'before' | 'inside' | 'site';
  /** It may take longer than a minute. */
  readonly slow?: true;
  /** Undefined: it does not apply to this site. */
  readonly run: (context: CheckContext) => Promise<CheckResult | undefined>;
}

/** A size for people, in the unit that fits. */
export const sizeText = (bytes: number): string =>
  bytes >= 1024 ** 3
    ? gib(bytes)
    : bytes >= 1024 ** 2
      ? `${Math.round(bytes / 1024 ** 2)} MB`
      : `${Math.ceil(bytes / 1024)} KB`;

export const gib = (bytes: number): string =>
  bytes >= 1024 ** 3 ? `${(bytes / 1024 ** 3).toFixed(1)} GB` : `${Math.floor(bytes / 1024 ** 2)} MB`;

/** The result of a check that could not be made. */
export const notMade = (what: string, next: string): CheckResult => ({
  seen: 'not checked',
  found: [{ level: 'warning', what, means: 'What this check looks at is unknown.', next }],
});
