/** Lines of the conversation, broken at words: a terminal breaks them anywhere. */
import { writeText } from '../progress.ts';

/** `text` in lines of at most `width` characters, each indented; a word longer than that stays whole. */
export function wrap(text: string, width: number, indent = 0): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width - indent) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((one) => `${' '.repeat(indent)}${one}`.trimEnd()).join('\n');
}

/** One paragraph on the screen. */
export function say(text = '', indent = 0): void {
  // A console may say it has no columns at all.
  writeText(process.stderr, wrap(text, Math.max(20, (process.stderr.columns || 80) - 1), indent));
}

/** Two columns on one line. */
export function sayRow(left: string, right: string): void {
  writeText(process.stderr, `  ${left}  ${right}`);
}
