/** `media move --to s3` for an app that moves its files itself, and stores with each where it is. */
import { apply } from '../../apply/apply.ts';
import { runningAnswers } from '../../apply/generations.ts';
import { refuseUnfinished } from '../../apply/unfinished.ts';
import { appOf } from '../../apps/index.ts';
import type { OwnMedia, OwnMoves } from '../../apps/app.ts';
import { bucketIn } from '../../apps/shared/s3.ts';
import { sizeText } from '../../checks/check.ts';
import { appConfig } from '../../config/config.ts';
import { runtimeOf } from '../../docker/runtime.ts';
import { bucketText } from '../../media-record.ts';
import { EXIT, Problem } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import { withLine } from '../../progress.ts';
import type { CommandContext } from '../command.ts';
import type { Site } from '../find-site.ts';
import { optionsFor, planFor, sayFailed } from '../setup.ts';
import type { Answered } from '../setup.ts';
import { checkChange, readOldFiles, wantsMove } from './media-steps.ts';

/** Changes the place for new files first, then moves the others in small parts. Every part is complete, so it may be killed. */
export async function moveByApp(
  context: CommandContext,
  site: Site,
  id: string,
  moves: OwnMoves,
  answered: Answered,
): Promise<ExitCode> {
  const { progress } = context;
  const { folder, engine } = site;
  const { name } = appOf(id);
  await refuseUnfinished(folder);
  const running = (await runningAnswers(folder)) ?? {};
  const prepared = await planFor(context, folder, answered, engine);
  const { config } = prepared;
  const { bucket } = appConfig(config, id);
  if (bucket === undefined) throw new Error(`${id} has no bucket`);
  await checkChange(context, prepared, running, 's3');

  const ask = async (after?: string): Promise<OwnMedia> => {
    const { code, stdout, stderr } = await runtimeOf(engine, config.name).exec(
      moves.service,
      moves.program(after),
    );
    if (code === 0) return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as OwnMedia;
    throw new Problem(
      EXIT.FAILED,
      `${name} did not report its files: ${stderr.trim().split('\n').at(-1) ?? ''}`,
      {
        means: 'What was moved is in the bucket, and shown from there.',
        next: `Look at \`fedi-setup logs ${moves.service}\`, then run this again; it continues from here.`,
      },
    );
  };
  const { files, bytes, young } = await ask();
  progress.emit({ event: 'media', app: id, to: 's3', state: 'plan', files, bytes, left: bytes });
  progress.say(`\n  ${name}: ${files} files, ${sizeText(bytes)}, from this host to ${bucketText(bucket)}`);
  progress.say(`    ${moves.about}`);
  if (young > 0) progress.say(`    ${young} more are not old enough yet.`);
  const isThere = bucketIn(running, id) !== undefined;
  if (files === 0 && isThere) {
    progress.say('Nothing to move.');
    return EXIT.OK;
  }
  if (!(await wantsMove(context))) return EXIT.OK;

  const applied = await apply(optionsFor(context, folder, answered));
  if (applied.exit !== EXIT.OK) {
    if (applied.receipt !== undefined) sayFailed(progress, applied.receipt, config);
    return applied.exit;
  }
  // So that a signal is not reported as a run that changed nothing.
  context.onLocked(() => Promise.resolve());
  let moved = 0;
  let failed = 0;
  let why: string | null | undefined;
  const samples: NonNullable<OwnMedia['samples']>[number][] = [];
  await withLine(progress, `media.${id}.move`, `Files of ${name} moved to the bucket`, async () => {
    for (let after: string | null = '0'; after !== null;) {
      const part: OwnMedia = await ask(after);
      moved += part.moved ?? 0;
      failed += part.failed ?? 0;
      why = part.error ?? why;
      if (samples.length === 0) samples.push(...(part.samples ?? []));
      after = part.last ?? null;
      progress.update(`${moved} of ${files}`);
    }
    return String(moved);
  });
  await withLine(progress, `media.${id}.old`, 'Old files at their public addresses', () =>
    readOldFiles({ folder, config }, samples),
  );
  progress.emit({ event: 'media', app: id, to: 's3', state: 'moved', files: moved, bytes, left: 0 });
  if (young > 0)
    progress.say(
      `\n  ${young} files are on this host and shown from here. Run this again when they are old enough.`,
    );
  if (failed === 0) return EXIT.OK;
  throw new Problem(
    EXIT.FAILED,
    `${failed} ${failed === 1 ? 'file' : 'files'} could not be moved: ${why ?? ''}`,
    {
      means: `${moved} were moved. The others are shown from this host, if they exist.`,
      next: 'Fix that and run this again; it continues from here.',
    },
  );
}
