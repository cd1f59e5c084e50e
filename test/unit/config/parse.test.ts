/** One table of inputs: the same result by flag, variable, answers file and fedi.yaml. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { apply } from '../../../wizard/commands/apply.ts';
import type { CommandContext } from '../../../wizard/commands/command.ts';
import { nearest, parseDomain, parseEmail, parseFolder } from '../../../wizard/config/parse.ts';
import { flagOf, variableOf } from '../../../wizard/config/question.ts';
import type { Question } from '../../../wizard/config/question.ts';
import { ALL_QUESTIONS } from '../../../wizard/answers/questions.ts';
import { resolve } from '../../../wizard/answers/resolve.ts';
import type { Source } from '../../../wizard/answers/resolve.ts';
import {
  answersFileSource,
  environmentSource,
  flagSource,
  yamlSource,
} from '../../../wizard/answers/sources.ts';
import { jsonProgress } from '../../../wizard/progress.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder } from '../../support/temp.ts';
import { ROWS } from '../answers/inputs.ts';
import type { Row } from '../answers/inputs.ts';

const questionOf = ({ key }: Row): Question => ALL_QUESTIONS.find((one) => one.key === key) as Question;

/** All other required answers, so that only the row decides. */
const REST = environmentSource({
  FEDI_APPS: 'snac',
  FEDI_DOMAIN: 'rest.example.org',
  FEDI_ADMIN: 'rest',
  FEDI_EMAIL: 'rest@example.org',
  FEDI_MAIL_MODE: 'smtp',
  FEDI_MAIL_HOST: 'mail',
  FEDI_MAIL_USER: 'rest',
  FEDI_BACKUP_TO: '/mnt/backup',
  FEDI_BACKUP_S3_KEY: 'AK',
  FEDI_TLS_MODE: 'acme',
  FEDI_STATUS_PAGE: 'on',
  FEDI_MONITORING_MODE: 'full',
});

/** A value as dotenv reads it back; undefined if the format cannot represent it. */
function quoted(text: string): string | undefined {
  if (text.trim() === '' || text.includes('\r')) return undefined;
  if (!text.includes("'") && !text.endsWith('\\')) return `'${text}'`;
  return ['`', '"']
    .map((quote) => `${quote}${text}${quote}`)
    .find((one) => !/\\/.test(text) && one.split(one[0] as string).length === 3);
}

const EVERYWHERE: Record<string, (row: Row, folder: string) => Promise<Source | undefined>> = {
  flag: async (row, folder) => {
    const question = questionOf(row);
    if (!question.secret) return flagSource({ [flagOf(question)]: row.text });
    const path = join(folder, 'secret');
    writeFileSync(path, `${row.text}\n`);
    return flagSource({ [flagOf(question)]: path });
  },
  environment: async (row) =>
    row.text === '' || row.text.includes('\0')
      ? undefined
      : environmentSource({ [variableOf(questionOf(row))]: row.text }),
  'answers file': async (row, folder) => {
    const value = quoted(row.text);
    if (value === undefined) return undefined;
    const path = join(folder, 'answers.env');
    writeFileSync(path, `# ours\n${variableOf(questionOf(row))}=${value}\n`);
    return answersFileSource(path);
  },
  'fedi.yaml': async ({ key, text }) => {
    if (text === '' || key === 'apps' || key.endsWith('password')) return undefined;
    const parts = key.split('.');
    return yamlSource(
      parts.map((part, i) => `${'  '.repeat(i)}${part}:`).join('\n') + ` ${JSON.stringify(text)}\n`,
    );
  },
};

