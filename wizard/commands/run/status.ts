/** `status`: the state of the site on one screen, once or repeatedly. */
import { setTimeout as delay } from 'node:timers/promises';
import { EXIT, Problem } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import { liveScreen } from '../../live-screen.ts';
import { look } from '../../status/look.ts';
import { screen } from '../../status/screen.ts';
import type { SiteState } from '../../status/state.ts';
import { columns } from '../../wrap.ts';
import { runningSite } from '../find-site.ts';
import type { CommandContext, Run } from '../command.ts';

const EVERY_MS = 2000;
/** Longer lines are hard to read. */
const MOST_COLUMNS = 100;

export const run: Run = async (context) => {
  const { flags, progress } = context;
  if (flags.watch) refuseBlind(context);
  const site = await runningSite(context);
  const info = site.engine.info();
  info.catch(() => undefined);
  const see = (): Promise<SiteState> => look({ ...site, info, now: context.now });
  if (flags.watch) return watch(see, flags.all);
  const state = await see();
  progress.emit(eventOf(state));
  // A file, or `grep`, gets each sentence on one line.
  const width = process.stdout.isTTY ? Math.min(MOST_COLUMNS, columns(process.stdout) - 1) : Infinity;
  for (const line of screen(state, { all: flags.all, width })) progress.print(line);
  return exitOf(state);
};

/** A site that starts has no fault. */
export const exitOf = ({ state }: Pick<SiteState, 'state'>): ExitCode =>
  state === 'runs' || state === 'starts' ? EXIT.OK : EXIT.FAILED;

function refuseBlind({ flags }: CommandContext): void {
  if (!flags.json && process.stdout.isTTY) return;
  throw new Problem(
    EXIT.USAGE,
    flags.json
      ? '--watch draws a screen, and --json prints events.'
      : '--watch needs a terminal: it draws a screen.',
    { next: 'Leave --watch out, and call `fedi-setup status` as often as you like.' },
  );
}

/** Draws until Ctrl-C ends the process, which restores the screen; an error restores it before it is shown. */
async function watch(see: () => Promise<SiteState>, all: boolean): Promise<never> {
  // An engine that does not answer at first is reported as usual.
  let state = await see();
  const live = liveScreen(process.stdout);
  try {
    for (;;) {
      const time = state.at.slice(0, 19).replace('T', ' ');
      const width = Math.min(MOST_COLUMNS, live.width);
      live.draw([...screen(state, { all, width }), '', `${time} UTC, every 2 seconds; Ctrl-C ends it`]);
      await delay(EVERY_MS);
      state = await see();
    }
  } finally {
    live.end();
  }
}

/** The same as one event. */
function eventOf(state: SiteState) {
  const { folder, services, receipt, state: verdict, ...rest } = state;
  return {
    // First, as in every event.
    event: 'status' as const,
    ...rest,
    folder,
    state: verdict,
    runs: exitOf(state) === EXIT.OK,
    containers: services.map(({ service, app, container, fault, remark, isStarting }) => ({
      service,
      app,
      state: container?.state ?? 'missing',
      health: container?.health,
      restarts: container?.restarts ?? 0,
      fault,
      remark,
      isStarting,
    })),
    proven: receipt?.isCurrent === true && receipt.proven,
    at: receipt?.at,
    seen: state.at,
    receipt,
  };
}
