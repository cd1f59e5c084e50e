/** Reads answers files in .env form. The only importer of dotenv, of which only the parser is used. */
import { parse } from 'dotenv';

/** Variables of an answers file with the line each stands on (1-based). */
export function parseEnvFile(text: string): { name: string; value: string; line: number }[] {
  const lines = text.split('\n');
  return Object.entries(parse(text)).map(([name, value]) => ({
    name,
    value,
    line: lines.findLastIndex((line) => new RegExp(`^\\s*(export\\s+)?${name}\\s*[=:]`).test(line)) + 1,
  }));
}

/** One assignment as dotenv's parser takes it, values over several lines included. */
const ASSIGNMENT =
  /^[ \t]*(?:export[ \t]+)?[\w.-]+(?:[ \t]*=[ \t]*?|:[ \t]+?)(?:[ \t]*'(?:\\'|[^'])*'|[ \t]*"(?:\\"|[^"])*"|[ \t]*`(?:\\`|[^`])*`|[^#\r\n]*)?[ \t]*(?:#.*)?$/gm;

/** Lines (1-based) that are neither blank nor comment and that dotenv leaves out without a word. */
export function unreadLines(text: string): number[] {
  const rest = text.replace(ASSIGNMENT, (taken) => '\n'.repeat(taken.split('\n').length - 1));
  return rest.split(/\r?\n/).flatMap((line, i) => (/^\s*(#.*)?$/.test(line) ? [] : [i + 1]));
}
