/** Env files for Compose. One encoder; its output is read back through Compose before it is used. */
import { reveal } from '../secrets/secret.ts';
import type { Secret } from '../secrets/secret.ts';

/** The variables of one env file. */
export type EnvGroup = Readonly<Record<string, string | number | Secret | undefined>>;

/**
 * Encodes one value: unquoted if safe, else in single quotes, else in double quotes with escapes.
 * Source of the rules: compose-go's dotenv parser, measured on Compose 2.26 and 2.40.
 */
export function encodeEnv(value: string): string {
  if (value.includes('\0')) throw new Error('an environment variable cannot hold NUL');
  if (/^[A-Za-z0-9_.,/:@%+=-]+$/.test(value)) return value;
  if (!/[\r\n\\]/.test(value)) return `'${value.replaceAll("'", String.raw`\'`)}'`;
  const escaped = value
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('$', '\\$')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r');
  return `"${escaped}"`;
}

/** Text of an env file. Undefined variables are omitted: `NAME=` is not the same. */
export function printEnv(group: EnvGroup): string {
  const lines = Object.entries(group).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (!/^[A-Z][A-Z0-9_]*$/.test(name)) throw new Error(`not a variable name: ${name}`);
    return [`${name}=${encodeEnv(typeof value === 'number' ? String(value) : reveal(value))}\n`];
  });
  return `# Written by fedi-setup from fedi.yaml and secrets.json. Your own variables belong in the .local.env beside it.\n${lines.join('')}`;
}
