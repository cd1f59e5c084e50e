/** Parses answers: text → value or error message. Prompts, flags, environment and files use the same functions. */
import { isIP } from 'node:net';
import { normalize } from 'node:path';
import { domainToASCII } from 'node:url';
import { INVISIBLE } from '../visible.ts';
import { partsOf } from './suffix.ts';

export type Parsed<T> = { readonly value: T } | { readonly problem: string };

/** Returns the error message, or undefined if the text is valid. */
export function problemOf(parsed: Parsed<unknown>): string | undefined {
  return 'problem' in parsed ? parsed.problem : undefined;
}

const ok = <T>(value: T): Parsed<T> => ({ value });
const no = (problem: string): Parsed<never> => ({ problem });

/** One line of printable text, trimmed and not empty. */
export function parseLine(text: string, most = 500): Parsed<string> {
  const line = text.trim();
  if (line === '') return no('A value is required.');
  if (INVISIBLE.test(line))
    return no('It contains an invisible character (a line break, a tab, an escape code). Type it by hand.');
  if (line.length > most) return no(`Too long: ${line.length} characters; the limit is ${most}.`);
  return ok(line);
}

/**
 * A bare host name with at least two labels, in lower case, IDN as punycode.
 * Node's domainToASCII does not validate (it accepts `a/b`, `1.2.3`, `ex%41mple`), hence the checks around it.
 */
