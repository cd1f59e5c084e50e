/** Flags of answers that mean something else in a command: `--password-file`. */
import type { Source } from '../answers/resolve.ts';
import type { CommandContext } from './command.ts';

/** The text of such a flag, by the key of its answer; for a secret that of its file. Ignores the environment: its answers are about the site. */
export const flagText = ({ sources }: Pick<CommandContext, 'sources'>, key: string): string | undefined =>
  (sources[0] as Source | undefined)?.get(key)?.text;
