/** Reads the places answers are given in: flags, environment, answers file, fedi.yaml. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text as readStream } from 'node:stream/consumers';
import { cannotRead } from '../atomic.ts';
import { EXIT, Problem, codeOf, gather, messageOf } from '../problem.ts';
import { YamlError, parseYaml, places } from '../yaml.ts';
import { nearest } from '../config/parse.ts';
import { parseEnvFile, unreadLines } from './envfile.ts';
import { ALL_QUESTIONS } from './questions.ts';
import { keyOfFlag, keyOfVariable } from './resolve.ts';
import type { Given, Source } from './resolve.ts';

export const CONFIG_FILE = 'fedi.yaml';

/** A file named on the command line; `-` is standard input. */
export async function readNamed(path: string, what: string): Promise<string> {
  try {
    return path === '-' ? await readStream(process.stdin) : await readFile(path, 'utf8');
  } catch (error) {
    throw new Problem(EXIT.USAGE, `${what} ${path} cannot be read: ${messageOf(error)}`, {
      next: 'Name a file you can read, or - for standard input.',
      cause: error,
    });
  }
}

/** Flags as `name → text`. A flag that ends in `-file` is read now; one trailing newline is not part of a secret. */
export async function flagSource(
  flags: Readonly<Record<string, string>>,
  others: readonly string[] = [],
): Promise<Source> {
  const source = new Map<string, Given>();
  const problems: string[] = [];
  for (const [flag, text] of Object.entries(flags)) {
    const found = keyOfFlag(flag, others);
    if ('problem' in found) {
      problems.push(found.problem.replace(/(no|mean) (\S)/g, '$1 --$2'));
      continue;
    }
    const value = found.question.secret ? (await readNamed(text, `--${flag}`)).replace(/\r?\n$/, '') : text;
    source.set(found.key, { text: value, from: `--${flag}` });
  }
  if (problems.length > 0)
    throw gather(EXIT.USAGE, 'These flags do not exist:', problems, '`fedi-setup --help` lists them.');
  return source;
}

/** `FEDI_…` variables of a process environment. An empty one counts as not given. */
export function environmentSource(environment: NodeJS.ProcessEnv): Source {
  return variablesSource(
    Object.entries(environment)
      .filter(([name, value]) => name.startsWith('FEDI_') && value !== undefined && value !== '')
      .map(([name, value]) => ({ name, value: value as string, from: name })),
    'These environment variables are not answers of ours:',
  );
}

/** An answers file in the form of env.example. */
export async function answersFileSource(path: string): Promise<Source> {
  const text = (await readNamed(path, 'The answers file')).replace(/^\ufeff/, '');
  const lost = unreadLines(text);
  if (lost.length > 0) {
    throw gather(
      EXIT.USAGE,
      `${path} has lines that say nothing:`,
      lost.map((line) => `${path} line ${line} is not NAME=value.`),
      'Mend them, or put a # in front. Nothing was changed.',
    );
  }
  return variablesSource(
    parseEnvFile(text)
      .filter(({ value }) => value !== '')
      .map(({ name, value, line }) => ({ name, value, from: `${path} line ${line} (${name})` })),
    `${path} holds names that are not answers of ours:`,
  );
}

function variablesSource(variables: { name: string; value: string; from: string }[], title: string): Source {
  const source = new Map<string, Given>();
  const problems: string[] = [];
  for (const { name, value, from } of variables) {
    const found = keyOfVariable(name);
    if ('problem' in found) problems.push(from === name ? found.problem : `${from}: ${found.problem}`);
    else source.set(found.key, { text: value, from });
  }
  if (problems.length > 0) throw gather(EXIT.USAGE, title, problems, 'env.example lists them all.');
  return source;
}

/** Text of the fedi.yaml of a site directory; undefined when there is none. */
export async function savedText(folder: string): Promise<string | undefined> {
  const path = join(folder, CONFIG_FILE);
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return undefined;
    throw cannotRead(path, error);
  }
}

/** Its answers. Unknown keys are named with line and nearest right name. */
export async function savedSource(folder: string): Promise<{ source: Source; text: string } | undefined> {
  const text = await savedText(folder);
  return text === undefined ? undefined : { source: yamlSource(text), text };
}

/** The answers in the text of a fedi.yaml. Throws a {@link Problem} that names every line that is wrong. */
export function yamlSource(text: string): Source {
  let tree: unknown;
  try {
    tree = parseYaml(text);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw new Problem(EXIT.USAGE, `${CONFIG_FILE} line ${error.line}: ${error.message}.`, {
      means: 'The file is not valid YAML. Nothing was changed.',
      next: 'Mend the line and run this again.',
    });
  }
  const source = new Map<string, Given>();
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
  const apps: string[] = [];
  const wrong: string[] = [];
  for (const place of places(text)) {
    const key = place.path.join('.');
    const from = `${CONFIG_FILE} line ${place.line}`;
    if (wrong.some((prefix) => key.startsWith(`${prefix}.`))) continue;
    if (key === 'version') {
      if (place.value === undefined || text.slice(place.value.start, place.value.end) !== '1') {
        problems.push(`${from}: version has to be 1.`);
      }
      continue;
    }
    const value = place.path.reduce<unknown>(
      (node, part) => (node as Record<string, unknown> | null)?.[part],
      tree,
    );
    // A block whose lines are all commented out is null to YAML.
    if (branches.has(key) && (value === null || (typeof value === 'object' && !Array.isArray(value)))) {
      if (place.path[0] === 'apps' && place.path.length === 2) apps.push(place.path[1] as string);
      continue;
    }
    if (!keys.includes(key)) {
      const siblings = [...keys, ...branches, 'version'].filter(
        (other) => other.split('.').length === place.path.length,
      );
      const near = branches.has(key) ? undefined : nearest(key, siblings);
      problems.push(
        branches.has(key)
          ? `${from}: ${key} takes keys of its own below it.`
          : `${from}: there is no key ${key}.${near === undefined ? '' : ` Did you mean ${near}?`}`,
      );
      wrong.push(key);
      continue;
    }
    if (value === null || value === '') continue;
    if (!['string', 'number', 'boolean'].includes(typeof value)) {
      problems.push(`${from}: ${key} takes one value, not a list or keys.`);
      continue;
    }
    source.set(key, { text: place.text ?? String(value), from: `${from} (${key})` });
  }
  if (problems.length > 0)
    throw gather(
      EXIT.USAGE,
      `${CONFIG_FILE} has lines we do not understand:`,
      problems,
      'Mend them and run this again. Nothing was changed.',
    );
  if (apps.length > 0) source.set('apps', { text: apps.join(','), from: `${CONFIG_FILE} (apps)` });
  return source;
}
