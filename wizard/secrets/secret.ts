/** A secret value: every way of printing it gives `[hidden]`. */

const HIDDEN = '[hidden]';

export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  /** The value. It may go into env files, standard input and requests, never into arguments. */
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return HIDDEN;
  }
  toJSON(): string {
    return HIDDEN;
  }
  [Symbol.toPrimitive](): string {
    return HIDDEN;
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return HIDDEN;
  }
}

/** Variables in clear, for a process; unset ones are omitted. */
export function revealAll(
  group: Readonly<Record<string, string | number | Secret | undefined>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(group).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, typeof value === 'number' ? String(value) : reveal(value)]],
    ),
  );
}

/** The text of a plain or secret value. */
export function reveal(value: string | Secret): string {
  return typeof value === 'string' ? value : value.reveal();
}
