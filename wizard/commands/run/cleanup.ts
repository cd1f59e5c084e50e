/** `cleanup`: removes what nobody needs, with the sizes before and after. */
import { refuseForeign } from '../../apply/foreign.ts';
import { withRunLock } from '../with-lock.ts';
import { refuseGoodbye } from '../../apply/goodbye.ts';
import { refuseUnfinished } from '../../apply/unfinished.ts';
import { appOf } from '../../apps/index.ts';
import type { RemoteMedia } from '../../apps/app.ts';
import { keptVolumes } from '../../apps/majors.ts';
import { readRecord, writeRecord } from '../../backup-record.ts';
import { readCompose } from '../../backup/set.ts';
import { sizeText } from '../../checks/check.ts';
import { addReading, forecast, readReadings } from '../../disk-record.ts';
import type { Reading } from '../../disk-record.ts';
import { cleanUp, measure, remoteMediaOf } from '../../maintain/clean-up.ts';
import { EXIT } from '../../problem.ts';
import { withLine } from '../../progress.ts';
import type { Progress } from '../../progress.ts';
import type { CommandContext, Run } from '../command.ts';
import { existingSite } from '../find-site.ts';
import type { Site } from '../find-site.ts';

export const run: Run = async (context) => {
  const site = await existingSite(context);
  await site.engine.info();
  await cleanUpSite(context, site);
  return EXIT.OK;
};

/** Cleans up under the run lock, and reports it. Throws the first Problem, after all tasks. */
export async function cleanUpSite(context: CommandContext, site: Site): Promise<void> {
  const { progress, now } = context;
  const { folder, config, engine } = site;
  const isDryRun = context.flags.dryRun;
  await refuseUnfinished(folder);
  await refuseGoodbye(folder, config.apps);
  // Refuses a site that was never set up.
  await readCompose(folder);
  await refuseForeign(folder, config.name, await engine.containers(config.name));
  await withRunLock(context, folder, async () => {
    const sizes = (id: string): Promise<Reading> =>
      withLine(progress, id, 'Sizes of the volumes', () => measure(site, now()));
    const before = await sizes('before');
    const problem = await cleanUp({ ...site, isDryRun, progress });
    const after = isDryRun ? before : await sizes('after');
    await addReading(folder, after);
    if (!isDryRun) await writeRecord(folder, { ...(await readRecord(folder)), cleaned: now().toISOString() });
    report(progress, before, after, isDryRun);
    for (const { volume } of await keptVolumes(engine, config.name))
      progress.say(
        `\n  ${volume} has the data of a database from before an upgrade. When you are sure that you do not need them: \`docker volume rm ${volume}\``,
      );
    for (const app of config.apps) {
      const media = await remoteMediaOf(site, app);
      if (media !== undefined) progress.say(`\n${costs(appOf(app.id).name, media)}`);
    }
    const soonest = forecast(await readReadings(folder), now());
    if (soonest !== undefined)
      progress.say(
        `\n  At the rate of the last 30 days (${sizeText(soonest.perDay)} a day), ${soonest.path} will be full in ${Math.round(soonest.days)} days.`,
      );
    if (problem !== undefined) throw problem;
  });
}

function report(progress: Progress, before: Reading, after: Reading, isDryRun: boolean): void {
  const pairs = (what: 'free' | 'volumes'): Record<string, readonly [number, number]> =>
    Object.fromEntries(
      Object.entries(before[what]).map(([key, bytes]) => [key, [bytes, after[what][key] ?? 0]]),
    );
  const [volumes, free] = [pairs('volumes'), pairs('free')];
  progress.emit({ event: 'cleanup', dryRun: isDryRun, free, volumes });
  const rows = [
    ...Object.entries(volumes).toSorted(([, [a]], [, [b]]) => b - a),
    ...Object.entries(free).map(([path, sizes]) => [`free in ${path}`, sizes] as const),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  progress.say();
  for (const [name, [was, is]] of rows)
    progress.say(
      `  ${name.padEnd(width)}  ${sizeText(was).padStart(8)}${isDryRun ? '' : ` → ${sizeText(is).padStart(8)}`}`,
    );
}

/** What keeping remote media longer or shorter costs, in sentences. */
export function costs(name: string, { days, bytes, perDay }: RemoteMedia): string {
  const kept = `  ${name} keeps copies of remote media ${days === undefined ? 'forever' : `for ${days} days`}: ${sizeText(bytes)} now, about ${sizeText(perDay)} a day.`;
  if (perDay === 0) return kept;
  const examples = [7, 14, 30, 90]
    .filter((one) => one !== days)
    .map((one) => `${one} days ≈ ${sizeText(one * perDay)}`);
  return `${kept}\n  ${examples.join(', ')}. Change it in the administration of ${name}: Server settings, Content retention.`;
}
