import { relative } from 'node:path';
import type { Applied } from '../../apply/apply.ts';
import { dropDraft, hasDraft } from '../../apply/draft.ts';
import { ownFolder } from '../find-site.ts';
import { KEPT, answersFor, answersOnly, setUp } from '../setup.ts';
import type { Run } from '../command.ts';

export const run: Run = async (context) => {
  const folder = await ownFolder(context.flags, 'fedi');
  const talks = context.interactive && !context.flags.yes;
  const answered = talks ? await answersFor(context, folder, [], true) : await answersOnly(context, folder);
  let exit: Applied['exit'];
  try {
    exit = await setUp(context, folder, answered);
  } catch (error) {
    if (talks && (await hasDraft(folder))) {
      const { wrapToScreen } = await import('../../ask/say.ts');
      context.progress.say(`\n${wrapToScreen(KEPT, 2)}`);
    }
    throw error;
  }
  if (talks) await dropDraft(folder);
  if (context.interactive) {
    const { unattendedTwin } = await import('../../ask/wizard.ts');
    context.progress.say(
      `\n  The same without questions:\n    ${unattendedTwin(answered.resolved, relative(process.cwd(), folder) || '.')}`,
    );
  }
  return exit;
};
