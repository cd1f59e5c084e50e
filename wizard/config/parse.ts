/** Text → value or a sentence. The same function serves prompt, flag, environment and file. */
import { isIP } from 'node:net';
import { normalize } from 'node:path';
import { domainToASCII } from 'node:url';
import { INVISIBLE } from '../visible.ts';
import { partsOf } from './suffix.ts';

export type Parsed<T> = { readonly value: T } | { readonly problem: string };

/** The `problem` of a parse, or undefined when the text was fine. */
export function problemOf(parsed: Parsed<unknown>): string | undefined {
  return 'problem' in parsed ? parsed.problem : undefined;
}

const ok = <T>(value: T): Parsed<T> => ({ value });
const no = (problem: string): Parsed<never> => ({ problem });

/** One printable line, trimmed, not empty. */
export function parseLine(text: string, most = 500): Parsed<string> {
  const line = text.trim();
  if (line === '') return no('Nothing was given.');
  if (INVISIBLE.test(line))
    return no('It holds an invisible character (a line break, a tab, an escape code). Type it by hand.');
  if (line.length > most) return no(`It is ${line.length} characters long; ${most} is the most.`);
  return ok(line);
}

/**
 * A bare host name with at least two labels, lower case, IDN as punycode.
 * Node's domainToASCII is no validator (it takes `a/b`, `1.2.3`, `ex%41mple`), hence the checks around it.
 */
