import { ownFolder } from '../find-site.ts';
import { answersOnly, setUp } from '../setup.ts';
import type { Run } from '../command.ts';

export const run: Run = async (context) => {
  const folder = await ownFolder(context.flags, 'fedi');
  return setUp(context, folder, await answersOnly(context, folder));
};