export function parseDomain(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const typed = line.value.toLowerCase().replace(/\.$/, '');
  if (/^[a-z][a-z0-9+.-]*:\/\//.test(typed)) {
    return no(`Enter only the name, without ${typed.slice(0, typed.indexOf('//') + 2)}.`);
  }
  if (typed.includes('/')) return no('Enter only the name, without a path.');
  if (typed.includes('@')) return no('Enter only the part after the @.');
  if (isIP(typed.replace(/^\[|\]$/g, '')) !== 0) {
    return no('This is an IP address. A fediverse server needs a domain name: every handle contains it.');
  }
  if (typed.includes(':')) return no('Enter only the name, without a port.');
  if (/[\s%?#\\_*]/.test(typed)) return no('Not a domain name. Example: social.example.org');
  const ascii = domainToASCII(typed);
  const labels = ascii.split('.');
  if (ascii === '' || labels.some((label) => !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label))) {
    return no('Not a domain name. Example: social.example.org');
  }
  if (labels.length < 2) return no(`A domain name has at least one dot. Did you mean ${ascii}.example.org?`);
  if (/^\d+$/.test(labels.at(-1) as string)) return no('Not a domain name: its last part is a number.');
  if (ascii.length > 253) return no('Too long: the limit is 253 characters.');
  return ok(ascii);
}

/** A domain for a server. Refuses a public suffix, which nobody can register. */
export function parseSiteDomain(text: string): Parsed<string> {
  const domain = parseDomain(text);
  if ('problem' in domain || partsOf(domain.value).suffix !== domain.value) return domain;
  return no(`${domain.value} is a public suffix. Use a domain under it, such as example.${domain.value}.`);
}

/**
 * A sender: an address, or `Name <address>`. Returns it with the name quoted where RFC 5322 needs that. Refuses a name in other
 * than printable ASCII, since some apps send it without encoding it.
 */
export function parseSender(text: string): Parsed<string> {
  const [, typed = '', address] = /^(.*?)\s*<([^<>]*)>$/.exec(text.trim()) ?? [];
  if (address === undefined && /\S\s+\S+@\S+$/.test(text.trim()) && !/[,;]/.test(text))
    return no('Write the address in angle brackets: My Server <notifications@example.org>');
  const parsed = parseEmail(address ?? text);
  if ('problem' in parsed || address === undefined) return parsed;
  const name = /^"(.*)"$/.exec(typed.trim())?.[1] ?? typed.trim();
  if (name === '') return parsed;
  if (!/^[\x20-\x7e]{1,100}$/.test(name) || /["\\]/.test(name))
    return no(
      'The name may contain only unaccented letters, digits and punctuation, without quotation marks.',
    );
  return ok(senderOf(name, parsed.value));
}

/** `Name <address>`, the name in quotes where RFC 5322 needs them. */
export const senderOf = (name: string, address: string): string =>
  `${/^[\w !#$%&'*+/=?^`{|}~-]+$/.test(name) ? name : `"${name}"`} <${address}>`;

/** The two parts of a sender that {@link parseSender} returned. */
export function senderParts(sender: string): { readonly name: string | undefined; readonly address: string } {
  const [, quoted, plain, address] = /^(?:"(.*)"|(.*)) <(.*)>$/.exec(sender) ?? [];
  return address === undefined ? { name: undefined, address: sender } : { name: quoted ?? plain, address };
}

/** An e-mail address without display name, quoting or spaces, nor # ` { }, which a Caddyfile cannot contain. */
export function parseEmail(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const at = line.value.lastIndexOf('@');
  const local = line.value.slice(0, at);
  if (at < 1) return no('Not an e-mail address. Example: you@example.org');
  if (local.includes('@')) return no('Enter a single e-mail address.');
  if (/^mailto:/i.test(local)) return no('Enter only the address, without mailto:.');
  if (
    !/^[a-zA-Z0-9.!$&'*+/=?^_|~-]{1,64}$/.test(local) ||
    local.startsWith('.') ||
    local.endsWith('.') ||
    local.includes('..')
  ) {
    return no('The part before the @ is not valid in an e-mail address.');
  }
  const host = line.value.slice(at + 1);
  if (host === 'localhost') return ok(`${local}@localhost`);
  const domain = parseDomain(host);
  return 'problem' in domain ? no(`After the @: ${domain.problem}`) : ok(`${local}@${domain.value}`);
}

/** A host to connect to: a name (one label is enough) or an IP address. */
export function parseHost(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  // Brackets belong to URLs; here an IPv6 address is whole.
  const host = line.value.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  if (host.includes('%')) return no('A link-local address (fe80::…%eth0) has no meaning in a container.');
  if (isIP(host) !== 0 || /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(host)) return ok(host);
  return parseDomain(host);
}

/** Whether a name or address is the machine that looks it up. */
export const isLoopback = (host: string): boolean =>
  /^(localhost|.+\.localhost|ip6-(localhost|loopback)|127\..+|0\.0\.0\.0|::1?)$/.test(host);

/** A host that containers connect to. Refuses localhost, which is the container itself there. */
export function parseOuterHost(text: string): Parsed<string> {
  const host = parseHost(text);
  if ('problem' in host || !isLoopback(host.value)) return host;
  return no(
    `In a container, ${host.value} is the container itself. Use a name or address of this host (\`ip -4 address\`).`,
  );
}

/** 1 to 65535. */
export function parsePort(text: string): Parsed<number> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const port = Number(line.value);
  if (!/^\d{1,5}$/.test(line.value) || port < 1 || port > 65_535)
    return no('A port is a whole number from 1 to 65535.');
  return ok(port);
}

/** Returns an IPv6 address in the form of RFC 5952. */
export function shortIPv6(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

/** An IP address of this host to listen on. */
export function parseBind(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  if (line.value.includes('%'))
    return no('A link-local address (fe80::…%eth0) cannot be reached from elsewhere. Use another address.');
  if (isIP(line.value) === 0) return no('Not an IP address. 0.0.0.0 means every address of this host.');
  // Canonical spelling, so that addresses can be compared.
  return ok(isIP(line.value) === 6 ? shortIPv6(line.value) : line.value);
}

/** An https:// address. */
export function parseHttps(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const url = URL.canParse(line.value) ? new URL(line.value) : undefined;
  if (url?.protocol !== 'https:' || url.username !== '' || url.hash !== '')
    return no('Not an https:// address.');
  // Caddy's configuration contains it.
  if (!/^[A-Za-z0-9._:/@+=~!$&'*?^|%[\]-]+$/.test(url.href))
    return no(
      'It contains a character that this URL cannot have, such as a comma, a semicolon or a bracket.',
    );
  return ok(url.href);
}

/** A bare file name. */
export function parseFileName(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  return /^[\w-][\w.-]{0,99}$/.test(line.value)
    ? line
    : no('Enter only the file name: letters, digits, dots, - and _.');
}

/** System directories: the first group with everything below them, the second only themselves. */
const OF_THE_SYSTEM =
  /^\/(?:(?:bin|boot|dev|etc|lib\w*|proc|sbin|sys|usr|var\/lib\/(?:containerd|docker))(?:\/|$)|(?:home|opt|root|run|tmp|var|var\/(?:cache|lib|log|spool|tmp))$)/;

/** An absolute path of this host that Docker accepts as a mount source. */
export function parseFolder(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  if (!line.value.startsWith('/')) return no('Not an absolute path: it must start with /.');
  if (/[:,"'\\$]/.test(line.value))
    return no('Docker does not accept a colon, comma, quote, $ or backslash in a path.');
  const path = normalize(line.value).replace(/\/$/, '');
  if (path === '') return no('Data cannot be stored in /.');
  if (OF_THE_SYSTEM.test(path))
    return no(
      `Data cannot be stored in ${path}: the app’s user would become the owner of a system directory.`,
    );
  return ok(path);
}

/** An absolute path of a file of this host. */
export function parsePath(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  if (!line.value.startsWith('/')) return no('Not an absolute path: it must start with /.');
  if (line.value.endsWith('/')) return no('This is a directory; enter the path of a file.');
  return ok(normalize(line.value));
}

/** An IP address, a network such as 10.0.0.0/8, or `private_ranges`. */
export function parseNetwork(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  if (line.value === 'private_ranges') return line;
  const [address = '', bits, ...rest] = line.value.split('/');
  const most = isIP(address) === 4 ? 32 : 128;
  if (
    isIP(address) === 0 ||
    rest.length > 0 ||
    (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > most))
  ) {
    return no('Not an IP address or network. Examples: 192.0.2.7, 10.0.0.0/8, private_ranges.');
  }
  return line;
}

/** registry/path:tag in Docker's grammar (distribution/reference), without a digest. */
const IMAGE =
  /^(?:(?:localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9-]+(?=:\d))(?::\d+)?\/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/** An image reference with a tag, as for `docker pull`. Refuses `latest`, which changes without notice. */
export function parseImage(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  if (!IMAGE.test(line.value)) {
    return no('Not an image reference with a tag. Example: docker.io/library/caddy:2.11.4');
  }
  if (line.value.endsWith(':latest')) return no('`latest` changes without notice. Name a version.');
  return ok(line.value);
}

/** A Compose project name. Refuses a single letter: engine 20.10 cannot name volumes with it. */
export function parseName(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  if (!/^[a-z][a-z0-9_-]{1,39}$/.test(line.value)) {
    return no('Use 2 to 40 characters: a-z, 0-9, - and _, starting with a letter.');
  }
  return ok(line.value);
}

/** One of a few words. */
export function parseChoice<T extends string>(choices: readonly T[]): (text: string) => Parsed<T> {
  return (text) => {
    const word = text.trim().toLowerCase();
    const hit = choices.find((choice) => choice === word);
    if (hit !== undefined) return ok(hit);
    const near = nearest(word, choices);
    return no(`Choose one of ${choices.join(', ')}.${near === undefined ? '' : ` Did you mean ${near}?`}`);
  };
}

/** A choice with its label. */
export interface Choice<T extends string> {
  readonly value: T;
  readonly name: string;
}

/** The `choices` and the `parse` of a question whose answer is one of a few words. */
export const oneOf = <T extends string>(
  choices: readonly Choice<T>[],
): { choices: readonly Choice<T>[]; parse: (text: string) => Parsed<T> } => ({
  choices,
  parse: parseChoice(choices.map(({ value }) => value)),
});

/** A password for an account here, valid in every login form. bcrypt uses at most 72 bytes. */
export function parseNewPassword(text: string): Parsed<string> {
  if (text === '') return no('A value is required.');
  if (INVISIBLE.test(text))
    return no('It contains an invisible character (a line break, a tab, an escape code).');
  if (text !== text.trim()) return no('It starts or ends with a space, which login forms may remove.');
  if ([...text].length < 8) return no('Use at least 8 characters.');
  if (Buffer.byteLength(text) > 72) return no('Use at most 72 bytes.');
  return new Set(text).size < 4 ? no('Use more different characters.') : ok(text);
}

/** A password of another service, unchanged. Refuses NUL, which environment variables cannot contain. */
export function parsePassword(text: string): Parsed<string> {
  if (text === '') return no('A value is required.');
  if (text.includes('\0')) return no('It contains a NUL character, which environment variables cannot.');
  if (Buffer.byteLength(text) > 8192) return no('Too long: the limit is 8 kB.');
  return ok(text);
}

/** Returns the candidate closest to a mistyped word, or undefined if none is close (optimal string alignment). */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: { candidate: string; distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate);
    if (
      distance <= Math.max(1, Math.floor(candidate.length / 3)) &&
      distance < (best?.distance ?? Infinity)
    ) {
      best = { candidate, distance };
    }
  }
  return best?.candidate;
}

function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const cell = (i: number, j: number): number => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    rows[i] = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(cell(i - 1, j) + 1, cell(i, j - 1) + 1, cell(i - 1, j - 1) + (same ? 0 : 1));
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, cell(i - 2, j - 2) + 1);
      (rows[i] as number[])[j] = cost;
    }
  }
  return cell(a.length, b.length);
}

/** A whole number of a range; inclusive. */
export const parseWhole =
  (from: number, to: number) =>
  (text: string): Parsed<number> => {
    const value = Number(text.trim());
    return /^\d+$/.test(text.trim()) && value >= from && value <= to
      ? { value }
      : { problem: `Not a whole number from ${from} to ${to}.` };
  };
