/** Saves to fedi.yaml: the administrator's own text stays unchanged. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Value } from '../../../wizard/config/question.ts';
import { ALL_QUESTIONS } from '../../../wizard/answers/questions.ts';
import { saveInto, withoutApps, worthSaving } from '../../../wizard/answers/save.ts';
import { yamlSource } from '../../../wizard/answers/sources.ts';
import { parseYaml } from '../../../wizard/yaml.ts';
import { problemFrom } from '../../support/problem.ts';

type Values = [string, Value][];

/** Text before, saved answers, text after, byte by byte. */
const EDITS: [name: string, before: string, values: Values, after: string][] = [
  ['the same value again', 'name: a1 # mine\n', [['name', 'a1']], 'name: a1 # mine\n'],
  ['a value', 'name: a1 # mine\nbind: ::1\n', [['name', 'b1']], 'name: b1 # mine\nbind: ::1\n'],
  ['the order stays', 'bind: ::1\nname: a1\n', [['name', 'b1']], 'bind: ::1\nname: b1\n'],
  ['other quoting stays', 'name: a1\nbind: "::1"\n', [['name', 'b1']], 'name: b1\nbind: "::1"\n'],
  ['a quoted value', 'name: "a1" # "x"\n', [['name', 'b1']], 'name: b1 # "x"\n'],
  ['a value in single quotes', "name: 'a1'\n", [['name', 'b1']], 'name: b1\n'],
  ['a number', 'mail:\n  port: 465\n', [['mail.port', 587]], 'mail:\n  port: 587\n'],
  [
    'a number in quotes is the same number',
    'mail:\n  port: "587"\n',
    [['mail.port', 587]],
    'mail:\n  port: "587"\n',
  ],
  ['a value without newline', 'name: a1', [['name', 'b1']], 'name: b1'],
  ['a new key', '# top\nname: a1\n# end\n', [['bind', '::1']], '# top\nname: a1\nbind: ::1\n# end\n'],
  ['a new key after a missing newline', 'name: a1', [['bind', '::1']], 'name: a1\nbind: ::1\n'],
  [
    'a new key in a block',
    'mail:\n  mode: smtp # out\n\nname: a1\n',
    [['mail.port', 587]],
    'mail:\n  mode: smtp # out\n  port: 587\n\nname: a1\n',
  ],
  [
    'a new key at the block’s own indent',
    'mail:\n    mode: smtp\nname: a1\n',
    [['mail.port', 587]],
    'mail:\n    mode: smtp\n    port: 587\nname: a1\n',
  ],
  [
    'a new key in a deep block',
    'apps:\n  snac:\n    domain: x.org\nname: a1\n',
    [['apps.snac.admin', 'anna']],
    'apps:\n  snac:\n    domain: x.org\n    admin: anna\nname: a1\n',
  ],
  ['a new block', 'name: a1\n', [['mail.mode', 'none']], 'name: a1\nmail:\n  mode: none\n'],
  [
    'two keys of a new block',
    'name: a1\n',
    [
      ['mail.mode', 'smtp'],
      ['mail.port', 25],
    ],
    'name: a1\nmail:\n  mode: smtp\n  port: 25\n',
  ],
  [
    'a value in a flow mapping',
    'mail: { mode: smtp, port: 465 } # out\n',
    [['mail.port', 587]],
    'mail: { mode: smtp, port: 587 } # out\n',
  ],
  [
    'a value that YAML would misread',
    'name: a1\n',
    [['mail.user', '0644']],
    'name: a1\nmail:\n  user: "0644"\n',
  ],
  ['comments only', '# nothing yet\n', [['name', 'a1']], '# nothing yet\nname: a1\n'],
];

test.each(EDITS)('%s', (_, before, values, after) => {
  expect(saveInto(before, values)).toBe(after);
  expect(saveInto(after, values)).toBe(after);
});