export function parseDomain(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const given = line.value.toLowerCase().replace(/\.$/, '');
  if (/^[a-z][a-z0-9+.-]*:\/\//.test(given)) {
    return no(`Only the name, without ${given.slice(0, given.indexOf('//') + 2)} in front.`);
  }
  if (given.includes('/')) return no('Only the name, without a path.');
  if (given.includes('@')) return no('Only the part behind the @.');
  if (isIP(given.replace(/^\[|\]$/g, '')) !== 0) {
    return no('This is an IP address. A fediverse server needs a name: it is half of every handle.');
  }
  if (given.includes(':')) return no('Only the name, without a port.');
  if (/[\s%?#\\_*]/.test(given)) return no('Not a domain name. Example: social.example.org');
  const ascii = domainToASCII(given);
  const labels = ascii.split('.');
  if (ascii === '' || labels.some((label) => !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label))) {
    return no('Not a domain name. Example: social.example.org');
  }
  if (labels.length < 2) return no(`A domain name has at least one dot. Did you mean ${ascii}.example.org?`);
  if (/^\d+$/.test(labels.at(-1) as string)) return no('Not a domain name: its last part is a number.');
  if (ascii.length > 253) return no('It is longer than 253 characters.');
  return ok(ascii);
}

/** A domain for a server: one that somebody can own. */
export function parseSiteDomain(text: string): Parsed<string> {
  const domain = parseDomain(text);
  if ('problem' in domain || partsOf(domain.value).suffix !== domain.value) return domain;
  return no(
    `${domain.value} belongs to everybody: names are registered below it. Example: social.example.${domain.value}`,
  );
}

/** An address as mail servers take it: no display name, no quoting, no spaces; nor # ` { }, which a Caddyfile cannot hold. */
export function parseEmail(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const at = line.value.lastIndexOf('@');
  const local = line.value.slice(0, at);
  if (at < 1) return no('Not an e-mail address. Example: you@example.org');
  if (
    !/^[a-zA-Z0-9.!$&'*+/=?^_|~-]{1,64}$/.test(local) ||
    local.startsWith('.') ||
    local.endsWith('.') ||
    local.includes('..')
  ) {
    return no('The part before the @ is not one that mail servers take.');
  }
  const host = line.value.slice(at + 1);
  if (host === 'localhost') return ok(`${local}@localhost`);
  const domain = parseDomain(host);
  return 'problem' in domain ? no(`Behind the @: ${domain.problem}`) : ok(`${local}@${domain.value}`);
}

/** A host to connect to: a name (one label is enough) or an IP address. */
export function parseHost(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const host = line.value.toLowerCase();
  if (isIP(host) !== 0 || /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(host)) return ok(host);
  return parseDomain(host);
}

/** A host that containers connect to: to them localhost is the container itself. */
export function parseOuterHost(text: string): Parsed<string> {
  const host = parseHost(text);
  if ('problem' in host || !/^(localhost|.+\.localhost|127\..+|0\.0\.0\.0|::1?)$/.test(host.value))
    return host;
  return no(
    `To a container ${host.value} is the container itself. Give a name or address of this host (\`ip -4 address\`).`,
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

/** An IPv6 address as RFC 5952 writes it. */
export function shortIPv6(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

/** An address of this host to listen on. */
export function parseBind(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  if (isIP(line.value) === 0) return no('Not an IP address. 0.0.0.0 means every address of this host.');
  // One spelling an address, so that two can be compared.
  return ok(isIP(line.value) === 6 ? shortIPv6(line.value) : line.value);
}

/** An https:// address. */
export function parseHttps(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const url = URL.canParse(line.value) ? new URL(line.value) : undefined;
  if (url?.protocol !== 'https:' || url.username !== '' || url.hash !== '')
    return no('Not an https:// address.');
  return ok(url.href);
}

/** A bare file name. */
export function parseFileName(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  return /^[\w-][\w.-]{0,99}$/.test(line.value)
    ? line
    : no('Only the name of the file: letters, digits, dots, - and _.');
}

/** Whole trees, and directories in which others have theirs. */
const OF_THE_SYSTEM =
  /^\/(?:(?:bin|boot|dev|etc|lib\w*|proc|sbin|sys|usr|var\/lib\/(?:containerd|docker))(?:\/|$)|(?:home|opt|root|run|tmp|var|var\/(?:cache|lib|log|spool|tmp))$)/;

/** An absolute path of this host as Docker takes it in a mount. */
export function parseFolder(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  if (!line.value.startsWith('/')) return no('Not an absolute path: one begins with /.');
  if (/[:,"'\\$]/.test(line.value))
    return no('Docker takes no path with a colon, comma, quote, $ or backslash.');
  const path = normalize(line.value).replace(/\/$/, '');
  if (path === '') return no('The top of all directories is not a place for data.');
  if (OF_THE_SYSTEM.test(path))
    return no(`${path} is the system’s and not a place for data: it would be given to the app’s user.`);
  return ok(path);
}

/** An absolute path of a file of this host. */
export function parsePath(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  if (!line.value.startsWith('/')) return no('Not an absolute path: one begins with /.');
  if (line.value.endsWith('/')) return no('It names a directory; a file is wanted.');
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

/** registry/path:tag as Docker's own grammar has it (distribution/reference), without a digest. */
const IMAGE =
  /^(?:(?:localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9-]+(?=:\d))(?::\d+)?\/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/** An image reference with a tag, as `docker pull` takes it. `latest` is refused: it moves by itself. */
export function parseImage(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  if (!IMAGE.test(line.value)) {
    return no('Not an image reference with a tag. Example: docker.io/library/caddy:2.11.4');
  }
  if (line.value.endsWith(':latest')) return no('`latest` moves by itself. Name the version.');
  return ok(line.value);
}

/** A Compose project name. One letter is refused: engine 20.10 cannot name its volumes then. */
export function parseName(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  if (!/^[a-z][a-z0-9_-]{1,39}$/.test(line.value)) {
    return no(
      '2 to 40 of a-z, 0-9, - and _, a letter first: it is in front of every volume and container name.',
    );
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
    return no(`It is one of ${choices.join(', ')}.${near === undefined ? '' : ` Did you mean ${near}?`}`);
  };
}

/** A password for an account here: what every log-in form takes. 72 bytes are what bcrypt looks at. */
export function parseNewPassword(text: string): Parsed<string> {
  if (text === '') return no('Nothing was given.');
  if (INVISIBLE.test(text))
    return no('It holds an invisible character (a line break, a tab, an escape code).');
  if (text !== text.trim()) return no('It begins or ends with a space, which log-in forms may drop.');
  if ([...text].length < 8) return no('8 characters at least.');
  return Buffer.byteLength(text) > 72 ? no('72 bytes at most.') : ok(text);
}

/** A password somebody else made: taken as it is. Only NUL cannot be carried by any environment. */
export function parsePassword(text: string): Parsed<string> {
  if (text === '') return no('Nothing was given.');
  if (text.includes('\0')) return no('It holds a NUL character, which no environment variable can.');
  if (Buffer.byteLength(text) > 8192) return no('It is longer than 8 kB.');
  return ok(text);
}

/** The candidate most like a mistyped word, or undefined when none is close (optimal string alignment distance). */
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
