/** What a proof is, and the context it gets. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import type { Command, Output } from '../docker/engine.ts';
import type { Secret } from '../secrets/secret.ts';
import type { Client } from './http.ts';

export interface ProofContext {
  readonly config: Config;
  /** HTTPS as a visitor: by name, through Caddy, with verified certificates. */
  readonly http: Client;
  readonly secret: (name: string) => Secret | undefined;
  /** The app was never proven: everything is tested, including the generated password. */
  readonly first: boolean;
  /** A mail may be sent: in the first run, after a change of the mail settings, and on request. */
  readonly mail: boolean;
  /** Runs a command in an app's container. */
  readonly inside: (service: string, command: Command) => Promise<Output>;
  /** Log of an app's container in the last seconds. */
  readonly recentLogs: (service: string, seconds: number) => Promise<string>;
}

/** One function that a user of the server would see. Later proofs may depend on earlier ones of the same app. */
export interface Proof {
  readonly id: string;
  readonly title: string;
  /** Sends no HTTPS request, so it is tried even if the site does not answer. */
  readonly inside?: boolean;
  /** Services that it needs: if one is not running, the proof fails at once with that cause. */
  readonly needs?: readonly string[];
  /** Resolves to the evidence in a few words; throws an error that says what was found instead. */
  readonly run: () => Promise<string>;
}

/** A proof was not tried, because one that it depends on failed. */
export class Skipped extends Error {
  constructor(why: string) {
    super(`not tried: ${why}`);
  }
}

/** The site does not answer: every other HTTPS proof would fail for the same reason. */
export class Down extends Error {}

export interface ProofResult {
  readonly app: string;
  readonly id: string;
  readonly title: string;
  readonly ok: boolean;
  /** It was not tried, because an earlier proof failed; `ok` is false. */
  readonly skipped?: true;
  /** Milliseconds. */
  readonly ms: number;
  /** The evidence, or what was found instead. */
  readonly seen: string;
}

export interface Receipt {
  readonly version: 1;
  /** Receipts of a site are numbered, since the clock may be wrong. Older versions wrote no number. */
  readonly number?: number;
  readonly at: string;
  readonly generation: number;
  readonly proven: boolean;
  /** Keyed hash of the mail settings that are proven to work. */
  readonly mail?: string;
  /** Ids of trials that --skip-check left out of the run: what they test was written untested. */
  readonly untested?: readonly string[];
  readonly proofs: readonly ProofResult[];
}

/** Polls until there is a result. @param never error message after the time-out */
export async function until<T>(
  patienceMs: number,
  everyMs: number,
  never: string,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(never);
    await delay(everyMs);
  }
}
