/** A screen of a terminal that is drawn again and again. */
import { shortLines, visible } from './visible.ts';
import { columns } from './wrap.ts';

const SHOW = '\u001b[?1049h\u001b[?25l';
const RESTORE = '\u001b[?25h\u001b[?1049l';
/** Replaces what is there line by line, without clearing it first: that would flicker. */
const HOME = '\u001b[H';
const END_OF_LINE = '\u001b[K';
const END_OF_SCREEN = '\u001b[J';

export interface LiveScreen {
  /** Columns that a line may have. */
  readonly width: number;
  /** Lines that do not fit are cut, and those below the screen are not shown. */
  draw(lines: readonly string[]): void;
  /** Shows what was there before. A process that ends does the same. */
  end(): void;
}

export function liveScreen(stream: NodeJS.WriteStream): LiveScreen {
  let isShown = true;
  const end = (): void => {
    if (!isShown) return;
    isShown = false;
    stream.write(RESTORE);
    process.removeListener('exit', end);
  };
  process.on('exit', end);
  stream.write(SHOW);
  return {
    get width() {
      return columns(stream) - 1;
    },
    draw(lines) {
      const [width, rows] = [columns(stream) - 1, stream.rows || ROWS];
      const fits = lines.length <= rows ? lines : [...lines.slice(0, rows - 2), '…', lines.at(-1) ?? ''];
      stream.write(
        `${HOME}${fits.map((line) => `${shortLines(visible(line), LONGEST).slice(0, width)}${END_OF_LINE}`).join('\n')}${END_OF_SCREEN}`,
      );
    },
    end,
  };
}

/** Characters of a line; a terminal has fewer. */
const LONGEST = 1000;
/** Of a terminal that does not say how many it has. */
const ROWS = 24;
