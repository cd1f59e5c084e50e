/** compose.yaml: filled in, joined, printed, and read again by Compose. */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  assertComplete,
  join,
  joinNetwork,
  parseCompose,
  printCompose,
  service,
} from '../../wizard/stack/compose.ts';
import type { ComposeFile } from '../../wizard/stack/compose.ts';
import { parseYaml } from '../../wizard/yaml.ts';
import { nastyText } from '../support/nasty.ts';
import { tempFolder, writeTree } from '../support/temp.ts';

interface Read {
  readonly name: string;
  readonly services: Record<
    string,
    { environment: Record<string, string>; labels: Record<string, string>; command: string[] }
  >;
}

/** A text as Compose reads it; HOME and X are set in its environment to reveal interpolation. */
function read(text: string): Read {
  const folder = tempFolder();
  writeTree(folder, { 'compose.yaml': text });
  const out = execFileSync('docker', ['compose', 'config', '--format=json'], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: '/leaked', X: 'leaked', COMPOSE_PROJECT_NAME: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 28,
  });
  return JSON.parse(out) as Read;
}

const undoubled = (values: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.replaceAll('$$', '$')]));

const file = (name: string, more: object = {}): ComposeFile => ({
  name: 'test',
  services: { [name]: { image: 'x:1', networks: { [name]: {} }, ...more } },
  networks: { [name]: {} },
  volumes: { [`${name}_data`]: { name: `test_${name}_data` } },
});

describe('parseCompose', () => {
  test.each([
    ['${A}', 'one'],
    ['${A:-other}', 'one'],
    ['x${A}y${A}z', 'xoneyonez'],
    ['${B}', '${A}'],
    ['$A', '$A'],
    ['${a}', '${a}'],
    ['${A-other}', '${A-other}'],
    ['${A:?needed}', '${A:?needed}'],
    // Compose's own escape; it is doubled again when printed.
    ['$$', '$'],
    ['$', '$'],
    ['$(id)', '$(id)'],
    ['{$A}', '{$A}'],
    ['plain', 'plain'],
  ])('%s → %s', (text, wanted) => {
    const parsed = parseCompose(JSON.stringify({ services: { s: { image: text } } }), {
      A: 'one',
      B: '${A}',
    });
    expect(service(parsed, 's').image).toBe(wanted);
  });

  test('an unset variable is a bug, with or without a default', () => {
    for (const text of ['${NOPE}', '${NOPE:-x}'])
      expect(() => parseCompose(`services: { s: { image: "${text}" } }`, {})).toThrow('${NOPE}');
  });

  test('a value cannot become YAML', () => {
    fc.assert(
      fc.property(nastyText, (value) => {
        const parsed = parseCompose('name: n\nservices:\n  s:\n    image: ${A}\n    command: [a, "${A}"]\n', {
          A: value,
        });
        expect(parsed.services).toEqual({ s: { image: value, command: ['a', value] } });
      }),
      { numRuns: 500 },
    );
  });

  test('missing parts are empty', () => {
    expect(parseCompose('{}', {})).toEqual({ name: '', services: {}, networks: {}, volumes: {} });
  });
});

describe('join', () => {
  test('two files are joined under the name of the first', () => {
    const joined = join([file('a'), { ...file('b'), name: 'other' }]);
    expect(joined.name).toBe('test');
    expect(Object.keys(joined.services)).toEqual(['a', 'b']);
    expect(Object.keys(joined.networks)).toEqual(['a', 'b']);
    expect(Object.keys(joined.volumes)).toEqual(['a_data', 'b_data']);
  });

  test.each(['services', 'networks', 'volumes'] as const)('a clash of %s is an error', (part) => {
    const [name] = Object.keys(file('a')[part]) as [string];
    const other: ComposeFile = { name: 'x', services: {}, networks: {}, volumes: {}, [part]: { [name]: {} } };
    expect(() => join([file('a'), other])).toThrow(`two Compose files both define ${part}.${name}`);
  });
});

