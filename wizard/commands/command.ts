/** What a command is: its name, flags, arguments and help. These files are light; the code of a command loads when it runs. */
import type { Source } from '../answers/resolve.ts';
import type { ExitCode } from '../problem.ts';
import type { Progress } from '../progress.ts';

export interface Flag {
  /** Without the dashes. */
  readonly name: string;
  /** One-letter forms, without the dash. */
  readonly short?: readonly string[];
  /** Name of its value in the help; absent: it takes no value. */
  readonly value?: string;
  /** Allowed values. */
  readonly choices?: readonly string[];
  /** Its value is a path: shells complete it. */
  readonly path?: 'file' | 'dir';
  /** May be given several times, or with values separated by commas. */
  readonly multiple?: true;
  /** Which texts are allowed, and the end of the error message `--NAME must be …`. */
  readonly form?: { readonly pattern: RegExp; readonly is: string };
  /** One line of help, with the default. */
  readonly about: string;
}

export interface Argument {
  /** As in the usage line. */
  readonly name: string;
  readonly about: string;
  readonly optional?: true;
  /** Any number of them. */
  readonly many?: true;
  /** Allowed values, for help and completion; the command checks them. */
  readonly choices?: (context: Pick<CommandContext, 'commands'>) => Promise<readonly string[]>;
}

export interface Example {
  /** `{app}` is replaced by the id of an app. */
  readonly line: string;
  readonly does: string;
}

export type Run = (context: CommandContext) => Promise<ExitCode | number>;

export interface Command {
  /** Empty: `fedi-setup` alone. */
  readonly name: string;
  /** What it does, in the imperative. */
  readonly summary: string;
  /** More about it, one paragraph each. */
  readonly details?: readonly string[];
  readonly args?: readonly Argument[];
  /** The arguments in the usage line, if they depend on each other. */
  readonly usage?: string;
  /** Flags besides those of every command. */
  readonly flags: readonly Flag[];
  /** Flags of answers, without an app's name, that mean something else here: `--email` of a new person. */
  readonly answerFlags?: readonly Flag[];
  /** It accepts answers, as flags and by --answers. */
  readonly answers?: true;
  /** Everything after its name belongs to another program. */
  readonly passes?: true;
  /** It may run until Ctrl-C, which therefore needs no message. */
  readonly endsByCtrlC?: true;
  /** Prints information about fedi-setup itself: reads no answers and draws no progress. */
  readonly printsOnly?: true;
  readonly examples: readonly Example[];
  readonly run: Run;
}

/** A `run` whose code is loaded when it is called. */
export const lazily =
  (load: () => Promise<Run>): Run =>
  async (context) =>
    (await load())(context);

/** The ids of all apps. */
export const appIds = async (): Promise<readonly string[]> => (await import('../apps/index.ts')).APP_IDS;

/** Values of the flags of all commands; answers are not among them. */
export interface GlobalFlags {
  readonly dir: string | undefined;
  readonly answers: string | undefined;
  readonly json: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly debug: boolean;
  readonly check: boolean;
  /** Upgrade databases, not apps. */
  readonly databases: boolean;
  /** Newer builds of the images. */
  readonly images: boolean;
  readonly diff: boolean;
  readonly data: boolean;
  readonly edited: 'keep' | 'replace' | 'abort' | undefined;
  readonly skipCheck: readonly string[];
  /** Size of the swap file to make; 0: none. */
  readonly swapGiB: number;
  readonly confirm: string | undefined;
  readonly mail: boolean;
  readonly role: string | undefined;
  readonly fix: boolean;
  /** Looks at the load of the site and proposes one change. */
  readonly tune: boolean;
  readonly follow: boolean;
  /** Draws a screen again and again. */
  readonly watch: boolean;
  /** Shows everything, not only what matters most. */
  readonly all: boolean;
  readonly tail: string | undefined;
  readonly since: string | undefined;
  /** Stops the site for the backup, and leaves it stopped. */
  readonly stop: boolean;
  /** Repositories; absent: those of the answers. */
  readonly to: readonly string[];
  /** Repository to restore from, and the snapshot; absent: the newest. */
  readonly from: string | undefined;
  readonly at: string | undefined;
  readonly app: readonly string[];
  readonly queues: 'keep' | 'drop' | undefined;
  /** Upload the media of a backup to the buckets. */
  readonly uploadMedia: boolean;
  /** Deletes all accounts on other servers before a removal. */
  readonly goodbye: boolean;
  /** After how many failed deliveries a server is given up; absent: the default. */
  readonly attempts: string | undefined;
  readonly help: boolean;
  readonly version: boolean;
}

export interface CommandContext {
  /** All commands there are. */
  readonly commands: readonly Command[];
  readonly flags: GlobalFlags;
  /** Answers from flags, environment and answers file, strongest first. */
  readonly sources: readonly Source[];
  /** Words after the command. */
  readonly words: readonly string[];
  readonly progress: Progress;
  /** Prompts are possible. */
  readonly interactive: boolean;
  readonly now: () => Date;
  /** Registers a function that releases the run lock before the process ends. */
  readonly onLocked: (release: () => Promise<void>) => void;
  /** Sets an extra message for a user who cancels; undefined: none. */
  readonly onLeaving: (note: string | undefined) => void;
  /** Sets what a user who cancels a change is told; absent: that the same command completes it. */
  readonly onInterrupted: (message?: string) => void;
}
