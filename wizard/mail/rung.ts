/** What a step of the ladder found. */
import { messageOf } from '../problem.ts';
import { quoted } from '../visible.ts';
import { Broken, replyText } from './smtp.ts';
import type { Fault, Reply } from './smtp.ts';

const TITLES = {
  resolve: 'Name of the server',
  connect: 'Connection',
  tls: 'Encryption',
  certificate: 'Certificate',
  greeting: 'Greeting',
  extensions: 'Extensions',
  login: 'Log-in',
  sender: 'Sender',
  recipient: 'Recipient',
  mail: 'Mail',
} as const;

export type RungId = keyof typeof TITLES;

/** A finding, before it has a title. `later`: refused for now only, so the settings may be right. */
export interface Verdict {
  readonly id: RungId;
  readonly state: 'passed' | 'later' | 'failed';
  /** What was observed. */
  readonly seen: string;
  /** What to do; absent if it passed. */
  readonly next?: string;
}

export interface Rung extends Verdict {
  readonly title: string;
}

export const rungOf = (verdict: Verdict): Rung => ({ ...verdict, title: TITLES[verdict.id] });

/** Ends the climb. */
export class Stopped extends Error {
  readonly verdict: Verdict;
  constructor(verdict: Verdict) {
    super(verdict.seen);
    this.verdict = verdict;
  }
}

export const fail = (id: RungId, seen: string, next: string): Stopped =>
  new Stopped({ id, state: 'failed', seen, next });

/** A refusal by the server. Codes from 400 to 499 are temporary (RFC 5321, 4.2.1). */
export function refused(id: RungId, reply: Reply, seen: string, next: string): Stopped {
  const text = `${seen} (${replyText(reply)})`;
  if (reply.code < 400 || reply.code >= 500) return fail(id, text, next);
  return new Stopped({
    id,
    state: 'later',
    seen: text,
    next: 'This refusal is temporary, such as by greylisting or a busy server. Try again later.',
  });
}

const FAULTS: Readonly<Record<Fault, readonly [string, string]>> = {
  silent: [
    'the server sent no complete answer in time',
    'It may be overloaded, or something else listens on that port. Try again later, or another port.',
  ],
  closed: [
    'the server ended the connection',
    'It may not accept the address of this host. Ask your mail provider, or try another port.',
  ],
  garbage: [
    'what answers does not speak SMTP',
    'Compare --mail-host and --mail-port with your provider’s instructions.',
  ],
  endless: [
    'the answer of the server does not end',
    'Mail cannot be sent through such a server. Compare --mail-host and --mail-port with your provider’s instructions.',
  ],
};

/** The Stopped for anything thrown by an SMTP client. */
export function broken(id: RungId, error: unknown): Stopped {
  if (error instanceof Stopped) return error;
  if (!(error instanceof Broken))
    return fail(id, `the connection broke: ${quoted(messageOf(error))}`, FAULTS.closed[1]);
  const [seen, next] = FAULTS[error.fault];
  return fail(id, error.seen === '' ? seen : `${seen}: “${error.seen}”`, next);
}
