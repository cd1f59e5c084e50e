import { EXIT } from '../problem.ts';
import type { Command } from './command.ts';

declare const VERSION: string | undefined;
/** Of this program. */
export const version = typeof VERSION === 'undefined' ? '0.0.0-source' : VERSION;

export const versionCommand: Command = {
  name: 'version',
  summary: 'Show the version.',
  flags: [],
  printsOnly: true,
  examples: [{ line: 'fedi-setup version', does: 'Show the version, as -V and --version do.' }],
  run: ({ progress }) => {
    progress.print(version);
    progress.emit({ event: 'version', version });
    return Promise.resolve(EXIT.OK);
  },
};
