/** What must not be in a support file: the secrets of a site, and the answers that name people, servers and places. */
import { readFile, readdir } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { parseEnvFile } from '../answers/envfile.ts';
import { ALL_QUESTIONS } from '../answers/questions.ts';
import { resolve } from '../answers/resolve.ts';
import { savedSource } from '../answers/sources.ts';
import { runningAnswers } from '../apply/generations.ts';
import { APP_IDS } from '../apps/index.ts';
import { keysIn } from '../config/backup.ts';
import { partsOf } from '../config/suffix.ts';
import type { Answers, Question, Value } from '../config/question.ts';
import type { Store } from '../secrets/store.ts';
import type { Known } from './hide.ts';

/** Keys of texts that may be shown; choices and numbers may too. */
const PLAIN = /^(?:apps|name|bind|images\..+|apps\.[^.]+\.(?:release|locale))$/;
/** Names of variables with a secret in them. */
const SECRET_VARIABLE = /PASS|SECRET|KEY|TOKEN|SALT|URL|LOGIN|USERNAME/;
/** Shorter values of the administrator's own variables are words such as `true`. */
const LEAST = 6;

/** Whether the value of an answer may be shown. */
export const isPlain = ({ key, choices, secret }: Question, value: Value): boolean =>
  secret !== true && (choices !== undefined || typeof value === 'number' || PLAIN.test(key));

/** The answers that the site runs with, and those that are in fedi.yaml now. */
export async function answersIn(folder: string): Promise<{ running: Answers; saved: Answers }> {
  const running = (await runningAnswers(folder).catch(() => undefined)) ?? {};
  const source = (await savedSource(folder).catch(() => undefined))?.source;
  const saved = source === undefined ? {} : (await resolve([source])).answers;
  return { running, saved };
}

const word = (text: string, name: string): Known => ({
  text,
  name,
  ...(/^[\p{L}\p{N}_-]{1,11}$/u.test(text) ? { isWord: true as const } : {}),
});

/** A text, and the servers, users and passwords in it. */
function withParts(text: string, name: string): Known[] {
  const found = [word(text, name)];
  for (const [url = ''] of text.matchAll(/[a-z][a-z\d+.-]*:\/\/[^\s,]+/gi)) {
    if (!URL.canParse(url)) continue;
    const { username, password, hostname: host } = new URL(url);
    for (const part of [username, password, host])
      if (part !== '' && !APP_IDS.includes(part) && part !== 'default') found.push(word(decoded(part), name));
  }
  for (const [one] of text.matchAll(/(?<![\p{L}\p{N}])(?:[\p{L}\p{N}_-]+\.)+\p{L}[\p{L}\p{N}-]+/gu))
    found.push(word(one, name));
  for (const [one] of text.matchAll(/[\w.+-]+(?=@)/g)) found.push(word(one, name));
  return found;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A default that depends on nothing else says nothing about the site. */
function isDefault({ initial }: Question, value: Value): boolean {
  try {
    return initial?.({}) === value;
  } catch {
    return false;
  }
}

function ofAnswers(answers: Answers): Known[] {
  return ALL_QUESTIONS.flatMap((question): Known[] => {
    const value = answers[question.key];
    if (value === undefined || value === '' || isPlain(question, value)) return [];
    const text = String(value);
    if (isDefault(question, value) || APP_IDS.includes(text)) return [];
    const { registered } = partsOf(text);
    return [
      ...(question.key === 'backup.s3-key'
        ? Object.values(keysIn(text)).map((one) => word(one, question.key))
        : []),
      ...withParts(text, question.key),
      ...(registered === undefined ? [] : [word(registered, question.key)]),
    ];
  });
}

/** Values in the env files: of the administrator, and those that are derived from secrets. */
async function ofVariables(folder: string): Promise<Known[]> {
  const names = (await readdir(join(folder, 'env')).catch(() => [])).filter((name) => name.endsWith('.env'));
  const texts = await Promise.all(
    names.map(async (name) => ({
      own: name.endsWith('.local.env'),
      text: await readFile(join(folder, 'env', name), 'utf8').catch(() => ''),
    })),
  );
  return texts.flatMap(({ own, text }) =>
    parseEnvFile(text).flatMap(({ name, value }) =>
      value.length >= LEAST && (own || SECRET_VARIABLE.test(name)) && !APP_IDS.includes(value)
        ? withParts(value, name)
        : [],
    ),
  );
}

/** Secrets first: their names are the most useful ones. */
export async function knownOf(folder: string, store: Store): Promise<Known[]> {
  const { running, saved } = await answersIn(folder);
  const home = homedir();
  return [
    // Without the bucket that some names end with.
    ...store.everyValue().flatMap(({ name, value }) => withParts(value.reveal(), name.replace(/:.*/, ''))),
    ...ofAnswers(running),
    ...ofAnswers(saved),
    ...(await ofVariables(folder)),
    { text: folder, name: 'site directory' },
    ...(home.length > 1 && home !== '/root' ? [{ text: home, name: 'home' }] : []),
    ...(['localhost', '', ...APP_IDS].includes(hostname()) ? [] : [word(hostname(), 'host')]),
  ];
}
