import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { APPLY } from './flags.ts';

export const plan: Command = {
  name: 'plan',
  summary: 'Show what apply would do.',
  // It takes the flags of `apply`, so that you can replace the one word by the other.
  flags: [...APPLY, { name: 'check', about: 'Exit 1 if apply would change anything.' }],
  answers: true,
  examples: [
    { line: 'fedi-setup plan', does: 'Show the changes of an edited fedi.yaml.' },
    { line: 'fedi-setup plan --check --json', does: 'Find out in a script whether apply is due.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).plan),
};
