/** Compares the major versions of database servers with their data, whatever the image lock says. */
import { databaseServers, wantedOf } from '../apps/majors.ts';
import type { DatabaseServer } from '../apps/majors.ts';
import type { Config } from '../config/config.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { lockedReference } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import { numbersOf } from '../versions.ts';
import type { Prepared } from './prepare.ts';

/** Major versions of the data in a volume and of the server in an image; undefined: there are no data, or it is unknown. */
export async function versionsIn(
  engine: Engine,
  config: Config,
  { image: name, majors }: DatabaseServer,
  image: string,
  volume: string,
): Promise<{ readonly data: string | undefined; readonly server: string | undefined }> {
  const { code, stdout } = await runOneShot(engine, {
    image,
    argv: majors.version(),
    mounts: [`${volume}:${majors.mount}:ro`],
    user: '0:0',
    capabilities: ['DAC_READ_SEARCH'],
  });
  const fixed = wantedOf(config, name)?.spec.data?.fixed ?? 1;
  const [data, server] = stdout.split('\n').map((line) => numbersOf(line)?.slice(0, fixed).join('.'));
  return code === 0 ? { data, server } : { data: undefined, server: undefined };
}

/** Throws exit 3 if a server that is to be started cannot read the data in its volume. */
export async function refuseMajor(
  engine: Engine,
  { config, lock, site, plan }: Pick<Prepared, 'config' | 'lock' | 'site' | 'plan'>,
): Promise<void> {
  const starts = new Set([...plan.containers.create, ...plan.containers.recreate]);
  for (const server of databaseServers(config)) {
    const volume = site.compose.volumes[server.service]?.name ?? '';
    if (!starts.has(server.service) || (await engine.volume(volume)) === undefined) continue;
    const image = lockedReference(lock[server.image] as Lock[string]);
    const { data, server: ours } = await versionsIn(engine, config, server, image, volume);
    if (data === undefined || ours === undefined || data === ours) continue;
    const { product } = server.majors;
    throw new Problem(
      EXIT.REFUSED,
      `The data in the volume ${volume} are from ${product} ${data}; ${image.replace(/@.*/, '')} is ${product} ${ours}.`,
      {
        means: `${product} ${ours} cannot read them. Nothing was changed.`,
        next: `Set images.${server.image} in fedi.yaml to an image of ${product} ${data}, and run this again. \`fedi-setup upgrade --databases\` moves data to another major version.`,
      },
    );
  }
}
