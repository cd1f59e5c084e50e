/** Env files, read back by Compose and in a container. */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { encodeEnv, printEnv } from '../../wizard/stack/env.ts';
import { Secret } from '../../wizard/secrets/secret.ts';
import { IMAGES } from '../support/site.ts';
import { nastyText } from '../support/nasty.ts';
import { tempFolder, writeTree } from '../support/temp.ts';

const named = (values: readonly string[]): Record<string, string> =>
  Object.fromEntries(values.map((value, i) => [`V_${i}`, value]));

/** One file with all values, and a project that reads it. */
function project(values: readonly string[]): string {
  const folder = tempFolder();
  writeTree(folder, {
    'compose.yaml': `name: test-env\nservices:\n  one:\n    image: ${IMAGES.FEDI_IMAGES_CADDY}\n    network_mode: none\n    pull_policy: never\n    env_file: [all.env]\n`,
    'all.env': printEnv(named(values)),
  });
  return folder;
}

const compose = (folder: string, ...argv: string[]): Buffer =>
  execFileSync('docker', ['compose', ...argv], {
    cwd: folder,
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'pipe'],
  });

function throughCompose(values: readonly string[]): Record<string, string> {
  const read = JSON.parse(compose(project(values), 'config', '--format=json').toString()) as {
    services: { one: { environment: Record<string, string> } };
  };
  return Object.fromEntries(
    Object.entries(read.services.one.environment).map(([name, value]) => [name, value.replaceAll('$$', '$')]),
  );
}

describe('through `docker compose config`', () => {
  let version = '';
  beforeAll(() => {
    version = execFileSync('docker', ['compose', 'version', '--short'], { encoding: 'utf8' }).trim();
  });

  test('one by one: values known to cause errors', () => {
    const values = [
      ...`abc|a b|a#b|a #b|#a|it's|a''b|'|"|say "hi"|'"|\\|a\\|\\\\|\\'|\\"|a\\nb|$|$$|$HOME|\${HOME}|\${HOME:-x}|$(id)|\`id\`|a=b|="|x="y|export A=b|A: b|~|null| |  a  |{}|%|!|&|*|@|<<EOF|é|漢字😀`.split(
        '|',
      ),
      '',
      '\n',
      '\r',
      'a\nb',
      'a\r\nb',
      'a\n',
      '\na',
      'a\tb',
      "'\n'",
      'it\'s\n"both" $HOME \\ # end',
      '\u0085\u2028\u2029\ufeff',
      '\u0001\u001b[31m\u007f',
      'k'.repeat(4096),
      '\'"\\$# \n'.repeat(600),
      '-----BEGIN PRIVATE KEY-----\nabc+/=\n-----END PRIVATE KEY-----\n',
    ];
    expect(throughCompose(values), `Compose ${version}`).toEqual(named(values));
  });

  test('thousands of difficult values, a few hundred in each file', () => {
    fc.assert(
      fc.property(fc.array(nastyText, { minLength: 300, maxLength: 400, size: 'max' }), (values) => {
        expect(throughCompose(values)).toEqual(named(values));
      }),
      { numRuns: 8 },
    );
  });
});

test('inside a container', () => {
  const values = fc.sample(nastyText, 400).map((value) => value.slice(0, 600));
  const seen = compose(
    project(values),
    'run',
    '--rm',
    '--no-TTY',
    '--entrypoint',
    'cat',
    'one',
    '/proc/self/environ',
  );
  const read = Object.fromEntries(
    seen
      .toString()
      .split('\0')
      .filter((line) => line.startsWith('V_'))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  expect(read).toEqual(named(values));
});

test('refuses NUL at any position', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (before, after) => {
      expect(() => encodeEnv(`${before}\0${after}`)).toThrow('NUL');
    }),
  );
});

test('a value is always one line', () => {
  fc.assert(
    fc.property(nastyText, (value) => !/[\r\n]/.test(encodeEnv(value))),
    { numRuns: 2000 },
  );
});

test('printEnv: omits unset variables, not empty ones; secrets in plain text, numbers as text; refuses invalid names', () => {
  const text = printEnv({ A: 'x', B: undefined, C: '', D: 0, E: new Secret("it's") });
  expect(text.split('\n').slice(1)).toEqual(['A=x', "C=''", 'D=0', String.raw`E='it\'s'`, '']);
  for (const name of ['a', '1A', 'A-B', 'A B', 'A=B', '', 'A\nB'])
    expect(() => printEnv({ [name]: 'x' })).toThrow('not a variable name');
});
