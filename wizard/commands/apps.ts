/** `add` and `remove`: one server more or less on a site that exists; the others are not touched. */
import { APP_IDS, appOf } from '../apps/index.ts';
import { readManifest } from '../apply/files.ts';
import { takeLock } from '../apply/runlock.ts';
import { readAsset } from '../assets.ts';
import type { Config } from '../config/config.ts';
import { nearest, parseChoice } from '../config/parse.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Engine } from '../docker/engine.ts';
import { lastReceipt } from '../apply/receipt.ts';
import { isOf } from '../render/compose.ts';
import type { ComposeFile } from '../render/compose.ts';
import { parseYaml } from '../yaml.ts';
import { confirmed, existingSite } from './command.ts';
import type { Command, CommandContext } from './command.ts';
import { answersFor, setUp } from './setup.ts';

function chosen({ words }: CommandContext, ids: readonly string[], command: string): string {
  const word = words[0];
  const parsed = parseChoice(ids)(word ?? '');
  if ('value' in parsed) return parsed.value;
  const near = word === undefined ? undefined : nearest(word, ids);
  throw new Problem(
    EXIT.USAGE,
    word === undefined
      ? 'Which server?'
      : `There is no ${word} to ${command}.${near === undefined ? '' : ` Did you mean ${near}?`}`,
    { next: `\`fedi-setup ${command} ${near ?? ids.join('|')}\`` },
  );
}

export const addCommand: Command = async (context) => {
  const { folder, config } = await existingSite(context);
  const there = config.apps.map(({ id }) => id);
  const id = chosen(context, APP_IDS, 'add');
  // One that was cut short is gone on with.
  const isDone = (await lastReceipt(folder))?.generation === (await readManifest(folder)).generation;
  if (there.includes(id) && isDone)
    throw new Problem(EXIT.USAGE, `This site runs ${appOf(id).name} already.`, {
      next: `It is at https://${config.apps.find((app) => app.id === id)?.domain ?? ''}.`,
    });
  const apps = { text: [...new Set([...there, id])].join(','), from: `add ${id}` };
  const more = { ...context, sources: [new Map([['apps', apps]]), ...context.sources] };
  const talks = context.interactive && !context.flags.yes;
  return setUp(more, folder, await answersFor(more, folder, [], talks));
};

export const removeCommand: Command = async (context) => {
  const { flags, progress } = context;
  const { folder, config, engine } = await existingSite(context);
  await engine.info();
  const ids = config.apps.map((app) => app.id);
  // What was removed before may have left its data, and a removal that was cut short its containers.
  const left = await leftOf(engine, config);
  const id = chosen(
    context,
    APP_IDS.filter((one) => ids.includes(one) || left.has(one)),
    'remove',
  );
  const here = ids.includes(id);
  if (ids.length === 1 && here)
    throw new Problem(EXIT.USAGE, `${appOf(id).name} is all that this site runs.`, {
      next: '`fedi-setup uninstall` removes the site.',
    });

  const volumes = left.get(id) ?? [];
  const what = flags.data
    ? `the containers of ${appOf(id).name} and ALL ITS DATA (${volumes.join(', ')}). Other servers are not told that its accounts are gone`
    : `the containers of ${appOf(id).name}; its data stay (${volumes.join(', ')}), and so do its secrets`;
  if (!flags.dryRun)
    await confirmed(context, id, `removes ${what}`, flags.data ? '' : ' (and --data to remove the data too)');

  const apps = { text: ids.filter((one) => one !== id).join(','), from: `remove ${id}` };
  const fewer = { ...context, sources: [new Map([['apps', apps]]), ...context.sources] };
  const exit = await setUp(fewer, folder, await answersFor(fewer, folder, [], false));
  if (flags.dryRun) return exit;
  // Compose removes what runs of it, and leaves where that met.
  await engine.removeNetworks(config.name, (key) => isOf(id, key));
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
    progress.say(
      `  The data of ${appOf(id).name} are kept; \`fedi-setup add ${id}\` with the same domain brings it back.`,
    );
  }
  return exit;
};

/** App → the volumes there are of it, for apps that have any or that have containers. */
async function leftOf(engine: Engine, { name }: Config): Promise<Map<string, string[]>> {
  const services = (await engine.containers(name)).map(({ service }) => service);
  const left = new Map<string, string[]>();
  for (const id of APP_IDS) {
    const { volumes } = parseYaml(await readAsset(`compose/${id}.yaml`)) as unknown as ComposeFile;
    const names: string[] = [];
    for (const key of Object.keys(volumes))
      if ((await engine.volume(`${name}_${key}`)) !== undefined) names.push(`${name}_${key}`);
    if (names.length > 0 || services.some((service) => isOf(id, service))) left.set(id, names);
  }
  return left;
}
