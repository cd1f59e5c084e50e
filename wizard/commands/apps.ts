/** `add` and `remove`: one server more or less on a site that exists; the others are not touched. */
import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import { APP_IDS, appOf } from '../apps/index.ts';
import { takeLock } from '../apply/runlock.ts';
import { parseChoice } from '../config/parse.ts';
import { resolve } from '../answers/resolve.ts';
import { commentOut } from '../answers/save.ts';
import { CONFIG_FILE, savedSource, yamlSource } from '../answers/sources.ts';
import { EXIT, Problem, gather } from '../problem.ts';
import { isOf } from '../render/compose.ts';
import type { ComposeFile } from '../render/compose.ts';
import { parseYaml } from '../yaml.ts';
import { confirmed, existingSite } from './command.ts';
import type { Command, CommandContext } from './command.ts';
import { answersFor, setUp } from './setup.ts';

function chosen({ words }: CommandContext, ids: readonly string[], command: string): string {
  const parsed = parseChoice(ids)(words[0] ?? '');
  if ('value' in parsed) return parsed.value;
  throw new Problem(EXIT.USAGE, words[0] === undefined ? 'Which server?' : `${words[0]}: ${parsed.problem}`, {
    next: `\`fedi-setup ${command} ${ids.join('|')}\``,
  });
}

export const addCommand: Command = async (context) => {
  const { folder, config } = await existingSite(context);
  const there = config.apps.map(({ id }) => id);
  const id = chosen(context, APP_IDS, 'add');
  if (there.includes(id))
    throw new Problem(EXIT.USAGE, `This site runs ${appOf(id).name} already.`, {
      next: `It is at https://${config.apps.find((app) => app.id === id)?.domain ?? ''}.`,
    });
  const apps = { text: [...there, id].join(','), from: `add ${id}` };
  const more = { ...context, sources: [new Map([['apps', apps]]), ...context.sources] };
  const talks = context.interactive && !context.flags.yes;
  return setUp(more, folder, await answersFor(more, folder, [], talks));
};

export const removeCommand: Command = async (context) => {
  const { flags, progress } = context;
  const { folder, config, engine } = await existingSite(context);
  await engine.info();
  const ids = config.apps.map((app) => app.id);
  const id = chosen(context, ids, 'remove');
  if (ids.length === 1)
    throw new Problem(EXIT.USAGE, `${appOf(id).name} is all that this site runs.`, {
      next: '`fedi-setup uninstall` removes the site.',
    });

  const volumes = await volumesOnlyOf(folder, id);
  const what = flags.data
    ? `the containers of ${appOf(id).name} and ALL ITS DATA (${volumes.join(', ')}). Other servers are not told that its accounts are gone`
    : `the containers of ${appOf(id).name}; its data stay (${volumes.join(', ')}), and so do its secrets`;
  await confirmed(context, id, `removes ${what}`, flags.data ? '' : ' (and --data to remove the data too)');

  const exit = await setUp(context, folder, await without(folder, id));
  if (flags.data) {
    const release = await takeLock(folder);
    context.onLocked(release);
    try {
      for (const name of volumes) {
        progress.start(`volume.${name}`, `Volume ${name} removed`);
        const volume = await engine.volume(name);
        if (volume === undefined) progress.already();
        else {
          await engine.removeVolume(name);
          progress.done(volume.device === undefined ? undefined : `${volume.device} is left to you`);
        }
      }
    } finally {
      await release();
    }
  } else {
    progress.say(`  Its data are kept; \`fedi-setup add ${id}\` with the same domain brings it back.`);
  }
  return exit;
};

/** The answers without an app: its block in fedi.yaml stays to be read, as a comment. */
async function without(folder: string, id: string): Promise<Parameters<typeof setUp>[2]> {
  const saved = (await savedSource(folder))?.text ?? '';
  const text = commentOut(saved, ['apps', id], `Removed; \`fedi-setup add ${id}\` asks for these again.`);
  if (text === undefined)
    throw new Problem(EXIT.USAGE, `${CONFIG_FILE} is written in a form that cannot be edited safely.`, {
      means: 'Nothing was changed.',
      next: `Take apps.${id} out by hand, then run \`fedi-setup apply\`.`,
    });
  const resolved = await resolve([yamlSource(text)]);
  if (resolved.problems.length > 0)
    throw gather(EXIT.USAGE, `${CONFIG_FILE} cannot be used:`, resolved.problems, 'Nothing was changed.');
  return { resolved, savedText: text, reload: () => Promise.resolve({ resolved, savedText: text }) };
}

/** Names of the app's volumes. */
async function volumesOnlyOf(folder: string, id: string): Promise<string[]> {
  const compose = parseYaml(await readFile(join(folder, 'compose.yaml'), 'utf8')) as unknown as ComposeFile;
  return Object.entries(compose.volumes)
    .filter(([key]) => isOf(id, key))
    .map(([, { name }]) => name);
}
