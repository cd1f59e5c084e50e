/** `doctor bundle`: writes the support file. */
import { readFile } from 'node:fs/promises';
import { resolve as resolvePath } from 'node:path';
import { exists, writeWhole } from '../../atomic.ts';
import { doctor } from '../../checks/preflight.ts';
import type { PreflightOptions } from '../../checks/preflight.ts';
import { EXIT, Problem } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import type { Progress } from '../../progress.ts';
import { FIRST_LINE, TITLES, bundleText } from '../../support/bundle.ts';
import type { Site } from '../find-site.ts';
import type { CommandContext } from '../command.ts';
import { version } from '../version.ts';

/** What `doctor` prints, as lines. A check that cannot run at all does not keep the rest out of the file. */
async function doctorLines(options: PreflightOptions): Promise<string[]> {
  const lines: string[] = [];
  let title = '';
  const end =
    (mark: string) =>
    (note = ''): void =>
      void lines.push(`${mark} ${title}${note === '' ? '' : `: ${note}`}`);
  const nothing = (): void => undefined;
  const progress: Progress = {
    start: (_, text) => (title = text),
    update: nothing,
    done: end('✔'),
    already: end('='),
    fail: end('✖'),
    skip: end('–'),
    say: (line = '') => void lines.push(line),
    print: nothing,
    emit: nothing,
  };
  try {
    await doctor({ ...options, progress, fix: false });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    lines.push(error.message, error.means ?? '', error.next ?? '', error.log ?? '');
  }
  return lines.filter((line) => line !== '');
}

export async function writeBundle(
  { progress, now }: CommandContext,
  site: Site,
  checks: PreflightOptions,
  file: string | undefined,
): Promise<ExitCode> {
  const { folder, config, engine } = site;
  const path = file === '-' ? '-' : resolvePath(file ?? `${config.name}-support.txt`);
  if (path !== '-') await refuseOther(path);
  progress.start('bundle', 'Support file');
  let text: string;
  try {
    text = await bundleText({ folder, config, engine, version, now, doctor: () => doctorLines(checks) });
    if (path !== '-') await writeWhole(path, text, 0o600);
    progress.done();
  } catch (error) {
    progress.fail();
    throw error;
  }
  if (path === '-') {
    for (const line of text.trimEnd().split('\n')) progress.print(line);
    return EXIT.OK;
  }
  progress.emit({ event: 'exported', path });
  progress.say(`  ${path} (mode 0600) contains:`);
  for (const title of TITLES) progress.say(`  - ${title}`);
  progress.say(
    '  fedi-setup removed the secrets, people and public addresses that it recognised. Read it before you send it.',
  );
  return EXIT.OK;
}

/** Replaces an older support file, and nothing else. */
async function refuseOther(path: string): Promise<void> {
  if (!(await exists(path))) return;
  if ((await readFile(path, 'utf8').catch(() => '')).startsWith(FIRST_LINE)) return;
  throw new Problem(EXIT.USAGE, `${path} already exists, and is not a support file.`, {
    means: 'Nothing was written.',
    next: 'Choose another file.',
  });
}