test('joinNetwork, service, assertComplete', () => {
  const one = file('a');
  joinNetwork(one, 'a', 'front', ['x.org']);
  expect(service(one, 'a').networks).toEqual({ a: {}, front: { aliases: ['x.org'] } });
  expect(() => service(one, 'b')).toThrow('no service b');
  expect(() => assertComplete(one)).toThrow('unknown network front');
  expect(() => assertComplete(file('a'))).not.toThrow();
  expect(() => assertComplete(file('a', { image: '' }))).toThrow('no image');
});

describe('printCompose', () => {
  const print = (values: readonly string[]): string =>
    printCompose(
      file('a', {
        environment: Object.fromEntries(values.map((value, i) => [`V_${i}`, value])),
        labels: Object.fromEntries(values.map((value, i) => [`l.${i}`, value])),
        command: values,
      }),
    );

  test('doubles every $ once', () => {
    const text = print(['$', '$$', '$X', '${X}', '$(X)']);
    expect((parseYaml(text) as { services: { a: { command: string[] } } }).services.a.command).toEqual([
      '$$',
      '$$$$',
      '$$X',
      '$${X}',
      '$$(X)',
    ]);
    expect(text).not.toContain('leaked');
  });

  test('Compose reads every value back unchanged', () => {
    fc.assert(
      // Compose refuses control characters and omits others in JSON; our parsers never return those.
      fc.property(fc.array(nastyText, { minLength: 200, maxLength: 200, size: 'max' }), (values) => {
        const wanted = values.map((value) => value.replaceAll(/[^\P{C}\t\n\r]/gu, '?'));
        const back = read(print(wanted)).services['a'];
        expect(Object.values(undoubled(back?.environment ?? {}))).toHaveLength(200);
        wanted.forEach((value, i) => {
          expect(undoubled(back?.environment ?? {})[`V_${i}`]).toBe(value);
          expect(undoubled(back?.labels ?? {})[`l.${i}`]).toBe(value);
          expect(back?.command[i]?.replaceAll('$$', '$')).toBe(value);
        });
      }),
      { numRuns: 4 },
    );
  });

  test.each(['*\n\n', '\n', '\n\n', 'a\n', 'a\n\n\n', ' \n\n'])(
    '%j at the end of a service keeps its newlines',
    (value) => {
      expect(read(print([value])).services['a']?.command).toEqual([value]);
    },
  );

  test.each([
    'no',
    'yes',
    'on',
    '0644',
    '1e3',
    '22:22',
    '1:30:15',
    '~',
    'null',
    '<<',
    '*a',
    '&a',
    '!a',
    '- a',
    'a: b',
    'a #b',
    '2024-01-01',
    '.5',
    '0x1F',
    '1_000',
    '=',
  ])('%s stays a string for YAML 1.1 readers too', (value) => {
    expect(read(print([value])).services['a']?.environment['V_0']).toBe(value);
  });

  test('x-about becomes a comment above its service, on one line, and no key', () => {
    const text = printCompose(file('a', { 'x-about': 'one\ntwo: three # four' }));
    expect(text).toContain('\n  # one two: three # four\n  a:\n');
    expect(text).not.toContain('x-about');
    expect(Object.keys(read(text).services)).toEqual(['a']);
  });

  // YAML ends a line at a lone CR too; then the rest of the text is no comment.
  test('x-about with a CR is still one line', () => {
    expect(printCompose(file('a', { 'x-about': 'one\rname: two' }))).toContain('# one name: two');
  });

  test('the same file gives the same bytes, and no anchors', () => {
    const shared = { max: '1' };
    const twice = { ...join([file('a', { logging: shared }), file('b', { logging: shared })]) };
    expect(printCompose(twice)).toBe(printCompose(structuredClone(twice)));
    expect(printCompose(twice)).not.toMatch(/&ref|\*ref/);
  });
});
