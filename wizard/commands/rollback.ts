import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { APPLY } from './flags.ts';

export const rollback: Command = {
  name: 'rollback',
  summary: 'List earlier generations of the site, or restore one.',
  details: ['It restores answers, images and files. Data and secrets stay as they are.'],
  args: [{ name: 'NUMBER', optional: true, about: 'Generation to restore (default: list them).' }],
  flags: APPLY,
  examples: [
    { line: 'fedi-setup rollback', does: 'List the generations.' },
    { line: 'fedi-setup rollback 2 --dry-run', does: 'Show what restoring generation 2 would change.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).rollback),
};
