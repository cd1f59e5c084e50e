import { appOf } from '../../apps/index.ts';
import { lastReceipt } from '../../apply/receipt.ts';
import { servicesOf } from '../../checks/site.ts';
import type { Container } from '../../docker/engine.ts';
import { isYoung } from '../../docker/health.ts';
import { EXIT } from '../../problem.ts';
import { existingSite } from '../find-site.ts';
import type { Run } from '../command.ts';

export const run: Run = async (context) => {
  const { progress } = context;
  const { folder, config, engine } = await existingSite(context);
  await engine.info();
  const containers = await engine.containers(config.name);
  const receipt = await lastReceipt(folder);
  progress.emit({
    event: 'status',
    folder,
    containers: containers.map(({ service, state, health, restarts }) => ({
      service,
      state,
      health,
      restarts,
    })),
    proven: receipt?.proven ?? false,
    at: receipt?.at,
  });
  progress.print(`Site in ${folder}`);
  for (const { id, domain } of config.apps) progress.print(`  ${appOf(id).name}: https://${domain}`);
  const services = (await servicesOf(folder)) ?? new Map<string, boolean>();
  const width = Math.max(...[...services.keys()].map((name) => name.length));
  for (const [name, oneShot] of services) {
    const container = containers.find(({ service }) => service === name);
    if (container !== undefined)
      progress.print(`  ${name.padEnd(width)}  ${stateOf(container, oneShot, context.now())}`);
    else if (containers.length > 0) progress.print(`  ${name.padEnd(width)}  missing`);
  }
  if (containers.length === 0) progress.print('  no containers');
  progress.print(
    receipt === undefined
      ? '  never proven'
      : `  ${receipt.proven ? 'proven' : 'not proven'} at ${receipt.at}`,
  );
  return EXIT.OK;
};

function stateOf(container: Container, oneShot: boolean, now: Date): string {
  const { state, health, exitCode } = container;
  if (state === 'exited') return oneShot && exitCode === 0 ? 'done' : `exited with code ${exitCode}`;
  if (state === 'running' && health === 'unhealthy' && isYoung(container, now))
    return 'running (not healthy yet)';
  return `${state}${health ? ` (${health})` : ''}`;
}
