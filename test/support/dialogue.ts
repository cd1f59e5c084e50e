/** The wizard in this process; calls answer its prompts ({@link file://./prompts.ts}), which is faster than a terminal. */
import { setImmediate as turn } from 'node:timers/promises';
import { vi } from 'vitest';
import { main } from '../../wizard/cli/main.ts';
import type { Turn } from './conversations.ts';
import { answered, forgetPrompts, pendingQuestion } from './prompts.ts';
import type { Pending } from './prompts.ts';

const EVENTS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'uncaughtException'];
/** Listeners that existed before. */
const others = new Map(EVENTS.map((event) => [event, process.listeners(event as NodeJS.Signals)]));

export interface Dialogue {
  /** Waits for that question. Throws if another one is asked or the run ends. */
  asked(question: string): Promise<Pending>;
  /** The current question. */
  next(): Promise<Pending>;
  /** Text or a part of an entry's name, then Enter. Resolves to the error message, if any. */
  answer(question: string, text: string): Promise<string | undefined>;
  turns(turns: readonly Turn[]): Promise<void>;
  /** Ctrl-C. Resolves to the exit code. */
  leave(): Promise<number>;
  /** Everything written so far, with single spaces. */
  words(): string;
  /** The same with line breaks. */
  written(): string;
  /** How often that question was answered (with that answer, if set). */
  times(question: string, answer?: string): number;
}

/** @param env FEDI_… variables; there are no others. */
export function dialogue(argv: readonly string[], env: NodeJS.ProcessEnv = {}): Dialogue {
  endDialogue();
  for (const name of Object.keys(process.env)) if (name.startsWith('FEDI_')) vi.stubEnv(name, undefined);
  for (const [name, value] of Object.entries(env)) if (name.startsWith('FEDI_')) vi.stubEnv(name, value);
  for (const stream of [process.stdin, process.stdout, process.stderr])
    Object.defineProperty(stream, 'isTTY', { value: true, configurable: true });
  Object.defineProperty(process.stderr, 'columns', { value: 500, configurable: true });
  let text = '';
  for (const stream of [process.stdout, process.stderr])
    vi.spyOn(stream, 'write').mockImplementation((chunk) => {
      text += String(chunk);
      return true;
    });
  let code: number | undefined;
  const run = main(argv).then((exit) => {
    code = exit;
    return exit;
  });

  const next = async (): Promise<Pending> => {
    for (;;) {
      const now = pendingQuestion();
      if (now !== undefined) return now;
      if (code !== undefined) throw new Error(`ended with ${code}:\n${text}`);
      await turn();
    }
  };
  const asked = async (question: string): Promise<Pending> => {
    const now = await next();
    if (!now.message.startsWith(question))
      throw new Error(`asked is "${now.message}" and not "${question}":\n${text}`);
    return now;
  };
  const answer = async (question: string, given: string): Promise<string | undefined> =>
    (await asked(question)).enter(given);
  return {
    next,
    asked,
    answer,
    turns: async (turns) => {
      for (const { question, text: typed, entry, entries } of turns) {
        const given = typed ?? entry ?? entries?.join(',');
        if (given === undefined) continue;
        const refusal = await answer(question, given);
        if (refusal !== undefined) throw new Error(`${question}: ${refusal}`);
      }
    },
    leave: async () => {
      (await next()).cancel();
      return run;
    },
    words: () => text.replaceAll(/\s+/g, ' '),
    written: () => text,
    times: (question, given) =>
      answered().filter(
        ({ message, answer: one }) => message === question && (given === undefined || one === given),
      ).length,
  };
}

/** For afterEach: restores streams, environment and listeners. */
export function endDialogue(): void {
  forgetPrompts();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  for (const event of EVENTS)
    for (const listener of process.listeners(event as NodeJS.Signals))
      if (others.get(event)?.includes(listener) !== true) process.removeListener(event, listener);
  for (const stream of [process.stdin, process.stdout, process.stderr]) {
    stream.removeAllListeners('error');
    Object.defineProperty(stream, 'isTTY', { value: undefined, configurable: true });
  }
}
