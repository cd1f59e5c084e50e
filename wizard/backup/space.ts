/** How large the databases of a site are, and how much space is left for dumps. */
import { shellProgram } from '../assets.ts';
import { sizeText } from '../checks/check.ts';
import type { Config } from '../config/config.ts';
import { readCompose } from './set.ts';
import type { AppDump } from './set.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { EXIT, Problem } from '../problem.ts';

interface Site {
  readonly folder: string;
  readonly config: Config;
  readonly engine: Engine;
}

/** In KiB. */
export interface Space {
  /** Size of the data. */
  readonly used: number;
  /** Free on the file system of Docker's volumes. */
  readonly free: number;
}

/** @param services of the database servers. @param image one that the host has. Throws a Problem. */
export async function databaseSpace(
  { folder, config, engine }: Site,
  services: readonly string[],
  image: string,
): Promise<Space> {
  const { volumes } = await readCompose(folder);
  const nameOf = (service = ''): string => volumes[service]?.name ?? '';
  // Its file system is that of Docker's volumes, also if the database is in a data directory.
  const plain = (await engine.volumes(config.name)).find((name) => name.endsWith('_caddy_data'));
  const { code, stdout, stderr } = await runOneShot(engine, {
    image,
    argv: shellProgram('backup/programs/space.sh', ['/docker', '/servers']),
    mounts: [
      ...services.map((service) => `${nameOf(service)}:/servers/${service}:ro`),
      `${plain ?? nameOf(services[0])}:/docker:ro`,
    ],
    user: '0:0',
    capabilities: ['DAC_READ_SEARCH'],
  });
  if (code !== 0)
    throw new Problem(EXIT.FAILED, `The size of the database cannot be read: ${stderr.trim()}`, {
      means: 'Nothing was changed.',
      next: 'Check the file system of Docker’s data.',
    });
  const [used = 0, free = 0] = stdout.trim().split('\n').map(Number);
  return { used, free };
}

/** Throws a Problem (exit 4) if Docker's disk has no space for the dumps, which are smaller than the data. */
export async function checkSpace(site: Site, dumps: readonly AppDump[], image: string): Promise<void> {
  const services = dumps.flatMap(({ service }) => service ?? []);
  if (services.length === 0) return;
  const { used, free } = await databaseSpace(site, services, image);
  if (free > used) return;
  throw new Problem(
    EXIT.PREFLIGHT,
    `Dumps of the databases need up to ${sizeText(used * 1024)}; Docker’s disk has ${sizeText(free * 1024)} free.`,
    {
      means: 'No backup was made.',
      next: 'Free some space (`docker system df` shows what uses it) and run this again.',
    },
  );
}
