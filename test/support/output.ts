/** Commands in the test's own process: captures what they print, and removes the listeners that they add. */
import { afterEach, beforeEach, vi } from 'vitest';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'uncaughtException'] as const;

export interface Printed {
  /** What was printed to both streams since the last `clear`. */
  readonly text: string;
  clear(): void;
}

/** Call it once in a test file. Every test starts with empty output. */
export function captureOutput(): Printed {
  let text = '';
  // Vitest has listeners too.
  let before: Map<string, readonly unknown[]>;
  beforeEach(() => {
    text = '';
    before = new Map(SIGNALS.map((signal) => [signal, process.listeners(signal as NodeJS.Signals)]));
    for (const stream of [process.stdout, process.stderr])
      vi.spyOn(stream, 'write').mockImplementation((chunk) => {
        text += String(chunk);
        return true;
      });
  });
  afterEach(() => {
    vi.restoreAllMocks();
    dropListeners(before);
  });
  return {
    get text() {
      return text;
    },
    clear: () => (text = ''),
  };
}

/** Removes the listeners of this process that are not in `before`, which each call of a command adds. */
function dropListeners(before: ReadonlyMap<string, readonly unknown[]>): void {
  for (const signal of SIGNALS)
    for (const listener of process.listeners(signal as NodeJS.Signals))
      if (!before.get(signal)?.includes(listener)) process.removeListener(signal, listener);
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners('error');
}
