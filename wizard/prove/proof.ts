/** What a proof is, and what it is given. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import type { Command, Output } from '../docker/engine.ts';
import type { Secret } from '../secrets/secret.ts';
import type { Client } from './http.ts';

export interface ProofContext {
  readonly config: Config;
  /** HTTPS as a visitor: by name, through Caddy, with certificates checked. */
  readonly http: Client;
  readonly secret: (name: string) => Secret | undefined;
  /** The app has never been proven: everything is tried, the password that was made included. */
  readonly first: boolean;
  /** A mail may be sent: in the first run, after a change of the mail answers, and when asked for. */
  readonly mail: boolean;
  /** Runs a command in an app's container, for what only the server itself can tell. */
  readonly inside: (service: string, command: Command) => Promise<Output>;
  /** What an app's container printed in the last so many seconds. */
  readonly said: (service: string, seconds: number) => Promise<string>;
}

/** One thing that a user of the server would see work. Later proofs may build on earlier ones of the same app. */
export interface Proof {
  readonly id: string;
  readonly title: string;
  /** Asks the web for nothing: it is tried where there is no answer from it, too. */
  readonly inside?: boolean;
  /** Services without which it cannot come out well: where one does not run, that is what was seen, and nothing is waited for. */
  readonly needs?: readonly string[];
  /** Resolves to the evidence in a few words; throws what was seen instead. */
  readonly run: () => Promise<string>;
}

/** A proof was not tried, since one that it builds on failed. */
export class Skipped extends Error {
  constructor(why: string) {
    super(`not tried: ${why}`);
  }
}

/** Nobody answers at all: whatever else is asked of the web would only find that out anew. */
export class Down extends Error {}

export interface ProofResult {
  readonly app: string;
  readonly id: string;
  readonly title: string;
  readonly ok: boolean;
  /** It was not tried, since a proof before it failed; `ok` is false. */
  readonly skipped?: true;
  /** Milliseconds. */
  readonly ms: number;
  /** The evidence, or what was seen instead. */
  readonly seen: string;
}

export interface Receipt {
  readonly version: 1;
  /** Receipts of a site are counted, since a clock may be wrong; absent in those from before that, which are older. */
  readonly number?: number;
  readonly at: string;
  readonly generation: number;
  readonly proven: boolean;
  /** Keyed hash of the mail settings that a mail was accepted with. */
  readonly mail?: string;
  readonly proofs: readonly ProofResult[];
}

/** Asks until there is an answer. @param never what is wrong where none comes. */
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