// The position of a missing scalar is -1, so the line is not found. Refused, although the edit is simple.
test.each([
  ['an empty value', 'name:\nbind: ::1\n', 'name: b1\nbind: ::1\n'],
  ['an empty value with a comment', 'name: # mine\n', 'name: b1 # mine\n'],
])('%s', (_, before, after) => {
  expect(saveInto(before, [['name', 'b1']])).toBe(after);
});

// The first key breaks the text, and reading it again for the second throws YamlError: "an internal error".
test('refuses two new keys in a flow mapping with an explanation', async () => {
  const { exit } = await problemFrom(() =>
    saveInto('mail: { mode: smtp }\n', [
      ['mail.user', 'a'],
      ['mail.port', 25],
    ]),
  );
  expect(exit).toBe(2);
});

describe('preserves', () => {
  test.each([
    [
      'a value',
      'version: 1\r\nname: a1 # mine\r\nbind: ::1\r\n',
      [['name', 'b1']] as Values,
      'version: 1\r\nname: b1 # mine\r\nbind: ::1\r\n',
    ],
    ['a byte order mark', '\ufeffname: a1\n', [['name', 'b1']] as Values, '\ufeffname: b1\n'],
  ])('%s', (_, before, values, after) => {
    expect(saveInto(before, values)).toBe(after);
  });

  // A new line gets a bare \n: the file would have two kinds of line ends.
  test('CRLF, also for a new key', () => {
    expect(saveInto('name: a1\r\n', [['bind', '::1']])).toBe('name: a1\r\nbind: ::1\r\n');
  });
});

