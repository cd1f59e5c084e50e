/** docs/reference/json-events.md describes the output of --json. Types check the fields of every event where it is emitted. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { eventsText } from '../../../scripts/docs/json-events.ts';
import { CODES } from '../../../wizard/events.ts';
import { EXIT, codeOfExit } from '../../../wizard/problem.ts';

test('the page is up to date: npm run env-example', () => {
  const page = new URL('../../../docs/reference/json-events.md', import.meta.url);
  expect(readFileSync(page, 'utf8')).toBe(eventsText());
});

test('every exit code of an error has a code that is documented', () => {
  const signals = ['ok', 'hup', 'int', 'term'];
  const codes = Object.values(EXIT).map(codeOfExit);
  expect(codes.filter((code) => !signals.includes(code))).toEqual(Object.keys(CODES));
});
