/** Text from outside made safe to show: characters that a terminal would obey, or nobody would see, are spelled out. */

/**
 * Characters that are refused in answers and escaped on the terminal: C0 and C1 controls (escape codes), DEL, soft
 * hyphen, Arabic and Mongolian marks, zero-width and bidirectional controls, fillers, annotations, tags.
 */
const RANGES =
  '\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e007f}';

/** Holds at least one such character. */
export const INVISIBLE = new RegExp(`[${RANGES}]`, 'u');

const EACH = new RegExp(`\\r\\n|[${RANGES}]`, 'gu');

const spell = (found: string): string => {
  if (found === '\r\n') return '\n';
  if (found === '\n' || found === '\t') return found;
  const code = found.codePointAt(0) as number;
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`;
  return `\\u{${code.toString(16)}}`;
};

/** Line breaks and tabs stay; ESC becomes `\x1b`, U+202E becomes `\u{202e}`. */
export const visible = (text: string): string => text.replaceAll(EACH, spell);

/** JSON escapes C0 controls alone; here every character of these ranges is escaped. One line. */
export const visibleJson = (value: unknown): string =>
  JSON.stringify(value).replaceAll(EACH, (found) =>
    found
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );

/** Characters of one line of a log that are worth showing. */
const LONGEST_LOG_LINE = 500;

/** Characters: more than any sentence of ours, and less than what would flood a terminal. */
export const LONGEST_LINE = 4000;

/** Cuts each line that is longer than `most` characters, and says by how much. */
export const shortLines = (text: string, most = LONGEST_LOG_LINE): string =>
  text
    .split('\n')
    .map((line) =>
      line.length <= most ? line : `${line.slice(0, most)}… (${line.length - most} more characters)`,
    )
    .join('\n');
