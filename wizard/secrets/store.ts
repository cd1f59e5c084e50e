/** secrets.json: every secret of the site with its class, age and fingerprint. None is ever changed silently. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cannotRead, fileAt, writeWhole } from '../atomic.ts';
import { EXIT, Problem, codeOf } from '../problem.ts';
import { Secret } from './secret.ts';

/**
 * forever: losing or changing it destroys data or identity.
 * steps: can be rotated, by a procedure.
 * free: can be rotated at any time.
 */
export type SecretClass = 'forever' | 'steps' | 'free';

export interface SecretSpec {
  readonly name: string;
  readonly class: SecretClass;
  /** What it is for and what its loss costs, in one line. */
  readonly about: string;
  /** The app also needs earlier values, to decrypt old data. Those of other secrets are deleted once a change is proven. */
  readonly keepsPrevious?: true;
  /** Generates a missing secret; absent: it comes from the user or from a step. */
  readonly make?: () => string | Promise<string>;
}

interface Entry {
  readonly class: SecretClass;
  readonly created: string;
  readonly fingerprint: string;
  readonly value: string;
  /** The user has seen it. */
  readonly shown?: boolean;
  readonly superseded?: readonly { readonly value: string; readonly until: string }[];
  /** The new value, until its server has it. */
  readonly coming?: string;
}

interface StoreFile {
  readonly version: 1;
  readonly secrets: Record<string, Entry>;
}

export interface Listed {
  readonly name: string;
  readonly class: SecretClass;
  readonly created: string;
  readonly fingerprint: string;
}

/** 16 hex digits that distinguish values without revealing them (all are long and random, or salted). */
export function fingerprint(text: string): string {
  return createHash('sha256').update(`fedi-setup:${text}`).digest('hex').slice(0, 16);
}

/** 43 characters of base64url: 256 random bits. */
export function randomToken(): string {
  return randomBytes(32).toString('base64url');
}

/** Random bytes as hex digits, two for each byte. */
export function randomHex(bytes: number): string {
  return randomBytes(bytes).toString('hex');
}

/** Secrets every site has. */
export const SITE_SECRETS: readonly SecretSpec[] = [
  {
    name: 'site.key',
    class: 'free',
    about: 'Used to detect containers that run with outdated settings.',
    make: randomToken,
  },
];

export const STORE_FILE = 'secrets.json';

function isStoreFile(file: unknown): file is StoreFile {
  const { version, secrets } = (file ?? {}) as Partial<StoreFile>;
  return (
    version === 1 &&
    typeof secrets === 'object' &&
    secrets !== null &&
    !Array.isArray(secrets) &&
    Object.values(secrets).every(
      (entry: Partial<Entry> | null) => typeof entry?.value === 'string' && typeof entry.class === 'string',
    )
  );
}

export class Store {
  readonly #folder: string;
  #file: StoreFile;
  /** True if secrets.json existed. */
  readonly existed: boolean;

  private constructor(folder: string, file: StoreFile, existed: boolean) {
    this.#folder = folder;
    this.#file = file;
    this.existed = existed;
  }

  /** Reads secrets.json of a site directory; an empty store when there is none. */
  static async open(folder: string): Promise<Store> {
    const path = join(folder, STORE_FILE);
    let text: string;
    try {
      text = await readFile(await fileAt(path), 'utf8');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return new Store(folder, { version: 1, secrets: {} }, false);
      throw cannotRead(path, error);
    }
    try {
      const file = JSON.parse(text) as unknown;
      if (!isStoreFile(file)) throw new Error('it is not a secrets file of this version');
      return new Store(folder, file, true);
    } catch {
      // Not the parser's message: it quotes the text.
      throw new Problem(EXIT.REFUSED, `${path} is damaged: it is not a secrets file of this version.`, {
        means: 'New secrets would make the existing data unreadable, so nothing was done.',
        next: 'Restore the file from a backup.',
      });
    }
  }

  has(name: string): boolean {
    return this.#file.secrets[name] !== undefined;
  }

  /** The secret of that name. Throws if it is missing: an existing site has all of its secrets. */
  get(name: string): Secret {
    const entry = this.#file.secrets[name];
    if (entry === undefined) {
      throw new Problem(EXIT.REFUSED, `${join(this.#folder, STORE_FILE)} has no ${name}.`, {
        means: 'The file is missing or belongs to another site. Nothing was changed.',
        next: 'Restore the secrets.json of this site from a backup.',
      });
    }
    return new Secret(entry.coming ?? entry.value);
  }

