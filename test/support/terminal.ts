/** The installed tool in a real pseudo-terminal: tests send keys, and read the screen through a terminal emulator. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { spawn } from '@lydell/node-pty';
import xterm from '@xterm/headless';
import { inject } from 'vitest';
import { environment } from './site.ts';

export interface TerminalOptions {
  readonly cols?: number;
  readonly rows?: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Path of another program than the tool. */
  readonly program?: string;
}

const KEYS = {
  enter: '\r',
  up: '\u001b[A',
  down: '\u001b[B',
  backspace: '\u007f',
  'ctrl-c': '\u0003',
  'ctrl-d': '\u0004',
  'ctrl-t': '\u0014',
  'ctrl-u': '\u0015',
} as const;

export interface Exit {
  readonly code: number;
  /** 0: not ended by a signal. */
  readonly signal: number;
}

/** The exit code as in a shell. */
export const asShell = ({ code, signal }: Exit): number => (signal > 0 ? 128 + signal : code);

/** Text to wait for on the screen. */
export type Wanted = string | RegExp | (() => boolean);

export interface Terminal {
  readonly pid: number;
  /** Sends bytes as from a keyboard. */
  type(text: string): void;
  key(name: keyof typeof KEYS): void;
  /** Resolves with the screen as soon as it shows this; rejects with the screen if the program ends first. */
  until(wanted: Wanted): Promise<string>;
  /** Waits for that question, replaces its default, and presses Enter. */
  answer(question: string, text: string): Promise<void>;
  /** Waits for that list and moves down to the entry with this text. */
  choose(question: string, entry: string): Promise<void>;
  /** Waits for that checkbox, checks the entries with these texts and no others, and presses Enter. */
  check(question: string, entries: readonly string[]): Promise<void>;
  /** Scrollback and screen as rows. */
  rows(): string[];
  /** The same as text: rows that the terminal wrapped are joined. */
  screen(): string;
  /** Everything the program wrote, with escape codes. */
  raw(): string;
  resize(cols: number, rows: number): void;
  signal(name: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void;
  /** Closes the terminal, as when a connection breaks. */
  hangUp(): void;
  readonly exit: Promise<Exit>;
}

/** A time limit that only a broken tool reaches. */
const PATIENCE_MS = 90_000;

const open = new Set<() => void>();

/** For afterEach: ends all programs of a failed test. */
export function closeTerminals(): void {
  for (const close of open) close();
  open.clear();
}

/** An open question; answered ones have a tick in front. */
export const asked = (question: string): RegExp =>
  new RegExp(`^\\? ${question.replace(/[.?*+^$()[\]{}|\\]/g, String.raw`\$&`)}`, 'm');

export function terminal(argv: readonly string[], options: TerminalOptions = {}): Terminal {
  const { cols = 80, rows = 24 } = options;
  const screen = new xterm.Terminal({ cols: cols || 80, rows, scrollback: 10_000, allowProposedApi: true });
  const pty = spawn(options.program ?? inject('tool'), [...argv], {
    name: options.env?.['TERM'] ?? 'xterm-256color',
    cols,
    rows,
    cwd: options.cwd ?? tmpdir(),
    env: { ...(options.env ?? environment()), TERM: options.env?.['TERM'] ?? 'xterm-256color' },
  });
  let raw = '';
  let ended: Exit | undefined;
  const waiting = new Set<() => void>();
  const look = (): void => {
    for (const check of waiting) check();
  };

  const close = (): void => {
    if (ended === undefined) pty.kill('SIGKILL');
  };
  open.add(close);
  pty.onData((data) => {
    raw += data;
    screen.write(data, look);
  });
  // Replies of the emulator to queries of the program.
  screen.onData((data) => pty.write(data));
  const exit = new Promise<Exit>((resolve) => {
    pty.onExit(({ exitCode, signal }) => {
      open.delete(close);
      screen.write('', () => {
        ended = { code: exitCode, signal: signal ?? 0 };
        look();
        resolve(ended);
      });
    });
  });

  const lines = (): { text: string; wrapped: boolean }[] => {
    const { active } = screen.buffer;
    const all = Array.from({ length: active.length }, (_, i) => {
      const line = active.getLine(i);
      // A row that continues in the next one keeps its trailing spaces.
      const goesOn = active.getLine(i + 1)?.isWrapped === true;
      return { text: line?.translateToString(!goesOn) ?? '', wrapped: line?.isWrapped === true };
    });
    while (all.at(-1)?.text === '') all.pop();
    return all;
  };

  /** The current entry of the list: while it is redrawn there is none, and an older list may be above. */
  const pointer = (): string =>
    self
      .screen()
      .split(/^\? /m)
      .at(-1)
      ?.split('\n')
      .find((line) => line.startsWith('❯')) ?? '';
  const down = async (): Promise<void> => {
    const before = pointer();
    self.key('down');
    await self.until(() => pointer() !== before && pointer() !== '');
  };

  const self: Terminal = {
    pid: pty.pid,
    type: (text) => pty.write(text),
    key: (name) => pty.write(KEYS[name]),
    until: (wanted) =>
      new Promise((resolve, reject) => {
        const seen = (): boolean =>
          typeof wanted === 'function'
            ? wanted()
            : typeof wanted === 'string'
              ? self.screen().includes(wanted)
              : wanted.test(self.screen());
        const stop = (): void => {
          clearTimeout(timer);
          waiting.delete(check);
        };
        const fail = (why: string): void => {
          stop();
          reject(new Error(`${why} while waiting for ${String(wanted)}; the screen:\n${self.screen()}`));
        };
        const check = (): void => {
          if (seen()) {
            stop();
            resolve(self.screen());
          } else if (ended !== undefined) fail(`ended with ${JSON.stringify(ended)}`);
        };
        const timer = setTimeout(() => fail('it never came'), PATIENCE_MS);
        waiting.add(check);
        check();
      }),
    async answer(question, text) {
      await self.until(asked(question));
      self.key('ctrl-u');
      self.type(text);
      self.key('enter');
    },
    async choose(question, entry) {
      await self.until(asked(question));
      await self.until(() => pointer() !== '');
      const first = pointer();
      while (!pointer().includes(entry)) {
        await down();
        if (pointer() === first) throw new Error(`no entry ${entry}:\n${self.screen()}`);
      }
      self.key('enter');
    },
    async check(question, entries) {
      await self.until(asked(question));
      await self.until(() => /^❯[◉◯]/.test(pointer()));
      const seen = new Set<string>();
      for (let row = pointer().slice(2); !seen.has(row); row = pointer().slice(2)) {
        seen.add(row);
        const wanted = entries.some((entry) => row.includes(entry));
        if (pointer().startsWith('❯◉') !== wanted) {
          const before = pointer();
          self.type(' ');
          await self.until(() => pointer() !== before && pointer().slice(2) === row);
        }
        await down();
      }
      for (const entry of entries)
        if (![...seen].some((row) => row.includes(entry)))
          throw new Error(`no entry ${entry}:\n${self.screen()}`);
      self.key('enter');
    },
    rows: () => lines().map(({ text }) => text),
    screen: () =>
      lines()
        .map(({ text, wrapped }, i) => (i === 0 || wrapped ? text : `\n${text}`))
        .join(''),
    raw: () => raw,
    resize: (width, height) => {
      screen.resize(width, height);
      pty.resize(width, height);
    },
    signal: (name) => pty.kill(name),
    hangUp: () => (pty as unknown as { destroy(): void }).destroy(),
    exit,
  };
  return self;
}

export interface Process {
  readonly pid: number;
  /** Together with the PID it identifies a process. */
  readonly start: string;
  readonly command: string;
}

function statOf(pid: number | string): { parent: number; start: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : { parent: Number(fields[1]), start: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

/** All descendants of a process. */
export function descendants(pid: number): Process[] {
  const found: Process[] = [];
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const below = new Set([pid]);
  for (let before = 0; before !== below.size;) {
    before = below.size;
    for (const name of all) {
      const stat = statOf(name);
      if (stat === undefined || !below.has(stat.parent) || below.has(Number(name))) continue;
      below.add(Number(name));
      let command = '';
      try {
        command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      } catch {
        // It has ended meanwhile.
      }
      found.push({ pid: Number(name), start: stat.start, command });
    }
  }
  return found;
}

export const isAlive = ({ pid, start }: Process): boolean => statOf(pid)?.start === start;

/** Waits for a condition outside of the terminal: a process, a file. */
export async function eventually<T>(what: string, look: () => T | undefined | false): Promise<T> {
  for (const deadline = Date.now() + PATIENCE_MS; ;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`it never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Whether nothing exists at that path. */
export const absent = (path: string): boolean => !existsSync(path);
