/** Removes secrets and personal data from a text that other people will read. */
import { isIPv4, isIPv6 } from 'node:net';

/** A text that must not be shown. */
export interface Known {
  readonly text: string;
  /** What is shown instead, in angle brackets. */
  readonly name: string;
  /** A name: only whole words are hidden. */
  readonly isWord?: true;
}

/** Shorter secrets are hidden as whole words: as a part of other words they would hide half of the text. */
const SHORT = 6;
/** Shorter pieces of a base64 text say too little. */
const LEAST_BASE64 = 8;

const json = (text: string): string => JSON.stringify(text).slice(1, -1);
/** As PHP writes it. */
const slashed = (text: string): string => json(text).replaceAll('/', String.raw`\/`);
const ascii = (text: string): string =>
  text.replaceAll(/[^\u0020-\u007e]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
const percent = (text: string): string =>
  encodeURIComponent(text).replaceAll(
    /[!'()*~._-]/g,
    (one) => `%${one.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
const html = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** The characters of base64 that depend on `text` alone, wherever it begins in what is encoded. */
function inBase64(text: string): string[] {
  const bytes = Buffer.from(text);
  return [0, 1, 2].flatMap((before) => {
    const all = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    const inner = all.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
    if (inner.length < LEAST_BASE64) return [];
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

/** A secret in every form that a program may print it in. */
function formsOf(text: string): string[] {
  const plain = [
    text,
    json(text),
    json(json(text)),
    slashed(text),
    ascii(json(text)),
    ascii(slashed(text)),
    text.replaceAll("'", String.raw`'\''`),
    text.replaceAll("'", String.raw`\'`),
    text.replaceAll('$', '$$$$'),
    json(text).replaceAll('$', String.raw`\$`),
    html(text),
    html(text).replaceAll("'", '&#39;'),
    encodeURIComponent(text),
    encodeURIComponent(text).replaceAll('%20', '+'),
    encodeURI(text),
    new URLSearchParams([['', text]]).toString().slice(1),
    percent(text),
  ];
  return [...new Set([...plain, ...encoded(text)])];
}

const encoded = (text: string): string[] => [Buffer.from(text).toString('hex'), ...inBase64(text)];

const LETTER = /[\p{L}\p{N}]/u;

/** Whether a word may begin there: also after an escape sequence, as in `%40anna` and `\nanna`. */
const mayBegin = (text: string, at: number): boolean =>
  at === 0 ||
  !LETTER.test(text[at - 1] as string) ||
  /^%[\da-f]{2}$/i.test(text.slice(Math.max(0, at - 3), at)) ||
  /^\\[nrt]$/.test(text.slice(Math.max(0, at - 2), at));

/** Keeps the length of a text, as `toLowerCase` does not. */
const lower = (text: string): string => text.replaceAll(/[A-Z]/g, (one) => one.toLowerCase());

/** Characters by which the forms are found. */
const START = 4;

interface Form {
  readonly text: string;
  readonly name: string;
  readonly isWord: boolean;
}

function allForms(known: readonly Known[]): Form[] {
  const forms = new Map<string, Form>();
  const add = (text: string, name: string, isWord: boolean): void => {
    const key = lower(text);
    if (key.trim() !== '' && forms.get(key)?.isWord !== false && (!isWord || !forms.has(key)))
      forms.set(key, { text: key, name, isWord });
  };
  for (const { text, name, isWord = false } of known) {
    // Of a key in PEM, each line is a secret.
    const lines = text.includes('\n')
      ? [text, ...text.split('\n').filter((line) => line.length >= SHORT)]
      : [text];
    for (const line of lines) {
      const isShort = line.trim().length < SHORT;
      if (isWord || isShort) for (const one of [line, line.trim()]) add(one, name, true);
      if (!isShort) for (const one of isWord ? encoded(line) : formsOf(line)) add(one, name, false);
    }
  }
  return [...forms.values()];
}

/** Replaces known texts, the longest first, in one pass, so that no replacement is replaced. Upper case does not count. */
function replaceKnown(known: readonly Known[]): (text: string) => string {
  const byStart = new Map<string, Form[]>();
  for (const form of allForms(known).toSorted((a, b) => b.text.length - a.text.length)) {
    const start = form.text.slice(0, form.text.length < START ? 1 : START);
    byStart.set(start, [...(byStart.get(start) ?? []), form]);
  }
  return (text) => {
    const plain = lower(text);
    let result = '';
    let done = 0;
    for (let at = 0; at < plain.length;) {
      const fits = ({ text: form, isWord }: Form): boolean =>
        plain.startsWith(form, at) &&
        (!isWord || (mayBegin(text, at) && !LETTER.test(text[at + form.length] ?? ' ')));
      const found =
        byStart.get(plain.slice(at, at + START))?.find(fits) ?? byStart.get(plain[at] as string)?.find(fits);
      if (found === undefined) {
        at++;
        continue;
      }
      result += `${text.slice(done, at)}<${found.name}>`;
      at += found.text.length;
      done = at;
    }
    return result + text.slice(done);
  };
}

/** Addresses that say nothing about people: of this host itself, and of private networks. */
const PRIVATE = /^(?:0\.|10\.|127\.|169\.254\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|::1?$|f[cd]|fe[89ab])/i;

const address = (found: string): string =>
  (isIPv4(found) || isIPv6(found)) && !PRIVATE.test(found.replace(/^::ffff:/i, '')) ? '<address>' : found;

const SECRET_NAME =
  '(?:[\\w.-]*(?:passw|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|signature|session|cookie|authorization|salt)[\\w.-]*|code|state|otp|pin)';

/** Patterns of secrets and personal data that are known from their form, in this order. */
const PATTERNS: readonly (readonly [RegExp, string | ((found: string) => string)])[] = [
  [/-----BEGIN [A-Z ]+-----[\s\S]*?(?:-----END [A-Z ]+-----|$)/g, '<key>'],
  [/\b(?:Bearer|Basic|Digest|Negotiate)\s+[\w.~+/=:-]{4,}/gi, '<credentials>'],
  [/(?<=\b[a-z][a-z\d+.-]*:\/\/)[^\s/@"'<>]*@/gi, '<user>@'],
  // Everything after a question mark in a URL or path.
  [/(?<=[\w/%>~.-])\?[^\s"'\\<>]*[=&][^\s"'\\<>]*/g, '?<query>'],
  [new RegExp(String.raw`(?<=\b${SECRET_NAME}\\"\s*(?:=>|:)\s*)\\"[^"\\]*\\"`, 'gi'), '\\"<value>\\"'],
  [
    new RegExp(String.raw`(?<=["']?\b${SECRET_NAME}\\?["']?\s*(?:=>|[:=])\s*)"(?:[^"\\]|\\.)*"?`, 'gi'),
    '"<value>"',
  ],
  [
    new RegExp(String.raw`(?<=["']?\b${SECRET_NAME}["']?\s*(?:=>|[:=])\s*)[^\s"'<>,;&)}\]]+`, 'gi'),
    '<value>',
  ],
  [/(?:acct(?::|%3A))?@?[\w.+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+/gi, '<someone>'],
  // Pages of people, in the addresses of all known servers.
  [/(?<=\/(?:users|u|i\/web\/profile)\/|\/@|\/ap\/users\/)[\w.%-]+/gi, '<someone>'],
  [/(?<=\bhttps?:\/\/)(?:<someone>|[\w-]+(?:\.[\w-]+)+)(?=[:/\s"'),]|$)/gi, '<server>'],
  [/(?<![\w:.])(?:[\da-f]{0,4}:){2,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[\da-f]{1,4})?(?![\w:])/gi, address],
  // Not the version of a library: rails-7.2.2.1.
  [/(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\w)/g, address],
  [/\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]+)?/g, '<token>'],
  // Long and random, but not the digest of an image.
  [/(?<![\w/+-]|sha256:)(?=[\w+/-]*\d)(?=[\w+/-]*[A-Za-z])[\w+/-]{32,}={0,2}(?![\w/+-])/g, random],
];

/** Paths are long too, but their parts are short. */
function random(found: string): string {
  return found.split('/').some((part) => part.length >= 24) ? '<token>' : found;
}

/** @returns a function that replaces known texts, and what looks like a secret, an address or a person */
export function hider(texts: readonly Known[]): (text: string) => string {
  const replace = replaceKnown(texts);
  return (text) =>
    PATTERNS.reduce(
      (rest, [pattern, by]) =>
        typeof by === 'string' ? rest.replaceAll(pattern, by) : rest.replaceAll(pattern, by),
      replace(text),
    );
}
