/** Helpers for generated Markdown. */

/** The first line of a generated page. */
export const generated = (from: string): string => `<!-- Generated from ${from}: npm run env-example. -->\n`;

export const code = (text: string): string => `\`${text}\``;

/** `a, b or c`. */
export const list = (words: readonly string[], last: string): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1) ?? ''}`;

/** A table; `|` in a cell is escaped. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows]
    .map((cells, at) =>
      at === 1
        ? `|${cells.join('|')}|`
        : `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`,
    )
    .join('\n');
