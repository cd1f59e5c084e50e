/** Copies of the volumes whose data an upgrade changes: they restore the previous version. */
import { undoVolume } from '../apply/upgrading.ts';
import { shellProgram } from '../assets.ts';
import type { BackupSite } from '../backup/backup.ts';
import { readCompose } from '../backup/set.ts';
import type { Space } from '../backup/space.ts';
import { sizeText } from '../checks/check.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { EXIT, Problem } from '../problem.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import type { ComposeFile } from '../stack/compose.ts';

/** Volume key → name of the volume for its copy, for all volumes that services write to. */
export function copiesFor(compose: ComposeFile, services: readonly string[]): Record<string, string> {
  const mounts = services.flatMap((name) => compose.services[name]?.volumes ?? []);
  const keys = mounts.flatMap((mount) => {
    const [key = '', , mode] = mount.split(':');
    return key in compose.volumes && mode !== 'ro' ? [key] : [];
  });
  return Object.fromEntries([...new Set(keys)].map((key) => [key, `${undoVolume(compose.name)}_${key}`]));
}

/** A part of the needed space that does not depend on the size of the data. */
const SPARE_KIB = 64 * 1024;

/** Space on Docker's disk for a number of copies, in KiB. */
export const spaceNeeded = ({ used }: Space, copies: number): number => copies * used + SPARE_KIB;

/** Throws a Problem (exit 4) if Docker's disk has no space for that. @param what "The upgrade of PostgreSQL". @param for_ what the space is for */
export function refuseFull(what: string, space: Space, copies: number, for_: string): void {
  const needed = spaceNeeded(space, copies);
  if (space.free >= needed) return;
  throw new Problem(
    EXIT.PREFLIGHT,
    `${what} needs ${sizeText(needed * 1024)} for ${for_}; Docker’s disk has ${sizeText(space.free * 1024)} free.`,
    {
      means: 'Nothing was changed.',
      next: 'Free some space (`docker system df` shows what uses it) and run this again.',
    },
  );
}

/**
 * Stops services and copies their volumes, to new volumes. The site is in maintenance mode.
 * @param copies volume key → name of the new volume. @param image one that the host has
 */
export async function keepVolumes(
  { folder, engine, config }: BackupSite,
  services: readonly string[],
  copies: Readonly<Record<string, string>>,
  image: string,
  progress: Progress,
): Promise<void> {
  const { volumes } = await readCompose(folder);
  await withLine(progress, 'stop.database', `Stopped: ${services.join(', ')}`, async () => {
    const { code, stderr } = await engine.compose(folder, ['stop', ...services]);
    if (code !== 0)
      throw new Problem(
        EXIT.FAILED,
        `${services.join(', ')} could not be stopped: ${stderr.trim().split('\n').at(-1) ?? ''}`,
        { next: 'Fix that and run this again.' },
      );
  });
  for (const [key, copy] of Object.entries(copies))
    await withLine(progress, `old.${key}`, `Old data copied to the volume ${copy}`, async () => {
      await engine.createVolume(copy, config.name, copy.slice(config.name.length + 1));
      await copyVolume(engine, image, volumes[key]?.name ?? '', copy);
    });
}

/** Copies the files of a volume that nothing uses into another one, and compares them. Throws a Problem. */
export async function copyVolume(engine: Engine, image: string, from: string, to: string): Promise<void> {
  const { code, stderr } = await runOneShot(engine, {
    image,
    argv: shellProgram('upgrade/programs/copy-volume.sh', ['/from', '/to']),
    mounts: [`${from}:/from:ro`, `${to}:/to`],
    user: '0:0',
    capabilities: ['DAC_OVERRIDE', 'CHOWN', 'FOWNER', 'FSETID'],
  });
  if (code === 0) return;
  throw new Problem(
    EXIT.FAILED,
    `The volume ${from} could not be copied to ${to}: ${stderr.trim().split('\n').at(-1) ?? ''}`,
    {
      means: `${from} was not changed.`,
      next: /no space left/i.test(stderr)
        ? 'Free some space on Docker’s disk and run this again.'
        : 'Check the file system of Docker’s data, then run this again.',
    },
  );
}
