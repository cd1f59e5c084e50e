/** Wraps text at words. */

/** Width of a terminal, at least 20. Some consoles report 0 columns. */
export const columns = ({ columns: width }: { readonly columns?: number }): number =>
  Math.max(20, width || 80);

/** Wraps `text` at `width` characters, with indentation. Longer words and `code` are not split. */
export function wrap(text: string, width: number, indent = 0): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.match(/(?:`[^`]*`|\S)+/g) ?? []) {
    if (line !== '' && line.length + 1 + word.length > width - indent) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((one) => `${' '.repeat(indent)}${one}`.trimEnd()).join('\n');
}

/** Wraps each line that is too long; the rest of it goes below its text, which is indented and may be an item of a list. */
export function wrapLines(text: string, width: number): string {
  return text
    .split('\n')
    .map((line) => {
      if (line.length <= width) return line;
      const [, start = '', rest = ''] = /^( *(?:- )?)(.*)$/.exec(line) ?? [];
      return `${start}${wrap(rest, width, start.length).slice(start.length)}`;
    })
    .join('\n');
}
