/** The plan of an upgrade, as text. */
import { appOf, namesOf } from '../apps/index.ts';
import type { Migrations } from '../apps/app.ts';
import { readRecord } from '../backup-record.ts';
import type { BackupSite } from '../backup/backup.ts';
import { sizeText } from '../checks/check.ts';
import { lockedReference, readLock } from '../plan/lock.ts';
import { databaseSpace } from '../backup/space.ts';
import type { External } from './external.ts';
import type { Target } from './target.ts';
import { servicesToStop } from './undo.ts';

/** The plan, in lines. */
export async function describeUpgrade(
  { folder, config, engine }: BackupSite,
  { app, name, upgrades, from }: Target,
  to: string,
  migrations: Migrations | undefined,
  external: External | undefined,
): Promise<string[]> {
  const { upgraded } = await readRecord(folder);
  const last = upgraded?.[app.id];
  const services = servicesToStop(
    app,
    (await engine.containers(config.name))
      .filter(({ state }) => state === 'running')
      .map(({ service }) => service),
  );
  const servers = (appOf(app.id).servers?.(app.options) ?? []).flatMap(({ dump }) => dump.service ?? []);
  const open = migrations === undefined ? undefined : migrations.before.length + migrations.after.length;
  const changesData = open !== 0;
  const caddy = (await readLock(folder))['caddy'];
  const space =
    changesData && servers.length > 0 && caddy !== undefined
      ? await databaseSpace({ folder, config, engine }, servers, lockedReference(caddy))
      : undefined;
  const canRestore = external === undefined || external.obstacles.length === 0;
  return [
    '',
    `  ${name} ${from} → ${to}`,
    `    Release notes  ${upgrades.notes(to)}`,
    `    Migrations     ${open === undefined ? 'unknown: the image does not list them' : open === 0 ? 'none: the database stays as it is' : `${open} (${migrations?.after.length ?? 0} of them after the start of the new version)`}`,
    `    Backup         to ${(config.backup?.repositories ?? []).map(({ text }) => text).join(', ')}, before anything changes`,
    ...(space === undefined
      ? []
      : [
          `    Space          up to ${sizeText(space.used * 1024)} for dumps; ${sizeText(space.free * 1024)} are free`,
        ]),
    ...(changesData
      ? [
          `    Maintenance    ${namesOf(app).join(', ')}: visitors see a page, other servers get 503 and try again later`,
          `    Stopped        ${services.join(', ')}${last === undefined || last.seconds === 0 ? '' : ` (last time: ${last.seconds} s)`}`,
        ]
      : [`    Restarted      ${services.join(', ')}`]),
    ...(canRestore
      ? [
          `    If it fails    images, configuration${changesData ? ', database and queues' : ''} are restored as they were`,
          ...(external === undefined
            ? []
            : [`                   ${external.place} is loaded from a dump, in one transaction`]),
        ]
      : [
          '    If it fails    before the first migration: images, configuration and queues are restored as they were',
          `                   after it: ${name} stays in maintenance mode until you decide. fedi-setup cannot restore`,
          `                   ${external.place}: ${external.obstacles.join(', ')}`,
          '    You need       a snapshot or a backup on that database server. A dump is kept here too',
        ]),
    `    No return      ${canRestore ? '' : 'the first migration; and '}once the new version is proven${changesData ? ' and the maintenance mode ends' : ''}: then the only way back is to restore the backup`,
    '',
  ];
}
