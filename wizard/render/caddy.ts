/** Caddy's files: snippets of ours with `{$NAME}` filled in. One encoder; no value can become a directive. */

const VARIABLE = /\{\$([A-Z][A-Z0-9_]*)(?::([^}]*))?\}/g;

/**
 * One value as it may stand in a Caddyfile token: letters, digits and the marks of host names, addresses and e-mail
 * addresses. Nothing is encoded; everything else (quotes, braces, white space of any kind, comments) is refused, since
 * nothing that we put there needs it.
 */
export function encodeCaddy(value: string): string {
  if (!/^[A-Za-z0-9._:/@+=~!$&'*?^|%[\]-]+$/.test(value) || value.includes('{$')) {
    throw new Error(`a Caddyfile cannot hold this value safely: ${JSON.stringify(value)}`);
  }
  return value;
}

/** Fills in one of our snippets. */
export function fillCaddy(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(VARIABLE, (_, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`a Caddy snippet uses {$${name}}, which nobody sets`);
    // Where a domain belongs, an address with a scheme, port or path would mean something else.
    if (name.endsWith('_DOMAIN') && !/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(value)) {
      throw new Error(`not a domain for a Caddyfile: ${JSON.stringify(value)}`);
    }
    return encodeCaddy(value);
  });
}
