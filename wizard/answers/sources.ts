/** Reads the sources of answers: flags, environment, answers file, fedi.yaml. */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { cannotRead } from '../atomic.ts';
import { EXIT, Problem, codeOf, gather, messageOf } from '../problem.ts';
import { YamlError, parseYaml, places } from '../yaml.ts';
import { nearest, problemOf } from '../config/parse.ts';
import type { Question } from '../config/question.ts';
import { parseEnvFile, unreadLines } from './envfile.ts';
import { ALL_QUESTIONS } from './questions.ts';
import { keyOfFlag, keyOfVariable } from './resolve.ts';
import type { RawAnswer, Source } from './resolve.ts';

export const CONFIG_FILE = 'fedi.yaml';

/** Reads a file named on the command line, as UTF-8 without a byte-order mark; `-` is standard input. */
export async function readNamed(path: string, what: string): Promise<string> {
  let bytes: Buffer | undefined;
  try {
    bytes = await readUpTo(path === '-' ? process.stdin : createReadStream(path));
  } catch (error) {
    throw new Problem(EXIT.USAGE, `${what} ${path} cannot be read: ${messageOf(error)}`, {
      next: 'Name a file you can read, or - for standard input.',
      cause: error,
    });
  }
  if (bytes === undefined)
    throw new Problem(EXIT.USAGE, `${what} ${path} is larger than ${MOST_BYTES / 1024 ** 2} MB.`, {
      next: 'Was another file meant?',
    });
  return decode(bytes, `${what} ${path}`);
}

/** More than any answer needs; a device such as /dev/zero never ends. */
const MOST_BYTES = 1024 ** 2;

/** The whole stream; undefined: it is longer than that. */
async function readUpTo(stream: Readable): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer);
    length += (chunk as Buffer).length;
    if (length > MOST_BYTES) return undefined;
  }
  return Buffer.concat(chunks);
}

/** Decodes UTF-8. Other encodings are refused: a changed password is worse than none. */
function decode(bytes: Buffer, what: string): string {
  const isUtf16 = /^(?:\xff\xfe|\xfe\xff)/.test(bytes.toString('latin1', 0, 2));
  try {
    if (!isUtf16) return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    // The same message as for UTF-16.
  }
  throw new Problem(EXIT.USAGE, `${what} is ${isUtf16 ? 'in UTF-16' : 'not valid UTF-8'}.`, {
    means: 'fedi-setup would read its characters wrongly. Nothing was changed.',
    next: 'Is this the right file? If so, save it as UTF-8. In PowerShell: `Set-Content -Encoding utf8 FILE`.',
  });
}

/** The sentence about a value that cannot be used; none if it can. */
function problemIn(found: { readonly question: Question }, value: string, from: string): string[] {
  const problem = problemOf(found.question.parse(value));
  return problem === undefined ? [] : [`${from}: ${problem}`];
}

/** Turns flags into a source. Reads the file of a flag that ends in `-file`, without one trailing newline. */
export async function flagSource(
  flags: Readonly<Record<string, string>>,
  others: readonly string[] = [],
): Promise<Source> {
  const source = new Map<string, RawAnswer>();
  const problems: string[] = [];
  const wrong: string[] = [];
  for (const [flag, text] of Object.entries(flags)) {
    const found = keyOfFlag(flag, others);
    if ('problem' in found) {
      problems.push(found.problem.replace(/(no|mean) (\S)/g, '$1 --$2'));
      continue;
    }
    const value = found.question.secret ? (await readNamed(text, `--${flag}`)).replace(/\r?\n$/, '') : text;
    source.set(found.key, { text: value, from: `--${flag}` });
    wrong.push(...problemIn(found, value, `--${flag}`));
  }
  if (problems.length > 0)
    throw gather(
      EXIT.USAGE,
      wrong.length > 0 ? 'These flags cannot be used:' : 'These flags do not exist:',
      [...problems, ...wrong],
      '`fedi-setup COMMAND --help` lists the flags of a command.',
    );
  return source;
}

/** `FEDI_…` variables of a process environment. Empty ones are ignored. */
export function environmentSource(environment: NodeJS.ProcessEnv): Source {
  return variablesSource(
    Object.entries(environment)
      .filter(([name, value]) => name.startsWith('FEDI_') && value !== undefined && value !== '')
      .map(([name, value]) => ({ name, value: value as string, from: name })),
    'Unknown environment variables:',
  );
}

/** Reads an answers file in the format of env.example. */
export async function answersFileSource(path: string): Promise<Source> {
  const text = await readNamed(path, 'The answers file');
  return variablesSource(
    parseEnvFile(text)
      .filter(({ value }) => value !== '')
      .map(({ name, value, line }) => ({ name, value, from: `${path} line ${line} (${name})` })),
    `${path} cannot be used:`,
    unreadLines(text).map((line) => `${path} line ${line}: not NAME=value. Correct it, or begin it with #.`),
  );
}

