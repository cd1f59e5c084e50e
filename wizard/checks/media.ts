/** Reports media that are being moved, and copies that a move left. */
import { appOf } from '../apps/index.ts';
import { inPlace, placeText, readMediaRecord } from '../media-record.ts';
import { timeText } from '../time.ts';
import { sizeText } from './check.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';

/** Applies only to a site with one of them. */
export async function checkMedia({ folder }: Pick<CheckContext, 'folder'>): Promise<CheckResult | undefined> {
  const { moves, old } = await readMediaRecord(folder);
  const found: Finding[] = [];
  const seen: string[] = [];
  for (const [id, { to, at, phase, bucket }] of Object.entries(moves)) {
    seen.push(`${id}: moving`);
    // The check of interrupted work reports one that stopped the app.
    if (phase === 'switching') continue;
    found.push({
      level: phase === 'copying' ? 'advice' : 'warning',
      what: `The move of ${appOf(id).name}’s media to ${placeText(to, bucket)}, started at ${timeText(at)}, is not complete.`,
      means:
        phase === 'copying'
          ? 'The app uses its media as before.'
          : 'The app uses the new place; old files were not read there yet.',
      next: `If nothing runs it, \`fedi-setup media move --to ${to} --app ${id}\` continues it.`,
    });
  }
  for (const [id, { place, bucket, at, files, bytes }] of Object.entries(old)) {
    seen.push(`${id}: old copy`);
    found.push({
      level: 'advice',
      what: `Since ${timeText(at)} ${appOf(id).name} has not used the copy of its media ${inPlace(place, bucket)}: ${files} files, ${sizeText(bytes)}.`,
      means: 'It is kept for a way back, and takes space.',
      next: `When you are sure: \`fedi-setup media remove-old --app ${id}\`.`,
    });
  }
  return seen.length === 0 ? undefined : { seen: seen.join(', '), found };
}
