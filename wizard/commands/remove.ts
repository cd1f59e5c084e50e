import { appIds, lazily } from './command.ts';
import type { Command } from './command.ts';
import { APPLY, DATA } from './flags.ts';

export const remove: Command = {
  name: 'remove',
  summary: 'Remove an app from the site.',
  details: ['Its data stay unless you give --data, now or later.'],
  args: [{ name: 'APP', about: 'App to remove.', choices: appIds }],
  flags: [...APPLY, DATA],
  examples: [
    { line: 'fedi-setup remove {app} --confirm {app}', does: 'Remove its containers, keep its data.' },
    { line: 'fedi-setup remove {app} --data', does: 'Remove its data too.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).remove),
};
