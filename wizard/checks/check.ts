/** What a check is: what it looks at, what was seen, and what that means. Preflight and doctor run the same table. */
import type { Config } from '../config/config.ts';
import type { Engine, EngineInfo } from '../docker/engine.ts';
import type { Problem } from '../problem.ts';
import type { Host } from './host.ts';

export interface CheckContext {
  readonly folder: string;
  readonly config: Config;
  readonly host: Host;
  readonly engine: Engine;
  /** Why not, where the engine cannot be used. */
  readonly info: EngineInfo | Problem;
  /** Images that a registry has to give, by reference. */
  readonly pulls: readonly string[];
  /** The site has containers already. */
  readonly exists: boolean;
  /** Reference of Caddy's image, for one-shot containers; undefined: it is not on the host yet. */
  readonly caddy: string | undefined;
  /** References of the images that the site runs, by name; empty: none yet. */
  readonly images: Readonly<Record<string, string>>;
  /** Size of the swap file that this run will make; 0: none. */
  readonly swapGiB: number;
  readonly now: () => Date;
}

export interface Finding {
  /** A warning can be lived with; a blocker would make the run fail later. */
  readonly level: 'warning' | 'blocker';
  /** The cause, as a sentence. */
  readonly what: string;
  readonly means: string;
  readonly next: string;
  /** Last lines of a container's log. */
  readonly log?: string;
  /** A swap file of this size would mend it. */
  readonly swapGiB?: number;
  /** Nothing works without it, so it cannot be left out. */
  readonly must?: true;
  /** Mends it, and can be done again; resolves to what was changed. Only `doctor --fix` calls it. */
  readonly fix?: () => Promise<string>;
}

/** Everything a check found; nothing: all is well. */
export interface Looked {
  /** The proof, good or bad: what was seen, or compared with what. */
  readonly seen: string;
  readonly found: readonly Finding[];
}

export interface Check {
  readonly id: string;
  readonly title: string;
  /** What it looks at, for those who leave it out. */
  readonly about: string;
  /** before: anything is written. inside: the images are there, from in a container. site: on one that exists. */
  readonly phase: 'before' | 'inside' | 'site';
  /** Undefined: it does not apply to this site. */
  readonly run: (context: CheckContext) => Promise<Looked | undefined>;
}

export const gib = (bytes: number): string =>
  bytes >= 1024 ** 3 ? `${(bytes / 1024 ** 3).toFixed(1)} GB` : `${Math.floor(bytes / 1024 ** 2)} MB`;
