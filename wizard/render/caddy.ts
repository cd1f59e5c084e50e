/** Caddy's files: snippets of ours with `{$NAME}` filled in. One encoder; no value can become a directive. */

const VARIABLE = /\{\$([A-Z][A-Z0-9_]*)(?::([^}]*))?\}/g;

/**
 * One value as it may stand in a Caddyfile token. Quotes, backslashes, braces (placeholders), control characters and a
 * leading `#` are not encoded but refused: nothing that we put there needs them.
 */
export function encodeCaddy(value: string): string {
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f"`\\{}<>]/.test(value))
    throw new Error(`a Caddyfile cannot hold this value safely: ${JSON.stringify(value)}`);
  if (/[\s#]/.test(value) || value === '')
    throw new Error(`a Caddyfile token cannot hold this value: ${JSON.stringify(value)}`);
  return value;
}

/** Fills in one of our snippets. */
export function fillCaddy(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(VARIABLE, (_, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`a Caddy snippet uses {$${name}}, which nobody sets`);
    return encodeCaddy(value);
  });
}
