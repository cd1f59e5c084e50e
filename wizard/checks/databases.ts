/** Checks the major versions of the databases, and names volumes with the data of earlier ones. */
import { appNames, databaseServers, keptVolumes, olderDatabases } from '../apps/majors.ts';
import { Problem } from '../problem.ts';
import { sizeText } from './check.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';

/** ` (71 MB)`; empty: it cannot be measured. */
async function sizeIn(
  engine: CheckContext['engine'],
  image: string | undefined,
  volume: string,
): Promise<string> {
  if (image === undefined) return '';
  const { code, stdout } = await engine.run({
    image,
    argv: ['du', '-sk', '/data'],
    mounts: [`${volume}:/data:ro`],
    user: '0:0',
    capabilities: ['DAC_READ_SEARCH'],
  });
  const kib = Number.parseInt(stdout, 10);
  return code === 0 && kib > 0 ? ` (${sizeText(kib * 1024)})` : '';
}

export async function checkDatabases({
  config,
  engine,
  images,
  info,
  caddy,
}: CheckContext): Promise<CheckResult | undefined> {
  if (info instanceof Problem) return undefined;
  const kept = await keptVolumes(engine, config.name);
  const servers = databaseServers(config);
  if (servers.length === 0 && kept.length === 0) return undefined;
  const older = olderDatabases(config, images);
  const found: Finding[] = older.map(({ product, from, to, servers: of }) => ({
    level: 'warning',
    what: `${appNames(of)}: the database runs on ${product} ${from}; ${product} ${to} is available.`,
    means: `It works, until upstream ends the support of ${product} ${from}.`,
    next: '`fedi-setup upgrade --databases --check` shows what an upgrade does; without --check, it does it.',
  }));
  for (const { volume } of kept)
    found.push({
      level: 'warning',
      what: `The volume ${volume}${await sizeIn(engine, caddy, volume)} has the data of a database from before an upgrade.`,
      means: 'Nothing uses them. They need space, and have what users deleted since.',
      next: `When you are sure that you do not need them: \`docker volume rm ${volume}\`.`,
    });
  return {
    seen:
      servers
        .map(
          ({ service, image, majors }) =>
            `${service}: ${images[image] === undefined ? majors.product : images[image].replace(/@.*/, '')}`,
        )
        .join(', ') || 'none',
    found,
  };
}
