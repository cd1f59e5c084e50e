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
