/** All output of commands, as text or JSON. The only importer of ora. */
import type { Event } from './events.ts';
import { messageOf } from './problem.ts';
import { LONGEST_LINE, shortLines, visible, visibleJson } from './visible.ts';

export interface Progress {
  /** Starts a line of progress. */
  start(id: string, title: string): void;
  /** Shows details of the current work; short. */
  update(text: string): void;
  /** Ends the line: done now, or done before. */
  done(note?: string): void;
  already(note?: string): void;
  fail(note?: string): void;
  /** Ends the line: not tried. */
  skip(note: string): void;
  /** A plain line about the run, for people only, on standard error. */
  say(line?: string): void;
  /** A result that was asked for, for people only, on standard output. */
  print(text?: string): void;
  /** For programs only. */
  emit(event: Event): void;
}

interface Spinner {
  text: string;
  succeed(text: string): unknown;
  fail(text: string): unknown;
  stopAndPersist(options: { symbol: string; text: string }): unknown;
  stop(): unknown;
}

/** Escapes and shortens a text, which may quote a page or a log. */
const shown = (text: string): string => shortLines(visible(text), LONGEST_LINE);

/** Writes a line for people, with control characters escaped. */
export function writeText(stream: NodeJS.WritableStream, text: string): void {
  stream.write(`${shown(text)}\n`);
}

export function jsonProgress(): Progress {
  let current = { id: '', title: '', since: 0 };
  const emit = (event: Event): void => void process.stdout.write(`${visibleJson(event)}\n`);
  const end = (state: 'done' | 'already' | 'failed' | 'skipped', note?: string): void =>
    emit({ event: 'step', id: current.id, state, ms: Date.now() - current.since, ...(note ? { note } : {}) });
  return {
    start(id, title) {
      current = { id, title, since: Date.now() };
      emit({ event: 'step', id, state: 'start', title });
    },
    update: () => undefined,
    done: (note) => end('done', note),
    already: (note) => end('already', note),
    fail: (note) => end('failed', note),
    skip: (note) => end('skipped', note),
    say: () => undefined,
    print: () => undefined,
    emit,
  };
}

/**
 * Lines for people on standard error, so that standard output stays free; a spinner only on a real terminal.
 * @param plain never a spinner
 */
export async function textProgress(plain = false): Promise<Progress> {
  const { stderr } = process;
  // ora divides by the width, which a console may report as 0; CI logs need plain lines.
  const live =
    !plain && stderr.isTTY && stderr.columns > 0 && !process.env['CI'] && process.env['TERM'] !== 'dumb';
  const ora = live ? (await import('ora')).default : undefined;
  let spinner: Spinner | undefined;
  let title = '';
  let since = 0;

  const took = (): string => {
    const seconds = (Date.now() - since) / 1000;
    return seconds < 1 ? '' : ` (${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s)`;
  };
  const line = (mark: string, note?: string): string => `${mark} ${title}${note ? `: ${note}` : ''}${took()}`;
  const end = (mark: string, note?: string): void => {
    if (spinner) spinner.stopAndPersist({ symbol: mark, text: shown(line('', note).trim()) });
    else writeText(stderr, line(mark, note));
    spinner = undefined;
  };
  return {
    start(_id, text) {
      title = text;
      since = Date.now();
      // discardStdin would set raw mode, where Ctrl-C reaches neither this process nor its children.
      if (ora)
        spinner = ora({
          text: shown(text),
          discardStdin: false,
          stream: stderr,
          ...(process.env['NO_COLOR'] ? { color: false } : {}),
        }).start();
    },
    update(text) {
      if (!spinner) return;
      const shortened = visible(`${title}: ${text}`).replaceAll(/\s+/g, ' ');
      spinner.text = shortened.slice(0, Math.max(10, (stderr.columns || 80) - 4));
    },
    done: (note) => end('✔', note),
    already: (note) => end('=', note),
    fail: (note) => end('✖', note),
    skip: (note) => end('–', note),
    say(text = '') {
      writeText(stderr, text);
    },
    print(text = '') {
      writeText(process.stdout, text);
    },
    emit: () => undefined,
  };
}

/** Runs work as one line of progress. */
export async function withLine<T>(
  progress: Progress,
  id: string,
  title: string,
  work: () => Promise<T>,
): Promise<T> {
  progress.start(id, title);
  try {
    const result = await work();
    progress.done();
    return result;
  } catch (error) {
    progress.fail(messageOf(error).split('\n')[0]);
    throw error;
  }
}
