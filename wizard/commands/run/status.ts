import { appOf } from '../../apps/index.ts';
import { readManifest } from '../../apply/files.ts';
import { failedProofs, lastReceipt } from '../../apply/receipt.ts';
import { isMoved, isUnfinished } from '../../apply/unfinished.ts';
import { isInterrupted, readUpgrading } from '../../apply/upgrading.ts';
import { readRecord } from '../../backup-record.ts';
import { checkBackups } from '../../checks/backups.ts';
import { servicesOf } from '../../checks/site.ts';
import type { Container } from '../../docker/engine.ts';
import { isYoung } from '../../docker/health.ts';
import type { Config } from '../../config/config.ts';
import { readGoodbyes } from '../../goodbye-record.ts';
import { EXIT } from '../../problem.ts';
import type { Receipt } from '../../prove/proof.ts';
import { releaseFor, upgradable } from '../../upgrade/target.ts';
import { runningSite } from '../find-site.ts';
import type { Run } from '../command.ts';

export const run: Run = async (context) => {
  const { progress } = context;
  const { folder, config, engine } = await runningSite(context);
  await engine.info();
  const containers = await engine.containers(config.name);
  const receipt = await lastReceipt(folder);
  // An interrupted run has written a generation that was not proven yet.
  const isCurrent = receipt?.generation === (await readManifest(folder)).generation;
  progress.emit({
    event: 'status',
    folder,
    containers: containers.map(({ service, state, health, restarts }) => ({
      service,
      state,
      health,
      restarts,
    })),
    proven: isCurrent && receipt?.proven === true,
    at: receipt?.at,
  });
  progress.print(`Site in ${folder}`);
  if (await isUnfinished(folder)) progress.print('  ! A restore was interrupted: run it again.');
  if (await isMoved(folder))
    progress.print('  ! Stopped to move it to another host. `fedi-setup backup resume` cancels the move.');
  for (const [id, { at, by, complete }] of Object.entries(await readGoodbyes(folder)))
    progress.print(
      complete === undefined
        ? `  ! ${appOf(id).name}: since ${at.slice(0, 16).replace('T', ' ')} UTC its accounts are being deleted on other servers. \`fedi-setup ${by}\` continues it.`
        : `  ! ${appOf(id).name}: its accounts were deleted on other servers. It must not run with these data.`,
    );
  const upgrading = await readUpgrading(folder);
  if (upgrading !== undefined) {
    const what = `The upgrade of ${appOf(upgrading.app).name} to ${upgrading.to}`;
    progress.print(
      (await isInterrupted(upgrading))
        ? `  ! ${what} was interrupted: run \`fedi-setup upgrade\`.`
        : `  ${what} is in progress.`,
    );
  }
  for (const { id, domain } of config.apps) progress.print(`  ${appOf(id).name}: https://${domain}`);
  const services = (await servicesOf(folder)) ?? new Map<string, boolean>();
  const width = Math.max(...[...services.keys()].map((name) => name.length));
  for (const [name, oneShot] of services) {
    const container = containers.find(({ service }) => service === name);
    if (container !== undefined)
      progress.print(`  ${name.padEnd(width)}  ${stateOf(container, oneShot, context.now())}`);
    else if (containers.length > 0)
      progress.print(`  ${name.padEnd(width)}  ${oneShot ? 'done (container removed)' : 'missing'}`);
  }
  if (containers.length === 0) progress.print('  no containers');
  progress.print(`  ${proofState(receipt, isCurrent, config)}`);
  const { releases } = await readRecord(folder);
  for (const target of upgradable({ config })) {
    const release = releaseFor(target, releases?.newest);
    if (release !== undefined)
      progress.print(`  ${target.name} ${release} is available: \`fedi-setup upgrade\``);
  }
  const backups = await checkBackups({ folder, config, now: context.now });
  if (backups !== undefined) {
    progress.print(`  backups: ${backups.seen}`);
    for (const { what } of backups.found) progress.print(`    ! ${what}`);
  }
  return EXIT.OK;
};

/** What the last receipt says about the site as it is now. */
function proofState(receipt: Receipt | undefined, isCurrent: boolean, config: Config): string {
  if (receipt === undefined) return 'not proven yet: run `fedi-setup apply`';
  if (!isCurrent) return `changed since the proof at ${receipt.at}: run \`fedi-setup apply\``;
  return receipt.proven
    ? `proven at ${receipt.at}`
    : `proof failed at ${receipt.at}: ${failedProofs(receipt, config).join('; ')}`;
}

function stateOf(container: Container, oneShot: boolean, now: Date): string {
  const { state, health, exitCode } = container;
  if (state === 'exited') return oneShot && exitCode === 0 ? 'done' : `exited with code ${exitCode}`;
  if (state === 'running' && health === 'unhealthy' && isYoung(container, now))
    return 'running (not healthy yet)';
  return `${state}${health ? ` (${health})` : ''}`;
}
