/** Prints an error: what happened, what it means, the last log lines, and what to do next. */
import { styleText } from 'node:util';
import { codeOfExit } from '../problem.ts';
import type { Problem } from '../problem.ts';
import { jsonProgress } from '../progress.ts';
import { LONGEST_LINE, shortLines, visible } from '../visible.ts';
import { columns, wrap, wrapLines } from '../wrap.ts';

/** Also as an event, with --json. */
export function printError(problem: Problem, { json, debug }: { json: boolean; debug: boolean }): void {
  const { exit, message: what, means, next, log } = problem;
  if (json) jsonProgress().emit({ event: 'problem', code: codeOfExit(exit), exit, what, means, next, log });
  const { stderr } = process;
  // On one screen the error would be there twice.
  if (json && process.stdout.isTTY && stderr.isTTY) return;
  const mark = stderr.isTTY && !process.env['NO_COLOR'] ? styleText('red', 'Error:') : 'Error:';
  const width = stderr.isTTY ? columns(stderr) - 1 : Infinity;
  stderr.write(`\n${mark} ${problemInWords(problem, debug, width)}\n`);
}

/**
 * Escapes control characters and cuts long lines: a problem may quote logs or responses of servers.
 * @param width of a terminal: sentences are broken at words. Infinity: other readers (files, `grep`) get each on one line
 */
export function problemInWords(problem: Problem, debug: boolean, width = Infinity): string {
  const [first = '', ...others] = problem.message.split('\n');
  const mark = 'Error: '.length;
  const next = 'Next: ';
  const lines = [
    first.length + mark <= width ? first : wrap(first, width, mark).slice(mark),
    ...others.map((line) => wrapLines(line, width)),
  ];
  if (problem.means) lines.push(wrapLines(`  ${problem.means}`, width));
  if (problem.log)
    lines.push(
      '',
      ...shortLines(visible(problem.log))
        .split('\n')
        .map((line) => `  | ${line}`),
      '',
    );
  if (problem.next) {
    const below = ' '.repeat(2 + next.length);
    lines.push(`  ${next}${wrapLines(problem.next, width - below.length).replaceAll('\n', `\n${below}`)}`);
  }
  if (debug && problem.stack) lines.push('', problem.stack);
  return shortLines(visible(lines.join('\n')), LONGEST_LINE);
}
