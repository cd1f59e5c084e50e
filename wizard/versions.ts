/** Parses and compares version numbers. */
import type { Parsed } from './config/parse.ts';

/** The numbers at the start of a text: `v4.7.6` → 4, 7, 6; `17-trixie` → 17; undefined: there are none. */
export function numbersOf(text: string): number[] | undefined {
  return /^v?(\d+(?:\.\d+)*)/.exec(text.trim())?.[1]?.split('.').map(Number);
}

/** Compares part by part; a missing part counts as 0. */
export function isOlder(one: readonly number[], other: readonly number[]): boolean {
  for (let i = 0; i < Math.max(one.length, other.length); i++) {
    const [a, b] = [one[i] ?? 0, other[i] ?? 0];
    if (a !== b) return a < b;
  }
  return false;
}

/** A parser for `1.2.3` or `v1.2.3`, which returns `v1.2.3`. @param example a valid version */
export const versionParser =
  (example: string, oldest: readonly number[]) =>
  (text: string): Parsed<string> => {
    const version = /^v?(\d+\.\d+\.\d+)$/.exec(text.trim())?.[1];
    if (version === undefined) return { problem: `Not a version such as ${example}.` };
    if (isOlder(numbersOf(version) ?? [], oldest))
      return { problem: `${oldest.join('.')} is the oldest supported version.` };
    return { value: `v${version}` };
  };