/** Arguments of `apply`; with an invalid answer it ends before it needs an engine. */
const contextOf = (sources: readonly Source[], dir: string): CommandContext => ({
  commands: [],
  flags: {
    dir,
    answers: undefined,
    json: true,
    dryRun: false,
    yes: true,
    debug: false,
    check: false,
    databases: false,
    images: false,
    diff: false,
    data: false,
    edited: undefined,
    skipCheck: [],
    swapGiB: 0,
    confirm: undefined,
    help: false,
    version: false,
    mail: false,
    role: undefined,
    fix: false,
    tune: false,
    follow: false,
    watch: false,
    all: false,
    tail: undefined,
    stop: false,
    uploadMedia: false,
    to: [],
    from: undefined,
    at: undefined,
    app: [],
    queues: undefined,
    since: undefined,
    goodbye: false,
    attempts: undefined,
  },
  sources,
  words: [],
  progress: jsonProgress(),
  interactive: false,
  now: () => new Date(0),
  onLocked: () => undefined,
  onLeaving: () => undefined,
  onInterrupted: () => undefined,
});

const title = ({ key, text, value, error }: Row): string =>
  `${key} ${JSON.stringify(text.length > 40 ? `${text.slice(0, 20)}…${text.length}` : text)} ${error === undefined ? `→ ${JSON.stringify(value).slice(0, 40)}` : `✗ ${error}`}`;

test('the table has the expected size', () => {
  expect(ROWS.length).toBeGreaterThan(300);
  const keys = new Set(ROWS.map(({ key }) => key));
  expect([...keys].every((key) => ALL_QUESTIONS.some((question) => question.key === key))).toBe(true);
});

describe.each(Object.keys(EVERYWHERE).concat('parse'))('by %s', (where) => {
  for (const row of ROWS) {
    (row.bug === undefined ? test : test)(title(row), async () => {
      if (where === 'parse') {
        const parsed = questionOf(row).parse(row.text);
        if (row.error === undefined) expect(parsed).toEqual({ value: row.value });
        else expect(parsed).toHaveProperty('problem', expect.stringContaining(row.error));
        return;
      }
      const folder = tempFolder();
      const source = await EVERYWHERE[where]?.(row, folder);
      // A format that cannot represent the text has no result, which must not count as a failure either.
      if (source === undefined) {
        if (row.bug !== undefined) throw new Error('cannot be written in this form');
        return;
      }
      const { answers, secrets, problems, provided } = await resolve([source, REST]);
      if (row.error === undefined) {
        expect(problems).toEqual([]);
        expect({ ...answers, ...secrets }[row.key]).toBe(row.value);
        expect(provided).toContain(row.key);
        return;
      }
      const from = [...source.values()][0]?.from ?? 'nowhere';
      expect(
        problems.filter((problem) => problem.startsWith(from) && problem.includes(row.error as string)),
      ).toHaveLength(1);
      const { exit, message } = await problemFrom(() => apply.run(contextOf([source, REST], folder)));
      expect({ exit, message }).toEqual({ exit: 2, message: expect.stringContaining(row.error) });
    });
  }
});

/** Plain text in fedi.yaml that YAML does not read as a string: it must arrive as it was written. */
describe('a directory for data', () => {
  const OF_THE_SYSTEM = [
    '/',
    '/etc',
    '/etc/',
    '/etc/pixelfed',
    '/usr/share/x',
    '/home',
    '/var',
    '/var/lib',
    '/var/lib/docker/x',
    '/srv/../etc',
    '/root',
    '/tmp',
    '/proc/1',
  ];
  test.each(OF_THE_SYSTEM)('refuses the system directory %s', (path) => {
    expect(parseFolder(path)).toEqual({ problem: expect.stringContaining('Data cannot be stored in ') });
  });
  test.each([
    '/srv',
    '/mnt/disk',
    '/data',
    '/var/lib/pixelfed',
    '/opt/pixelfed',
    '/home/anna/media',
    '/etcetera',
  ])('accepts %s', (path) => {
    expect(parseFolder(path)).toEqual({ value: path });
  });
});