  /** Earlier values, newest first. */
  previous(name: string): Secret[] {
    return (this.#file.secrets[name]?.superseded ?? []).map(({ value }) => new Secret(value)).toReversed();
  }

  /** Secrets with a new value that their server does not have yet. */
  coming(): string[] {
    return Object.entries(this.#file.secrets).flatMap(([name, { coming }]) =>
      coming === undefined ? [] : [name],
    );
  }

  /** Sets a pending value. {@link get} returns it; the old one stays until {@link settle}. An earlier pending value wins. */
  announce(name: string, value: string): void {
    const entry = this.#file.secrets[name];
    if (entry !== undefined) this.#file.secrets[name] = { coming: value, ...entry };
  }

  /** Makes the pending value the current one: the server has it. */
  settle(name: string, now: Date): void {
    const entry = this.#file.secrets[name];
    if (entry?.coming !== undefined) this.put(name, entry.class, entry.coming, now);
  }

  /** Discards the pending value. */
  withdraw(name: string): void {
    const { coming: _, ...entry } = this.#file.secrets[name] ?? {};
    if (_ !== undefined) this.#file.secrets[name] = entry as Entry;
  }

  find(name: string): Secret | undefined {
    return this.has(name) ? this.get(name) : undefined;
  }

  wasShown(name: string): boolean {
    return this.#file.secrets[name]?.shown === true;
  }

  list(): Listed[] {
    return Object.entries(this.#file.secrets).map(([name, entry]) => ({
      name,
      class: entry.class,
      created: entry.created,
      fingerprint: entry.fingerprint,
    }));
  }

  /** Every value in the file: current, earlier and pending ones. */
  everyValue(): { name: string; value: Secret }[] {
    return Object.entries(this.#file.secrets).flatMap(([name, { value, coming, superseded = [] }]) =>
      [value, ...(coming === undefined ? [] : [coming]), ...superseded.map((one) => one.value)].map(
        (text) => ({
          name,
          value: new Secret(text),
        }),
      ),
    );
  }

  /** Generates missing secrets where possible. In memory: {@link save} writes. */
  async ensure(specs: readonly SecretSpec[], now: Date): Promise<string[]> {
    const made: string[] = [];
    for (const spec of specs) {
      if (this.has(spec.name) || spec.make === undefined) continue;
      this.put(spec.name, spec.class, await spec.make(), now);
      made.push(spec.name);
    }
    return made;
  }

  /** Sets a value; keeps the old one as superseded. The same value again changes nothing. */
  put(name: string, secretClass: SecretClass, value: string, now: Date): void {
    const before = this.#file.secrets[name];
    if (before?.value === value) return;
    if (before?.class === 'forever') {
      throw new Problem(EXIT.REFUSED, `${name} exists and can never change.`, {
        means: 'Another value would make the existing data unreadable.',
      });
    }
    const superseded = before
      ? [...(before.superseded ?? []), { value: before.value, until: now.toISOString() }]
      : undefined;
    this.#file = {
      version: 1,
      secrets: {
        ...this.#file.secrets,
        [name]: {
          class: before?.class ?? secretClass,
          created: now.toISOString(),
          fingerprint: fingerprint(value),
          value,
          ...(superseded ? { superseded } : {}),
        },
      },
    };
  }

  markShown(name: string): void {
    const entry = this.#file.secrets[name];
    if (entry) this.#file.secrets[name] = { ...entry, shown: true };
  }

  /** Deletes earlier values of all secrets except these. In memory: {@link save} writes. */
  forgetPrevious(except: readonly string[]): void {
    for (const [name, { superseded, ...entry }] of Object.entries(this.#file.secrets))
      if (superseded !== undefined && !except.includes(name)) this.#file.secrets[name] = entry;
  }

  /** Deletes every other secret, for a site whose data are deleted too. In memory: {@link save} writes. */
  keepOnly(names: readonly string[]): void {
    const kept = Object.entries(this.#file.secrets).filter(([name]) => names.includes(name));
    this.#file = { version: 1, secrets: Object.fromEntries(kept) };
  }

  /** The text of secrets.json. */
  recoveryText(): string {
    return `${JSON.stringify(this.#file, null, 2)}\n`;
  }

  /** Atomic, 0600 from creation. */
  async save(): Promise<void> {
    await writeWhole(join(this.#folder, STORE_FILE), this.recoveryText(), 0o600);
  }

  /** One fingerprint over an app's permanent secrets, for its ownership marker. */
  identityFingerprint(specs: readonly SecretSpec[]): string {
    const forever = specs.filter((spec) => spec.class === 'forever').map((spec) => spec.name);
    return fingerprint(
      forever
        .toSorted()
        .map((name) => `${name}=${this.get(name).reveal()}`)
        .join('\n'),
    );
  }

  /** Keyed hash of a text that may contain secrets, safe as a label on a container. */
  keyedHash(text: string): string {
    return createHmac('sha256', this.get('site.key').reveal()).update(text).digest('hex').slice(0, 24);
  }
}
