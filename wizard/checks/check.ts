/** What a check is: cause, proof, fix. Preflight and doctor run the same table. */
import type { Config } from '../config/config.ts';
import type { Engine, EngineInfo } from '../docker/engine.ts';

export interface CheckContext {
  readonly folder: string;
  readonly config: Config;
  readonly engine: Engine;
  readonly info: EngineInfo;
}

export interface Finding {
  /** A warning can be lived with; a blocker would make the run fail later. */
  readonly level: 'warning' | 'blocker';
  readonly what: string;
  readonly means: string;
  readonly next: string;
}

export interface Check {
  readonly id: string;
  readonly title: string;
  /** Nothing found: undefined. */
  readonly run: (context: CheckContext) => Promise<Finding | undefined>;
}