describe('a new file', () => {
  test.each([undefined, '', '  \n'])('from %j', (before) => {
    const text = saveInto(before, [
      ['name', 'a1'],
      ['mail.mode', 'smtp'],
      ['mail.port', 587],
    ]);
    expect(text).toMatch(/^# yaml-language-server: \$schema=\.fedi\/fedi\.schema\.json\n/);
    expect(parseYaml(text)).toEqual({ version: 1, name: 'a1', mail: { mode: 'smtp', port: 587 } });
  });
});

describe('refuses a form that it cannot edit, and lists what to set by hand', () => {
  test.each([
    [
      'a new key in a flow mapping',
      'mail: { mode: smtp }\n',
      [['mail.port', 587]] as Values,
      'mail.port: 587',
    ],
    [
      'a new key in an empty flow mapping',
      'mail: {}\n',
      [['mail.mode', 'none']] as Values,
      'mail.mode: none',
    ],
    [
      'an aliased value',
      'name: &n a1\nmail:\n  user: *n\n',
      [['mail.user', 'b1']] as Values,
      'mail.user: b1',
    ],
    ['an anchored value', 'name: &n a1\nmail:\n  user: *n\n', [['name', 'b1']] as Values, 'name: b1'],
    ['JSON', '{"mail": {}}', [['name', 'b1']] as Values, 'name: b1'],
    [
      'a document end',
      'name: a1\n...\n# after\n',
      [
        ['mail.mode', 'none'],
        ['name', 'b1'],
      ] as Values,
      '',
    ],
  ])('%s', async (_, before, values, hand) => {
    let after: string;
    try {
      after = saveInto(before, values);
    } catch {
      const { exit, next } = await problemFrom(() => saveInto(before, values));
      expect(exit).toBe(2);
      expect(next).toContain(hand);
      return;
    }
    // Accepted: then all answers are saved and nothing else has changed.
    for (const [key, value] of values) expect(yamlSource(after).get(key)?.text).toBe(String(value));
    expect(saveInto(after, values)).toBe(after);
  });
});

/** All kinds of answers: text that parsers return, and some that they never return. */
const values = fc
  .uniqueArray(
    fc.constantFrom(
      ...ALL_QUESTIONS.filter(({ key, secret }) => !secret && key !== 'apps').map(({ key }) => key),
    ),
    { minLength: 1 },
  )
  .chain((keys) =>
    fc.tuple(
      ...keys.map((key) =>
        fc
          .oneof(
            fc.constantFrom(
              'no',
              '~',
              '0644',
              '1e3',
              '22:22',
              'a: b',
              '#',
              "it's",
              '"',
              '- a',
              '{',
              '*a',
              ' a ',
              'ü😀',
              '<<',
              '{{x}}',
              '@a',
              '`',
            ),
            fc.string({ minLength: 1 }),
            fc.integer({ min: 1, max: 65_535 }),
          )
          .map((value): [string, Value] => [key, value]),
      ),
    ),
  )
  .map((all) => all as Values);

const TEXTS = [undefined, '# mine\nversion: 1\n', ...EDITS.map(([, before]) => before)];

describe('any answers, saved into any text', () => {
  test('are read back, and saving again changes nothing', () => {
    fc.assert(
      fc.property(fc.constantFrom(...TEXTS), values, (before, answers) => {
        let once: string;
        try {
          once = saveInto(before, answers);
        } catch (error) {
          // Flow mappings: see "two new keys" above.
          if (!before?.includes('{')) expect(error).toMatchObject({ exit: 2 });
          return;
        }
        expect(saveInto(once, answers)).toBe(once);
        const read = (text: string, key: string): unknown =>
          key
            .split('.')
            .reduce<unknown>(
              (node, part) => (node as Record<string, unknown> | null)?.[part],
              parseYaml(text),
            );
        for (const [key, value] of answers) expect(String(read(once, key))).toBe(String(value));
        // Every line of the administrator without a value of ours is unchanged.
        for (const comment of (before ?? '').match(/# .*/g) ?? []) expect(once).toContain(comment);
      }),
      { numRuns: 1500 },
    );
  });

  test('never refuses block style', () => {
    fc.assert(
      fc.property(values, values, (first, second) => {
        const text = saveInto(undefined, first);
        expect(() => saveInto(text, second)).not.toThrow();
      }),
      { numRuns: 500 },
    );
  });
});

test('worthSaving: answers to questions that are asked, others only if set; never a secret', () => {
  const answers = {
    apps: 'snac',
    'apps.snac.domain': 'x.org',
    name: 'fedi',
    bind: '::1',
    'mail.mode': 'none',
    'mail.password': 'hush',
  };
  expect(
    worthSaving(ALL_QUESTIONS, { answers, provided: new Set(['bind']), cleared: new Set(['mail.user']) }),
  ).toEqual([
    ['apps.snac.domain', 'x.org'],
    ['mail.mode', 'none'],
    ['mail.user', ''],
    ['bind', '::1'],
  ]);
});

test('a cleared answer is emptied if its key exists, and not written otherwise', () => {
  const text = 'version: 1\nmail:\n  user: anna # me\n';
  expect(saveInto(text, [['mail.user', '']])).toBe('version: 1\nmail:\n  user: "" # me\n');
  expect(saveInto('version: 1\n', [['mail.user', '']])).toBe('version: 1\n');
  expect(saveInto(undefined, [['mail.user', '']])).not.toContain('user');
});

describe('a removed app', () => {
  const TWO =
    'apps:\n  # mine\n  snac:\n    domain: a.org # one\n  pixelfed:\n    domain: b.org\n\n    size: 2gb\nname: a1\n';

  test('keeps its answers as comments, and everything else unchanged', () => {
    const text = withoutApps(TWO, ['mastodon', 'pixelfed']);
    expect(text).toBe(
      'apps:\n  # mine\n  snac:\n    domain: a.org # one\n# Removed. `fedi-setup add pixelfed` asks for these again.\n#   pixelfed:\n#     domain: b.org\n\n#     size: 2gb\nname: a1\n',
    );
    expect([...yamlSource(text).keys()]).toEqual(['apps.snac.domain', 'name', 'apps']);
    expect(withoutApps(text, ['pixelfed'])).toBe(text);
  });

  test('is refused with an explanation if the form cannot be edited', async () => {
    expect(
      await problemFrom(() =>
        withoutApps('apps: { snac: { domain: a.org }, pixelfed: { domain: b.org } }\n', ['snac']),
      ),
    ).toMatchObject({
      message: expect.stringContaining('cannot edit'),
      next: expect.stringContaining('apps.snac'),
    });
  });
});
