/** Reads answers files in .env form. The only importer of dotenv, of which only the parser is used. */
import { parse } from 'dotenv';

/** Returns the variables of an answers file with their line numbers (1-based). */
export function parseEnvFile(text: string): { name: string; value: string; line: number }[] {
  const lines = text.split('\n');
  return Object.entries(parse(text)).map(([name, value]) => ({
    name,
    value,
    line: lines.findLastIndex((line) => new RegExp(`^\\s*(export\\s+)?${name}\\s*[=:]`).test(line)) + 1,
  }));
}

/** One assignment in dotenv's grammar, including multi-line values. */
const ASSIGNMENT =
  /^[ \t]*(?:export[ \t]+)?[\w.-]+(?:[ \t]*=[ \t]*?|:[ \t]+?)(?:[ \t]*'(?:\\'|[^'])*'|[ \t]*"(?:\\"|[^"])*"|[ \t]*`(?:\\`|[^`])*`|[^#\r\n]*)?[ \t]*(?:#.*)?$/gm;

/** Returns the lines (1-based) that are neither blank nor comments and that dotenv ignores silently. */
export function unreadLines(text: string): number[] {
  const rest = text.replace(ASSIGNMENT, (taken) => '\n'.repeat(taken.split('\n').length - 1));
  return rest.split(/\r?\n/).flatMap((line, i) => (/^\s*(#.*)?$/.test(line) ? [] : [i + 1]));
}
