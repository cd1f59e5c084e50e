/** Asks for the name of what a command removes or replaces. */
import { EXIT, Problem } from '../problem.ts';
import type { CommandContext } from './command.ts';

/** Returns only if `word` is typed or given by --confirm. @param does verb and object; @param how other flags to give */
export async function confirmed(
  { flags, progress, interactive }: CommandContext,
  word: string,
  does: string,
  how = '',
): Promise<void> {
  let typed = flags.confirm;
  if (typed === undefined && interactive) {
    const { askText } = await import('../ask/prompts.ts');
    progress.say(`This ${does.replace(/\.$/, '')}.`);
    typed = await askText(`Type ${word} to continue`);
  }
  if (typed?.trim() === word) return;
  throw new Problem(EXIT.REFUSED, `${word} was not confirmed, so nothing was changed.`, {
    means: `This ${does.replace(/\.$/, '')}.`,
    next: `Confirm with --confirm ${word}${how}.`,
  });
}
