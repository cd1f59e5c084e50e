/** Limits unbounded output: keeps its first and last bytes. */
import { StringDecoder } from 'node:string_decoder';

/** Bytes; our commands print far less. */
export const MOST_OUTPUT = 16 * 1024 ** 2;

export class Kept {
  readonly #half: number;
  readonly #head: Buffer[] = [];
  #headBytes = 0;
  #tail: Buffer[] = [];
  #tailBytes = 0;
  #dropped = 0;

  /** @param most bytes: half of them from the start, half from the end. */
  constructor(most = MOST_OUTPUT) {
    this.#half = Math.floor(most / 2);
  }

  add(chunk: Buffer): void {
    const room = this.#half - this.#headBytes;
    const start = chunk.subarray(0, room);
    if (start.length > 0) {
      this.#head.push(start);
      this.#headBytes += start.length;
    }
    const rest = chunk.subarray(start.length);
    if (rest.length === 0) return;
    this.#tail.push(rest);
    this.#tailBytes += rest.length;
    // Not for every chunk: joining copies everything that is kept.
    if (this.#tailBytes > 2 * this.#half) this.#cut();
  }

  #cut(): void {
    const whole = Buffer.concat(this.#tail);
    const tail = whole.subarray(Math.max(0, whole.length - this.#half));
    this.#dropped += whole.length - tail.length;
    this.#tail = [Buffer.from(tail)];
    this.#tailBytes = tail.length;
  }

  /** As UTF-8. */
  get text(): string {
    if (this.#tailBytes > this.#half) this.#cut();
    const head = Buffer.concat(this.#head);
    const tail = Buffer.concat(this.#tail);
    if (this.#dropped === 0) return Buffer.concat([head, tail]).toString('utf8');
    return `${head.toString('utf8')}\n… (${this.#dropped} bytes left out)\n${tail.toString('utf8')}`;
  }
}

/** Characters of the longest line that is passed on. */
const LONGEST = 64 * 1024;

/** Splits chunks of text into lines, at LF, CRLF or CR, or at an excessive length. */
export class Lines {
  readonly #decoder = new StringDecoder('utf8');
  readonly #pass: (line: string) => void;
  #rest = '';

  /** @param pass gets every line that is not empty, trimmed. */
  constructor(pass: (line: string) => void) {
    this.#pass = pass;
  }

  add(chunk: Buffer): void {
    const lines = (this.#rest + this.#decoder.write(chunk)).split(/\r?\n|\r/);
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > LONGEST) lines.push(this.#rest.slice(0, LONGEST));
    for (const line of lines) this.#emit(line);
    if (this.#rest.length > LONGEST) this.#rest = '';
  }

  end(): void {
    this.#emit(this.#rest);
    this.#rest = '';
  }

  #emit(line: string): void {
    if (line.trim() !== '') this.#pass(line.trim());
  }
}
