/** The beginning and the end of an upgrade, with the maintenance mode in between. */
import { namesOf } from '../apps/index.ts';
import { refuseUnfinished } from '../apply/unfinished.ts';
import { endUpgrading, keepUpgrading, removeMaintenance, writeMaintenance } from '../apply/upgrading.ts';
import type { Upgrading } from '../apply/upgrading.ts';
import type { BackupSite } from '../backup/backup.ts';
import type { AppConfig } from '../config/config.ts';
import { reloadCaddy } from '../docker/caddy.ts';
import { NotRunning, runtimeOf } from '../docker/runtime.ts';
import { EXIT, Problem } from '../problem.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import { servicesToStop } from './undo.ts';

/**
 * Starts the maintenance mode, stops what writes, and saves the running version. The caller holds the run lock.
 * @param save saves what restores the running version
 */
export async function beginUpgrade(
  site: BackupSite,
  apps: readonly AppConfig[],
  upgrading: Upgrading,
  progress: Progress,
  save: () => Promise<void>,
): Promise<void> {
  const { folder, engine, config } = site;
  await refuseUnfinished(folder);
  await keepUpgrading(folder, upgrading);
  if (upgrading.withData) {
    await withLine(
      progress,
      'maintenance',
      'Maintenance mode: visitors see a page, other servers get 503 and try again later',
      async () => {
        for (const app of apps)
          await writeMaintenance(
            folder,
            app.id,
            upgrading.token,
            namesOf(app),
            config.statusPage !== undefined,
          );
        await reload(site);
      },
    );
    const running = (await engine.containers(config.name)).filter(({ state }) => state === 'running');
    const services = apps.flatMap((app) =>
      servicesToStop(
        app,
        running.map(({ service }) => service),
      ),
    );
    await withLine(progress, 'stop', `Stopped: ${services.join(', ')}`, async () => {
      const { code, stderr } = await engine.compose(folder, ['stop', ...services]);
      if (code === 0) return;
      throw new Problem(
        EXIT.FAILED,
        `The site could not be stopped: ${stderr.trim().split('\n').at(-1) ?? ''}`,
        {
          means: 'The new version was not started.',
          next: 'Fix that and run this again.',
        },
      );
    });
  }
  await save();
  await keepUpgrading(folder, { ...upgrading, phase: 'saved' });
}

/** Ends the maintenance mode, and removes what was saved of the previous version. */
export async function finishUpgrade(site: BackupSite): Promise<void> {
  await removeMaintenance(site.folder);
  await reload(site);
  await endUpgrading(site.folder, site.config.name, site.engine);
}

/** Caddy reads the rules of the maintenance mode. One that does not run reads them when it starts. */
async function reload({ engine, config }: BackupSite): Promise<void> {
  try {
    const { code, stderr } = await reloadCaddy(runtimeOf(engine, config.name));
    if (code === 0) return;
    throw new Problem(EXIT.FAILED, `Caddy could not be reloaded: ${stderr.trim().split('\n').at(-1) ?? ''}`, {
      next: 'Look at `fedi-setup logs caddy`, then run this again.',
    });
  } catch (error) {
    if (!(error instanceof NotRunning)) throw error;
  }
}
