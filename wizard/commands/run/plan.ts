import { ownFolder } from '../find-site.ts';
import { answersOnly, showPlan } from '../setup.ts';
import type { Run } from '../command.ts';

export const run: Run = async (context) => {
  const folder = await ownFolder(context.flags, 'fedi');
  return showPlan(context, folder, await answersOnly(context, folder));
};
