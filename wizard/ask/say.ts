/** Prints text of the wizard, wrapped at words. */
import { writeText } from '../progress.ts';
import { columns, wrap } from '../wrap.ts';

/** Wraps `text` at the width of the screen. Some consoles report 0 columns. */
export const wrapToScreen = (text: string, indent = 0): string =>
  wrap(text, columns(process.stderr) - 1, indent);

/** Prints one paragraph. */
export function say(text = '', indent = 0): void {
  writeText(process.stderr, wrapToScreen(text, indent));
}

/** Prints two columns on one line. */
export function sayRow(left: string, right: string): void {
  writeText(process.stderr, `  ${left}  ${right}`);
}
