import { appIds, lazily } from './command.ts';
import type { Command } from './command.ts';
import { APPLY } from './flags.ts';

export const add: Command = {
  name: 'add',
  summary: 'Add an app to the site.',
  details: ['The containers of the other apps stay as they are.'],
  args: [{ name: 'APP', about: 'App to add.', choices: appIds }],
  flags: APPLY,
  answers: true,
  examples: [
    { line: 'fedi-setup add {app}', does: 'Ask for its answers, then add it.' },
    {
      line: 'fedi-setup add {app} --yes --{app}-domain two.example.org …',
      does: 'Add it without questions.',
    },
  ],
  run: lazily(async () => (await import('./run/index.ts')).add),
};
