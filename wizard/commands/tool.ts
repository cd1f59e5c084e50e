import { lazily } from './command.ts';
import type { Command } from './command.ts';

/** `fedi-setup [--dir X] TOOL …`: the tool of each app. Everything after its name belongs to the tool, flags included. */
export async function toolCommands(): Promise<readonly Command[]> {
  const { APPS } = await import('../apps/index.ts');
  return APPS.map(({ cli, name: app }) => ({
    name: cli.name,
    summary: `Run ${app}’s own tool in its container.`,
    details: [`Put flags of fedi-setup in front: fedi-setup --dir DIR ${cli.name} …`],
    args: [{ name: 'ARGUMENT', optional: true, many: true, about: 'Passed to the tool, flags included.' }],
    flags: [],
    passes: true,
    examples: [{ line: `fedi-setup ${cli.name} --help`, does: 'Show the help of the tool.' }],
    run: lazily(async () => (await import('./run/index.ts')).toolNamed(cli.name)),
  }));
}
