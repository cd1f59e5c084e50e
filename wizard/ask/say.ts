/** Prints text of the wizard, wrapped at words. */
import { writeText } from '../progress.ts';

/** Wraps `text` at `width` characters, with indentation. Longer words are not split. */
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

/** Wraps `text` at the width of the screen. Some consoles report 0 columns. */
export const wrapToScreen = (text: string, indent = 0): string =>
  wrap(text, Math.max(20, (process.stderr.columns || 80) - 1), indent);

/** Prints one paragraph. */
export function say(text = '', indent = 0): void {
  writeText(process.stderr, wrapToScreen(text, indent));
}

/** Prints two columns on one line. */
export function sayRow(left: string, right: string): void {
  writeText(process.stderr, `  ${left}  ${right}`);
}
