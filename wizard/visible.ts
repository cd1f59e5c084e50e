/** Makes text from outside safe to show: escapes control and invisible characters. */

/**
 * Characters that are refused in answers and escaped on the terminal: C0 and C1 controls (escape codes), DEL, soft
 * hyphen, Arabic and Mongolian marks, zero-width and bidirectional controls, fillers, annotations, tags.
 */
const RANGES =
  '\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e007f}';

/** Matches one such character. */
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

/** Text of a server as one short line, with control characters escaped. */
export const quoted = (text: string, most = 160): string => {
  const line = visible(text).trim().replaceAll(/\s+/g, ' ');
  return line.length <= most ? line : `${line.slice(0, most)}…`;
};

/** JSON in one line, with every character of these ranges escaped, not only C0 controls. */
export const visibleJson = (value: unknown): string =>
  JSON.stringify(value).replaceAll(EACH, (found) =>
    found
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );

/** Longest line of a log, in characters. */
const LONGEST_LOG_LINE = 500;

/** Longest line of other texts, in characters: more than our own sentences need. */
export const LONGEST_LINE = 4000;

/** Cuts lines longer than `most` characters and appends how many were cut. */
export const shortLines = (text: string, most = LONGEST_LOG_LINE): string =>
  text
    .split('\n')
    .map((line) =>
      line.length <= most ? line : `${line.slice(0, most)}… (${line.length - most} more characters)`,
    )
    .join('\n');
