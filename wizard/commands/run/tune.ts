/** `doctor --tune`: shows the figures of the running site, and proposes one change. */
import { sizeText } from '../../checks/check.ts';
import { EXIT } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import { decide, percent } from '../../tune/decide.ts';
import type { AppFigures, Figures } from '../../tune/figures.ts';
import { readFigures } from '../../tune/read.ts';
import type { CommandContext } from '../command.ts';
import type { Site } from '../find-site.ts';

export async function tune({ progress, now }: CommandContext, { config, engine }: Site): Promise<ExitCode> {
  progress.start('tune', 'Figures of the running site');
  let figures: Figures;
  try {
    figures = await readFigures({
      config,
      engine,
      now,
      onLook: (number, of) => progress.update(`sample ${number} of ${of}`),
    });
    progress.done();
  } catch (error) {
    progress.fail();
    throw error;
  }
  for (const line of linesOf(figures)) progress.print(line);
  const proposal = decide(figures);
  progress.emit({ event: 'tune', ...figures, proposal: proposal ?? null });
  progress.print();
  if (proposal === undefined) progress.print('Nothing needs a change.');
  else {
    progress.print(proposal.change);
    progress.print(`  ${proposal.because}`);
    if (proposal.command !== '') progress.print(`  ${proposal.command}`);
  }
  return EXIT.OK;
}

function linesOf({ memory, available, cores, pressure, apps, unseen }: Figures): string[] {
  return [
    `host: ${sizeText(available)} of ${sizeText(memory)} of memory free, ${cores} cores${pressure === undefined ? '' : `, some process waited for a core in ${percent(pressure)} of the last minute`}`,
    ...apps.flatMap(ofApp),
    ...unseen.map((one) => `not seen: ${one}`),
  ];
}

function ofApp({ name, size, waiting, oldest, containers, databases, valkeys }: AppFigures): string[] {
  return [
    `${name}${size === undefined ? '' : ` (${size})`}${waiting === undefined ? '' : `: ${waiting} jobs wait${oldest === undefined ? '' : `, the oldest for ${Math.round(oldest)} s`}`}`,
    ...containers.map(
      (one) =>
        `  ${one.service}: ${[
          one.memory === undefined
            ? ''
            : `${sizeText(one.memory)}${one.limit === undefined ? '' : ` of ${sizeText(one.limit)}`}`,
          one.cores === undefined ? '' : `${one.cores.toFixed(2)} cores`,
          one.kills ? `${one.kills} processes ended for lack of memory` : '',
          one.throttled ? `throttled by its CPU limit in ${percent(one.throttled)} of all periods` : '',
          one.sidekiq === undefined
            ? ''
            : `${one.sidekiq.busy.toFixed(1)} of ${one.sidekiq.threads} threads busy`,
          one.puma > 0 ? `${one.puma} workers of Puma` : '',
          one.horizon > 0 ? `${one.horizon} workers of Horizon` : '',
          one.backlog === undefined || one.backlog.most === 0
            ? ''
            : `up to ${one.backlog.most} requests waited, in ${one.backlog.seen} of ${one.backlog.of} samples`,
        ]
          .filter(Boolean)
          .join(', ')}`,
    ),
    ...databases.map(
      ({ service, kind, connections, most, hits, misses }) =>
        `  ${service}: ${kind}, ${connections} of ${most} connections, its cache answered ${percent(hits / Math.max(1, hits + misses))} of ${hits + misses} reads`,
    ),
    ...valkeys.map(
      ({ service, used, most, evicted }) =>
        `  ${service}: Valkey, ${sizeText(used)}${most === 0 ? '' : ` of ${sizeText(most)}`}, ${evicted} keys evicted`,
    ),
  ];
}
