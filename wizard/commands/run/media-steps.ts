/** What every move of media does before and after it: checks, a question, and old files read at their public addresses. */
import { createHash } from 'node:crypto';
import type { Prepared } from '../../apply/prepare.ts';
import { tryBuckets } from '../../apply/buckets.ts';
import { allNamesOf } from '../../apps/index.ts';
import { rootsOf } from '../../checks/site.ts';
import { ingressAddress } from '../../config/config.ts';
import type { Config } from '../../config/config.ts';
import type { Answers } from '../../config/question.ts';
import type { MediaPlace } from '../../media-record.ts';
import { EXIT, Problem, messageOf } from '../../problem.ts';
import { PICTURE_BYTES, client } from '../../prove/http.ts';
import { readOwnCas } from '../../trust.ts';
import type { CommandContext } from '../command.ts';

/** Refuses what `apply` would refuse after hours of copying: edited files, a bucket that cannot be used. */
export async function checkChange(
  { flags, progress }: CommandContext,
  { changes, config, store, input }: Prepared,
  running: Answers,
  to: MediaPlace,
): Promise<void> {
  const edited = changes.filter((change) => change.edited);
  if (edited.length > 0 && flags.edited === undefined)
    throw new Problem(
      EXIT.REFUSED,
      `You edited generated files: ${edited.map(({ path }) => path).join(', ')}.`,
      {
        means: 'The change of the place would overwrite them. Nothing was changed.',
        next: '`fedi-setup plan --diff` shows the differences. --edited replace overwrites them, --edited keep keeps them.',
      },
    );
  if (to === 's3')
    await tryBuckets({
      config,
      store,
      before: running,
      secrets: input.resolved.secrets,
      isSkipped: false,
      ownCas: await readOwnCas(input.folder, config),
      progress,
    });
}

/** Asks, after the plan was shown. */
export async function wantsMove({ progress, flags, interactive }: CommandContext): Promise<boolean> {
  if (flags.dryRun) {
    progress.say('\nDry run: nothing was changed.');
    return false;
  }
  if (!interactive || flags.yes) return true;
  const { askChoice } = await import('../../ask/prompts.ts');
  const yes = await askChoice('Move them now', [
    { value: 'yes', name: 'Yes' },
    { value: 'no', name: 'No, change nothing' },
  ]);
  if (yes === 'yes') return true;
  progress.say('Nothing was changed.');
  return false;
}

/**
 * Throws exit 5 unless one of the files has its old bytes; others may have been deleted since.
 * @param files address and MD5
 */
export async function readOldFiles(
  { folder, config }: { readonly folder: string; readonly config: Config },
  files: readonly { readonly url: string; readonly md5: string }[],
): Promise<string> {
  if (files.length === 0) return 'there are none';
  const http = client(
    config.tls.isLab ? ingressAddress(config) : undefined,
    await rootsOf(folder, config),
    allNamesOf(config),
    undefined,
    undefined,
    await readOwnCas(folder, config),
  );
  const wrong: string[] = [];
  let good = 0;
  for (const { url, md5 } of files) {
    try {
      const reply = await http(url, { most: PICTURE_BYTES });
      if (reply.status !== 200) wrong.push(`${url} answered ${reply.status}`);
      else if (createHash('md5').update(reply.body).digest('hex') !== md5)
        wrong.push(`${url} has other bytes`);
      else good++;
    } catch (error) {
      wrong.push(`${url}: ${messageOf(error)}`);
    }
  }
  if (good > 0) return `${good} with the same bytes`;
  throw new Problem(EXIT.UNPROVEN, `No old file could be read: ${wrong[0] ?? ''}`, {
    means: 'The site uses the new place. Files that were copied are still in the old one.',
    next: 'Fix that and run this again; it continues from here.',
  });
}