/** @param unread problems that were found before; with one of any kind, all are reported */
function variablesSource(
  variables: { name: string; value: string; from: string }[],
  title: string,
  unread: readonly string[] = [],
): Source {
  const source = new Map<string, RawAnswer>();
  const problems = [...unread];
  const wrong: string[] = [];
  for (const { name, value, from } of variables) {
    const found = keyOfVariable(name);
    if ('problem' in found) {
      problems.push(from === name ? found.problem : `${from}: ${found.problem}`);
      continue;
    }
    source.set(found.key, { text: value, from });
    wrong.push(...problemIn(found, value, from));
  }
  if (problems.length > 0)
    throw gather(
      EXIT.USAGE,
      title,
      [...problems, ...wrong],
      'env.example lists all variables. Nothing was changed.',
    );
  return source;
}

/** Reads the fedi.yaml of a site directory; undefined if there is none. */
export async function savedText(folder: string): Promise<string | undefined> {
  const path = join(folder, CONFIG_FILE);
  try {
    return decode(await readFile(path), path);
  } catch (error) {
    if (error instanceof Problem) throw error;
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return undefined;
    throw cannotRead(path, error);
  }
}

/** The answers in it. An error names unknown keys with their line and the closest valid name. */
export async function savedSource(folder: string): Promise<{ source: Source; text: string } | undefined> {
  const text = await savedText(folder);
  return text === undefined ? undefined : { source: yamlSource(text), text };
}

/**
 * Format of a site directory, `version` in fedi.yaml. Raise it when a site can no longer be read by earlier versions of this tool:
 * they refuse it then. The version that raises it converts a site of every earlier format.
 */
export const FORMAT = 1;

const newerSite = (what: string): Problem =>
  new Problem(EXIT.REFUSED, `${what}, and this fedi-setup reads version ${FORMAT}.`, {
    means: 'A newer fedi-setup wrote this site. Nothing was changed.',
    next: 'Use that version of fedi-setup or a later one.',
  });

/** Parses the text of a fedi.yaml. Throws a {@link Problem} that names every invalid line. */
export function yamlSource(text: string): Source {
  let tree: unknown;
  try {
    tree = parseYaml(text);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw new Problem(EXIT.USAGE, `${CONFIG_FILE} line ${error.line}: ${error.message}.`, {
      means: 'The file is not valid YAML. Nothing was changed.',
      next: 'Fix the line and run this again.',
    });
  }
  const source = new Map<string, RawAnswer>();
  if (tree === null) return source;
  if (typeof tree !== 'object' || Array.isArray(tree)) {
    throw new Problem(EXIT.USAGE, `${CONFIG_FILE} is not a list of keys and values.`, {
      next: 'Each line is `key: value`.',
    });
  }

  const keys = ALL_QUESTIONS.filter((question) => !question.secret && question.key !== 'apps').map(
    ({ key }) => key,
  );
  const branches = new Set(
    keys.flatMap((key) =>
      key
        .split('.')
        .slice(0, -1)
        .map((_, i, all) => all.slice(0, i + 1).join('.')),
    ),
  );
  const problems: string[] = [];
  const values: string[] = [];
  const apps: string[] = [];
  const wrong: string[] = [];
  const written = places(text);
  for (const place of written) {
    const key = place.path.join('.');
    const from = `${CONFIG_FILE} line ${place.line}`;
    if (wrong.some((prefix) => key.startsWith(`${prefix}.`))) continue;
    if (key === 'version') {
      const version = place.value && text.slice(place.value.start, place.value.end);
      if (Number(version) > FORMAT) throw newerSite(`${from}: version is ${version}`);
      if (version !== String(FORMAT)) problems.push(`${from}: version must be ${FORMAT}.`);
      continue;
    }
    const value = place.path.reduce<unknown>(
      (node, part) => (node as Record<string, unknown> | null)?.[part],
      tree,
    );
    // YAML parses a block whose lines are all commented out as null.
    if (branches.has(key) && (value === null || (typeof value === 'object' && !Array.isArray(value)))) {
      const isAlias =
        value !== null &&
        Object.keys(value).length > 0 &&
        !written.some(({ path }) => path.join('.').startsWith(`${key}.`));
      if (isAlias) problems.push(`${from}: ${key} is a YAML alias. Write its keys out.`);
      else if (place.path[0] === 'apps' && place.path.length === 2) apps.push(place.path[1] as string);
      continue;
    }
    if (!keys.includes(key)) {
      const siblings = [...keys, ...branches, 'version'].filter(
        (other) => other.split('.').length === place.path.length,
      );
      const near = branches.has(key) ? undefined : nearest(key, siblings);
      problems.push(
        branches.has(key)
          ? `${from}: ${key} needs keys below it, not a value.`
          : `${from}: there is no key ${key}.${near === undefined ? '' : ` Did you mean ${near}?`}`,
      );
      wrong.push(key);
      continue;
    }
    if (value === null || value === '') continue;
    if (!['string', 'number', 'boolean'].includes(typeof value)) {
      problems.push(`${from}: ${key} needs a single value, not a list or keys.`);
      continue;
    }
    const answer = { text: place.text ?? String(value), from: `${from} (${key})` };
    source.set(key, answer);
    const question = ALL_QUESTIONS.find((one) => one.key === key) as Question;
    values.push(...problemIn({ question }, answer.text, answer.from));
  }
  if (problems.length > 0)
    throw gather(
      EXIT.USAGE,
      `${CONFIG_FILE} has invalid lines:`,
      [...problems, ...values],
      'Correct this and run it again. Nothing was changed.',
    );
  if (apps.length > 0) source.set('apps', { text: apps.join(','), from: `${CONFIG_FILE} (apps)` });
  return source;
}
