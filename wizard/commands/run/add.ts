import { APP_IDS, appOf } from '../../apps/index.ts';
import { readManifest } from '../../apply/files.ts';
import { lastReceipt } from '../../apply/receipt.ts';
import { EXIT, Problem } from '../../problem.ts';
import { chosenApp } from '../chosen-app.ts';
import { longKey } from '../../answers/resolve.ts';
import { answersFor, setUp } from '../setup.ts';
import { existingSite } from '../find-site.ts';
import type { Run } from '../command.ts';

export const run: Run = async (context) => {
  const { folder, config } = await existingSite(context);
  const there = config.apps.map(({ id }) => id);
  const id = chosenApp(context, APP_IDS, 'add');
  // An interrupted run may continue.
  const isDone = (await lastReceipt(folder))?.generation === (await readManifest(folder)).generation;
  if (there.includes(id) && isDone)
    throw new Problem(EXIT.USAGE, `This site already runs ${appOf(id).name}.`, {
      next: `It is at https://${config.apps.find((app) => app.id === id)?.domain ?? ''}.`,
    });
  const apps = { text: [...new Set([...there, id])].join(','), from: `add ${id}` };
  // Short names mean the app that is added.
  const own = context.sources.map(
    (source) => new Map([...source].map(([key, answer]) => [longKey(key, id), answer] as const)),
  );
  const more = { ...context, sources: [new Map([['apps', apps]]), ...own] };
  const talks = context.interactive && !context.flags.yes;
  return setUp(more, folder, await answersFor(more, folder, [], talks));
};
