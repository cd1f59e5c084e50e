import { appIds, lazily } from './command.ts';
import type { Command } from './command.ts';
import { APPLY, DATA, GOODBYE } from './flags.ts';

export const remove: Command = {
  name: 'remove',
  summary: 'Remove an app from the site.',
  details: [
    'Its data stay unless you give --data, now or later.',
    'With --goodbye all other servers delete its accounts first. It takes as long as the deliveries do, may be interrupted, and continues when you run it again. Confirm it with the domain of the app.',
  ],
  args: [{ name: 'APP', about: 'App to remove.', choices: appIds }],
  flags: [...APPLY, DATA, ...GOODBYE],
  examples: [
    { line: 'fedi-setup remove {app} --confirm {app}', does: 'Remove its containers, keep its data.' },
    { line: 'fedi-setup remove {app} --data', does: 'Remove its data too.' },
    {
      line: 'fedi-setup remove {app} --goodbye --confirm social.example.org',
      does: 'Remove it after all other servers have deleted its accounts.',
    },
  ],
  run: lazily(async () => (await import('./run/index.ts')).remove),
};
