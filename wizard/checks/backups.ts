/** Checks whether the backups are there, recent and tested. */
import { hoursSince, readRecord } from '../backup-record.ts';
import { ago, timeText } from '../time.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';

const DRILL_DAYS = 90;
/** It runs every hour, and a backup may take long. */
const MAINTAIN_HOURS = 26;

/** Applies to every site but a lab without backups. */
export async function checkBackups({
  folder,
  config,
  now,
}: Pick<CheckContext, 'folder' | 'config' | 'now'>): Promise<CheckResult | undefined> {
  const record = await readRecord(folder);
  const { backup } = config;
  const used = Object.entries(record.repositories).filter(([, { last }]) => last !== undefined);
  if (backup === undefined && used.length === 0) {
    if (config.tls.isLab) return undefined;
    return {
      seen: 'none',
      found: [
        {
          level: 'warning',
          what: 'This site has no backups.',
          means: 'If the disk fails, the server is lost with all accounts and their followers.',
          next: '`fedi-setup apply --backup-to PLACE`, then `fedi-setup backup`. A disk, an SFTP server or a bucket can be the place.',
        },
      ],
    };
  }
  const found: Finding[] = [];
  const warn = (what: string, means: string, next: string): number =>
    found.push({ level: 'warning', what, means, next });
  for (const { text } of backup?.repositories ?? []) {
    const { last, failed, sameDisk } = record.repositories[text] ?? {};
    if (sameDisk === true && backup?.repositories.length === 1)
      warn(
        `The repository ${text} is on the same disk as the site, and there is no other repository.`,
        'If that disk fails, the backups are lost with the site.',
        'Add another one: `fedi-setup apply --backup-to REPOSITORY,…`. If a separate disk should be there, check that it is mounted.',
      );
    const hours = hoursSince(last?.at, now());
    if (failed !== undefined)
      warn(
        `The last backup to ${text} failed at ${timeText(failed.at)}: ${failed.why}`,
        last === undefined
          ? 'There is no complete backup there.'
          : `The newest one there is ${ago(hours)} old.`,
        'Fix that, then run `fedi-setup backup`.',
      );
    else if (last === undefined)
      warn(
        `There is no backup in ${text} yet.`,
        'Nothing could be restored from there.',
        'Run `fedi-setup backup`.',
      );
    // A run may be late by half an interval.
    else if (hours > (backup?.everyHours ?? 24) * 1.5 + 1)
      warn(
        `The newest backup in ${text} is ${ago(hours)} old; one is due every ${backup?.everyHours ?? 24} hours.`,
        'What was written since then would be lost.',
        'Run `fedi-setup backup`. `fedi-setup maintain install` runs it on a schedule.',
      );
  }
  const hours = hoursSince(record.maintained, now());
  if (backup !== undefined && record.timer === undefined)
    warn(
      'Backups are not scheduled.',
      'They are only as recent as the last `fedi-setup backup`.',
      'Schedule them: `fedi-setup maintain install`.',
    );
  else if (record.timer !== undefined && hours > MAINTAIN_HOURS)
    warn(
      `\`fedi-setup maintain\` has not run ${record.maintained === undefined ? 'yet' : `for ${ago(hours)}`}; ${record.timer.by} should start it every hour.`,
      'Backups and notices depend on it.',
      '`fedi-setup maintain` shows whether it works; `fedi-setup maintain install` writes its timer again.',
    );
  if (used.length > 0) {
    if (record.sheet === undefined)
      warn(
        'There is no recovery sheet yet.',
        'If this host is lost, nobody can open its backups.',
        '`fedi-setup backup sheet FILE`, and keep the file on another machine.',
      );
    const days = hoursSince(record.drill?.at, now()) / 24;
    if (record.drill?.ok === false)
      warn(
        `The drill at ${timeText(record.drill.at)} could not restore the backup completely.`,
        'In an emergency, data may be missing.',
        'Run `fedi-setup backup`, then `fedi-setup backup drill`, and read what it reports.',
      );
    else if (days > DRILL_DAYS)
      warn(
        record.drill === undefined
          ? 'Restoring was never tested.'
          : `The last drill was ${Math.round(days)} days ago.`,
        'A backup that was never restored may be useless.',
        'Run `fedi-setup backup drill`. It changes nothing on the site.',
      );
  }
  const newest = used
    .map(([, { last }]) => last?.at ?? '')
    .toSorted()
    .at(-1);
  const kept = used.filter(([, { removable }]) => removable?.is === false).map(([text]) => text);
  const seen = [
    newest === undefined ? 'none yet' : `the newest is ${ago(hoursSince(newest, now()))} old`,
    ...(record.drill === undefined ? [] : [`restore tested on ${record.drill.at.slice(0, 10)}`]),
    ...(kept.length > 0 ? [`this host cannot delete those in ${kept.join(', ')}`] : []),
    ...(kept.length === 0 && used.some(([, { removable }]) => removable?.is === true)
      ? ['an intruder on this host could delete all of them']
      : []),
  ];
  return { seen: seen.join(', '), found };
}
