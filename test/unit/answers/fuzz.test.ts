/** Random text in fedi.yaml and on the command line: an error with exit code 2, or exactly the answers in the text. */
import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { main } from '../../../wizard/cli/main.ts';
import { flagOf } from '../../../wizard/config/question.ts';
import { ALL_QUESTIONS, questionsFor } from '../../../wizard/answers/questions.ts';
import { resolve } from '../../../wizard/answers/resolve.ts';
import { saveInto, worthSaving } from '../../../wizard/answers/save.ts';
import { yamlSource } from '../../../wizard/answers/sources.ts';
import { Problem } from '../../../wizard/problem.ts';
import { tempFolder } from '../../support/temp.ts';
import { ROWS } from './inputs.ts';

let printed = '';
beforeEach(() => {
  printed = '';
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
  }
});
const quiet = (): void => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'uncaughtException'] as const) {
    // Vitest has its own listener for the last one.
    const mine = process.listeners(signal as NodeJS.Signals).at(-1);
    if (mine !== undefined) process.removeListener(signal, mine as () => void);
  }
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners('error');
};
afterEach(() => vi.restoreAllMocks());

let files = 0;
let lines = 0;
afterAll(() => console.log(`${files} texts of fedi.yaml, ${lines} command lines`));

const GOOD = `version: 1
apps:
  snac:
    domain: social.example.org # ours
    admin: anna
    email: anna@example.org
mail:
  mode: smtp
  host: smtp.example.org
  port: 587
  user: 'anna'
tls:
  mode: acme
bind: 0.0.0.0
`;

/** Pieces with a meaning in YAML. */
const TRICKS = [
  ':',
  ': ',
  '-',
  '- ',
  '#',
  ' #',
  '&a',
  '*a',
  '!',
  '!!str ',
  '!!js/function ',
  '|',
  '>',
  '%',
  '@',
  '`',
  '"',
  "'",
  '{',
  '}',
  '[',
  ']',
  ',',
  '?',
  '? ',
  '<<: ',
  '~',
  'null',
  '\n',
  '\r\n',
  '\t',
  '  ',
  '---\n',
  '...\n',
  '\u0000',
  '\u0085',
  '\u2028',
  '\ufeff',
  '__proto__: 1\n',
  'constructor: 1\n',
  'apps: 1\n',
  'apps: []\n',
  'version: 2\n',
  '0x1F',
  '1e3',
  '.inf',
  '2024-01-01',
  '${HOME}',
  '$(id)',
  '{$HOME}',
  '\\',
  '😀',
] as const;

const mutated = fc
  .array(
    fc.record({
      at: fc.nat({ max: GOOD.length }),
      cut: fc.nat({ max: 12 }),
      text: fc.oneof(fc.constantFrom(...TRICKS), fc.string({ unit: 'binary', maxLength: 6 })),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((edits) =>
    edits.reduce((text, { at, cut, text: put }) => text.slice(0, at) + put + text.slice(at + cut), GOOD),
  );

test('fedi.yaml', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(mutated, fc.string({ unit: 'binary', maxLength: 200 }), fc.json()),
      async (text) => {
        files++;
        let source;
        try {
          source = yamlSource(text);
        } catch (error) {
          expect(error).toBeInstanceOf(Problem);
          // A newer format is refused with 3.
          expect(error).toMatchObject({
            exit: /^version: *\d/m.test(text) && /reads version/.test(String(error)) ? 3 : 2,
          });
          return;
        }
        const resolved = await resolve([source]);
        // Every answer was in the text, and contains no control characters.
        for (const key of resolved.provided)
          expect(ALL_QUESTIONS.some((question) => question.key === key)).toBe(true);
        for (const value of Object.values(resolved.answers)) expect(String(value)).not.toMatch(/\p{Cc}/u);
        expect(Object.getPrototypeOf(resolved.answers)).toBe(Object.prototype);
        expect(({} as Record<string, unknown>)['1']).toBeUndefined();
        if (resolved.problems.length > 0) return;
        // Saved and read again the answers are the same; otherwise saving is refused.
        let saved: string;
        try {
          saved = saveInto(text, worthSaving(questionsFor(['snac']), resolved));
        } catch (error) {
          expect(error).toBeInstanceOf(Problem);
          return;
        }
        expect((await resolve([yamlSource(saved)])).answers).toEqual(resolved.answers);
      },
    ),
    { numRuns: 4000 },
  );
});

test('the command line', async () => {
  const folder = tempFolder();
  const flags = ALL_QUESTIONS.filter(({ secret }) => !secret).map((question) => `--${flagOf(question)}`);
  const word = fc.oneof(
    fc.constantFrom(
      ...flags,
      '--domain',
      '--admin',
      '--json',
      '--yes',
      '-y',
      '--check',
      '--edited',
      '--skip-check',
      '--debug',
    ),
    fc.constantFrom(
      '--',
      '-',
      '-x',
      '--=',
      '--=x',
      '--domain=',
      '--no-json',
      '---',
      '',
      ' ',
      '--dir=',
      '--__proto__=1',
    ),
    fc.constantFrom(...ROWS.map(({ text }) => text)),
    fc
      .tuple(fc.constantFrom(...flags), fc.constantFrom(...ROWS))
      .map(([flag, { text }]) => `${flag}=${text}`),
    fc.string({ unit: 'binary', maxLength: 12 }),
  );
  // Without an e-mail address no run reaches the engine.
  const safe = (text: string): boolean =>
    !/email|^-[^-]*[hv]|^--help|^-v|^--version|^help$|^--answers|-file|^--dir/.test(text) &&
    !['snac', 'tootctl'].includes(text);
  await fc.assert(
    fc.asyncProperty(fc.array(word.filter(safe), { maxLength: 6 }), async (words) => {
      lines++;
      printed = '';
      const code = await main(['plan', '--dir', folder, ...words]);
      quiet();
      expect(printed).not.toContain('Internal error in fedi-setup');
      expect(code).toBe(2);
      expect(readdirSync(folder)).toEqual([]);
    }),
    { numRuns: 1500 },
  );
});
