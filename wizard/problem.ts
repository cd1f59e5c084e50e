/** Errors for the user: what happened, what it means, what to do next. */

/** Exit codes, the same for every command. `HUP`, `INT` and `TERM` are 128 + the signal's number. */
export const EXIT = {
  OK: 0,
  FAILED: 1,
  USAGE: 2,
  REFUSED: 3,
  PREFLIGHT: 4,
  UNPROVEN: 5,
  LOCKED: 6,
  HUP: 129,
  INT: 130,
  TERM: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The name of an exit code in events: `usage`, `preflight`, … */
export const codeOfExit = (exit: ExitCode): string =>
  (Object.keys(EXIT) as (keyof typeof EXIT)[]).find((name) => EXIT[name] === exit)?.toLowerCase() ?? '';

/** An error for the user; only cli/print-error.ts prints it. */
export class Problem extends Error {
  override name = 'Problem';
  readonly exit: ExitCode;
  /** What it means for the site: what is and is not affected. */
  readonly means: string | undefined;
  /** What to do next. */
  readonly next: string | undefined;
  /** Last log lines of the container or command that failed. */
  readonly log: string | undefined;

  constructor(
    exit: ExitCode,
    what: string,
    more: { means?: string; next?: string; log?: string; cause?: unknown } = {},
  ) {
    super(what, more.cause === undefined ? undefined : { cause: more.cause });
    this.exit = exit;
    this.means = more.means;
    this.next = more.next;
    this.log = more.log;
  }
}

/** The user left: by a choice (exit 0), or by Ctrl-C, hang-up or a closed stdin. */
export class Cancelled extends Error {
  override name = 'Cancelled';
  readonly exit: ExitCode;
  constructor(exit: ExitCode = EXIT.INT) {
    super('Cancelled.');
    this.exit = exit;
  }
}

/** Combines several problems of one kind, so that all are shown. */
export function gather(exit: ExitCode, title: string, problems: readonly string[], next: string): Problem {
  if (problems.length === 1) return new Problem(exit, problems[0] as string, { next });
  return new Problem(exit, `${title}\n${problems.map((line) => `  - ${line}`).join('\n')}`, { next });
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node system error (`ENOENT`, `EACCES`, …), or undefined. */
export function codeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined;
}
