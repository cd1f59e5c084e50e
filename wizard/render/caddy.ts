/** Caddy's files: our snippets with `{$NAME}` filled in. One encoder; no value can become a directive. */

const VARIABLE = /\{\$([A-Z][A-Z0-9_]*)(?::([^}]*))?\}/g;

/**
 * Checks a value for a Caddyfile token: letters, digits and the punctuation of host names, URLs and e-mail addresses.
 * Encodes nothing; throws on everything else (quotes, braces, white space, comments), which no value needs.
 */
export function encodeCaddy(value: string): string {
  if (!/^[A-Za-z0-9._:/@+=~!$&'*?^|%[\]-]+$/.test(value) || value.includes('{$')) {
    throw new Error(`a Caddyfile cannot hold this value safely: ${JSON.stringify(value)}`);
  }
  return value;
}

/** Fills in a snippet. */
export function fillCaddy(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(VARIABLE, (_, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`a Caddy snippet uses {$${name}}, which nobody sets`);
    // A value with a scheme, port or path would change the meaning of the site address.
    if (name.endsWith('_DOMAIN') && !/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(value)) {
      throw new Error(`not a domain for a Caddyfile: ${JSON.stringify(value)}`);
    }
    return encodeCaddy(value);
  });
}
