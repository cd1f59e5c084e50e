/** The conversation about snac as data, so that tests can stop at any of its questions. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { IMAGES, environment, wipe } from '../support/site.ts';
import type { Terminal } from '../support/terminal.ts';

/** The plan, without asking the world for names and time: what it says differs from host to host. */
export const DRY = ['--dry-run', '--skip-check', 'dns,caa,clock'];

export interface Turn {
  readonly question: string;
  /** Text to type, or the entry of a list to take. */
  readonly text?: string;
  readonly entry?: string;
  /** What is not taken, and words of what is said then. */
  readonly wrong?: readonly (readonly [text: string, said: string])[];
}

/** Every question there is for a new site, by way of a mail provider and real certificates. */
export const LONG: readonly Turn[] = [
  { question: 'Which server', entry: 'snac' },
  {
    question: 'Domain of snac',
    text: 'social.example.org',
    wrong: [
      ['', 'Nothing was given.'],
      ['https://social.example.org', 'Only the name, without https:// in front.'],
      ['192.0.2.1', 'This is an IP address.'],
      ['social', 'A domain name has at least one dot.'],
      ['so\u200bcial.example.org', 'an invisible character'],
    ],
  },
  {
    question: 'Your user name on snac',
    text: 'anna',
    wrong: [
      ['anna b', '1 to 30 of a-z, 0-9 and _.'],
      ['oauth', 'is a part of snac’s own addresses'],
    ],
  },
  {
    question: 'Your e-mail address',
    text: 'anna@example.org',
    wrong: [
      ['anna', 'Not an e-mail address.'],
      ['anna@localdomain', 'Behind the @: A domain name has at least one dot.'],
    ],
  },
  { question: 'Outgoing mail', entry: 'Through a mail provider' },
  { question: 'Mail server', text: 'smtp.example.org', wrong: [['smtp example', 'Not a domain name.']] },
  { question: 'Port', text: '587', wrong: [['65536', 'A port is a whole number from 1 to 65535.']] },
  { question: 'Encryption', entry: 'STARTTLS' },
  {
    question: 'User name at the mail server',
    text: 'anna',
    wrong: [['an\u200bna', 'an invisible character']],
  },
  { question: 'Password at the mail server', text: 'correct horse' },
  { question: 'Sender of the mails', text: 'snac@example.org', wrong: [['snac', 'Not an e-mail address.']] },
  { question: 'Certificates', entry: 'Real ones' },
  {
    question: 'E-mail for certificates',
    text: 'ca@example.org',
    wrong: [['ca@', 'Behind the @: Nothing was given.']],
  },
  { question: 'What now?' },
];

/** The shortest way to a server that needs no DNS. */
export const SHORT: readonly Turn[] = [
  ...LONG.slice(0, 4),
  { question: 'Outgoing mail', entry: 'No mail yet' },
  { question: 'Certificates', entry: 'From a root made here' },
];

export async function talk(to: Terminal, turns: readonly Turn[]): Promise<void> {
  for (const { question, text, entry } of turns) {
    if (text !== undefined) await to.answer(question, text);
    else if (entry !== undefined) await to.choose(question, entry);
  }
}

export interface Place {
  /** Path of the installed tool, for tests that start it through a shell. */
  readonly tool: string;
  /** Where the tool is started; a site would be made in `fedi` below it. */
  readonly cwd: string;
  readonly folder: string;
  readonly name: string;
  readonly bind: string;
  /** What a host has settled: everything that is no part of the conversation. */
  readonly env: NodeJS.ProcessEnv;
  remove(): void;
}

/** @param address last number of 127.0.0.x. */
export function place(what: string, address: number): Place {
  const name = `test-term-${what}`;
  const bind = `127.0.0.${address}`;
  wipe(name);
  const cwd = mkdtempSync(join(tmpdir(), `fedi-term-${what}-`));
  return {
    tool: inject('tool'),
    cwd,
    folder: join(cwd, 'fedi'),
    name,
    bind,
    env: environment({ ...IMAGES, FEDI_NAME: name, FEDI_BIND: bind }),
    remove: () => {
      wipe(name);
      rmSync(cwd, { recursive: true, force: true });
    },
  };
}
