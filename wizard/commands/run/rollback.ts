import { resolve } from '../../answers/resolve.ts';
import { yamlSource } from '../../answers/sources.ts';
import { answersOf, readGenerations } from '../../apply/generations.ts';
import type { Generation } from '../../apply/generations.ts';
import type { Answers } from '../../config/question.ts';
import { EXIT, Problem, gather } from '../../problem.ts';
import { ownFolder } from '../find-site.ts';
import { agreesTo, planFor, setUp } from '../setup.ts';
import { timeText } from '../../time.ts';
import type { Answered } from '../setup.ts';
import type { CommandContext, Run } from '../command.ts';

/** `rollback` lists earlier versions of the site, `rollback N` restores one: answers, image lock and the files from them. */
export const run: Run = async (context) => {
  const { progress, flags, interactive, words } = context;
  const folder = await ownFolder(flags, 'fedi');
  const all = await readGenerations(folder);
  if (words[0] === undefined) {
    await listGenerations(context, folder, all);
    return EXIT.OK;
  }
  const chosen = all.find(({ number }) => String(number) === words[0]);
  if (chosen === undefined) {
    throw new Problem(EXIT.USAGE, `There is no generation ${words[0]}.`, {
      next:
        all.length === 0
          ? 'The site has none yet.'
          : `There are: ${all.map(({ number }) => number).join(', ')}.`,
    });
  }
  const resolved = await resolve([yamlSource(chosen.text)]);
  if (resolved.problems.length > 0)
    throw gather(
      EXIT.USAGE,
      `The answers of generation ${chosen.number} are no longer valid:`,
      resolved.problems,
      'Nothing was changed.',
    );
  const answered: Answered = {
    resolved,
    savedText: chosen.text,
    reload: () => Promise.resolve({ resolved, savedText: chosen.text }),
    lock: chosen.lock,
  };
  if (!interactive || flags.yes || flags.dryRun) return setUp(context, folder, answered);
  const accepted = await planFor(context, folder, answered);
  if (await agreesTo(context, accepted)) return setUp(context, folder, { ...answered, accepted });
  progress.say('Nothing was changed.');
  return EXIT.OK;
};

/** One line a generation, newest first, with the answers that differ from the one before. */
async function listGenerations(
  { progress }: CommandContext,
  folder: string,
  all: readonly Generation[],
): Promise<void> {
  if (all.length === 0) {
    throw new Problem(EXIT.USAGE, `There is no earlier version of a site in ${folder}.`, {
      next: 'Give its directory with --dir.',
    });
  }
  const answers = await Promise.all(all.map(answersOf));
  for (const [i, { number, at }] of [...all.entries()].toReversed()) {
    const [before, now] = [answers[i - 1], answers[i] as Answers];
    const differs =
      before === undefined
        ? []
        : [...new Set([...Object.keys(before), ...Object.keys(now)])].filter(
            (key) => before[key] !== now[key],
          );
    progress.emit({ event: 'generation', number, at: at.toISOString(), changed: differs });
    const what = differs.map((key) => `${key} ${now[key] === undefined ? 'unset' : String(now[key])}`);
    progress.print(
      `${String(number).padStart(4)}  ${timeText(at)}  ${what.join(', ') || (i === 0 ? 'the first version' : 'the same answers')}`,
    );
  }
  progress.say(
    '`fedi-setup rollback NUMBER` restores one: answers, images and files. Data and secrets stay as they are.',
  );
}
