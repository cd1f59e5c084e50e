import { lazily } from './command.ts';
import type { Command } from './command.ts';

export const completion: Command = {
  name: 'completion',
  summary: 'Print a script that completes commands, flags and values.',
  details: ['The shell must find fedi-setup by that name, as after `npm install --global`.'],
  args: [
    {
      name: 'SHELL',
      about: 'Your shell.',
      choices: async () => (await import('./run/completion.ts')).SHELLS,
    },
  ],
  flags: [],
  printsOnly: true,
  examples: [
    { line: 'source <(fedi-setup completion bash)', does: 'For bash: put this line into ~/.bashrc.' },
    {
      line: 'fedi-setup completion zsh > ~/.zsh/completions/_fedi-setup',
      does: 'For zsh, in a directory of $fpath.',
    },
    { line: 'fedi-setup completion fish > ~/.config/fish/completions/fedi-setup.fish', does: 'For fish.' },
  ],
  run: lazily(async () => (await import('./run/completion.ts')).run),
};