describe('YAML tricks, unquoted', () => {
  const user = (text: string): Promise<Awaited<ReturnType<typeof resolve>>> =>
    resolve([yamlSource(`mail:\n  user: ${text}\n`), REST]);

  test.each([
    'no',
    'yes',
    'on',
    'off',
    'y',
    'n',
    '22:22',
    '1:30:15',
    '2024-01-01',
    '1_000',
    '<<',
    'true',
    'false',
    '=',
    'a#b',
    "it's",
    'a\\b',
    '$HOME',
    '17',
    '2.5',
  ])('%s', async (text) => {
    expect((await user(text)).answers['mail.user']).toBe(text);
  });

  // sources.ts used String(number), so the written text was lost. It must use the text of the scalar.
  test.each([
    '0644',
    '1e3',
    '0x1F',
    '0o17',
    '1.0',
    '1.50',
    '+5',
    '.5',
    'True',
    'FALSE',
    '.inf',
    '.NaN',
    '12345678901234567890',
    '-0',
  ])('%s', async (text) => {
    expect((await user(text)).answers['mail.user']).toBe(text);
  });
  test.each(['25.0', '1e3', '0x1BB', '0o31', '+25'])(
    'port %s, refused by every other source',
    async (text) => {
      expect((await resolve([yamlSource(`mail:\n  port: ${text}\n`), REST])).problems).toHaveLength(1);
    },
  );

  test.each(['~', 'null', '""', '', 'Null', "''"])('%s counts as not provided', async (text) => {
    const { answers, provided } = await resolve([yamlSource(`mail:\n  user: ${text}\n`)]);
    expect(answers['mail.user']).toBeUndefined();
    expect(provided).not.toContain('mail.user');
  });

  test.each([
    [
      'an anchor and its alias',
      'apps:\n  snac:\n    email: &who anna@example.org\nmail:\n  user: *who\n',
      'anna@example.org',
    ],
    ['a block scalar', 'mail:\n  user: |\n    anna\n', 'anna'],
    ['a folded scalar', 'mail:\n  user: >-\n    anna\n    berta\n', 'anna berta'],
    ['a plain scalar over two lines', 'mail:\n  user: anna\n    berta\n', 'anna berta'],
    ['a string tag', 'mail:\n  user: !!str 0644\n', '0644'],
    ['a comment behind', 'mail:\n  user: anna # me\n', 'anna'],
    ['a flow mapping', 'mail: { mode: smtp, user: anna }\n', 'anna'],
    ['JSON', '{"mail": {"user": "anna"}}', 'anna'],
    ['an escape in double quotes', 'mail:\n  user: "\\u0061nna"\n', 'anna'],
    ['a doubled quote', "mail:\n  user: 'an''na'\n", "an'na"],
    ['a document start', '%YAML 1.2\n---\nmail:\n  user: anna\n...\n', 'anna'],
  ])('%s', async (_, text, value) => {
    expect((await resolve([yamlSource(text), REST])).answers['mail.user']).toBe(value);
  });
});

describe('properties', () => {
  test('an accepted domain is valid for every parser, and parses to itself', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.domain(), fc.string({ unit: 'grapheme', maxLength: 30 }), fc.webUrl()),
        (text) => {
          const parsed = parseDomain(text);
          if ('problem' in parsed) return;
          expect(new URL(`https://${parsed.value}/`).hostname).toBe(parsed.value);
          expect(parseDomain(parsed.value)).toEqual(parsed);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('an accepted address has one @, no space, and parses to itself', () => {
    fc.assert(
      fc.property(fc.oneof(fc.emailAddress(), fc.string({ maxLength: 30 })), (text) => {
        const parsed = parseEmail(text);
        if ('problem' in parsed) return;
        expect(parsed.value).toMatch(/^[^\s@]+@[^\s@]+$/);
        expect(parseEmail(parsed.value)).toEqual(parsed);
      }),
      { numRuns: 2000 },
    );
  });

  test('no parser throws or accepts a control character', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ALL_QUESTIONS), fc.string({ unit: 'binary' }), (question, text) => {
        const parsed = question.parse(text);
        if ('value' in parsed && !question.secret) expect(String(parsed.value)).not.toMatch(/\p{Cc}/u);
      }),
      { numRuns: 3000 },
    );
  });

  test.each([
    ['domian', 'domain'],
    ['emial', 'email'],
    ['adm', undefined],
    ['zzz', undefined],
    ['doman', 'domain'],
    ['', undefined],
  ])('nearest to %j is %j', (word, candidate) => {
    expect(nearest(word, ['domain', 'email', 'admin'])).toBe(candidate);
  });
});
