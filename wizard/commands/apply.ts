import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { APPLY } from './flags.ts';

export const apply: Command = {
  name: 'apply',
  summary: 'Set up a site without questions, or apply what changed.',
  details: ['Precedence of answers: flag, environment, answers file, fedi.yaml, default.'],
  flags: APPLY,
  answers: true,
  examples: [
    {
      line: 'fedi-setup apply --domain social.example.org --admin anna --email anna@example.org',
      does: 'Set up the first app.',
    },
    { line: 'fedi-setup apply --answers answers.env', does: 'Take the answers from a file.' },
    { line: 'fedi-setup apply', does: 'Apply an edited fedi.yaml.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).apply),
};
