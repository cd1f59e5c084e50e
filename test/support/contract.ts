/** Types and helpers for the tables of what a stack assumes about an image. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Reply, RequestOptions } from '../../wizard/prove/http.ts';
import { multipartFile } from '../../wizard/prove/http.ts';
import type { Ended } from './stack.ts';

export type Row = readonly [what: string, holds: () => void | Promise<void>];

export interface Wanted {
  readonly code: number;
  readonly stdout?: RegExp | string;
  readonly stderr?: RegExp | string;
  /** In either stream: an original prints some errors on one and some on the other. */
  readonly prints?: RegExp;
}

export function expectEnd({ code, stdout, stderr }: Ended, wanted: Wanted): void {
  expect(code, `${stdout}${stderr}`).toBe(wanted.code);
  if (wanted.prints !== undefined) expect(`${stdout}${stderr}`).toMatch(wanted.prints);
  for (const [stream, expected] of [
    [stdout, wanted.stdout],
    [stderr, wanted.stderr],
  ] as const) {
    if (typeof expected === 'string') expect(stream.trim()).toBe(expected);
    else if (expected !== undefined) expect(stream).toMatch(expected);
  }
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, RegExp | string>>;
  readonly body?: RegExp | string;
  readonly json?: object;
}

export function expectAnswer(reply: Reply, wanted: Answer): void {
  expect(reply.status, reply.text().slice(0, 300)).toBe(wanted.status);
  for (const [name, value] of Object.entries(wanted.headers ?? {})) {
    if (typeof value === 'string') expect(reply.headers[name]).toBe(value);
    else expect(String(reply.headers[name])).toMatch(value);
  }
  if (typeof wanted.body === 'string') expect(reply.text()).toBe(wanted.body);
  else if (wanted.body !== undefined) expect(reply.text()).toMatch(wanted.body);
  if (wanted.json !== undefined) expect(reply.json()).toMatchObject(wanted.json);
}

/** Rows that send a request to a web server. */
export const answersOf =
  (web: (path: string, options?: RequestOptions) => Promise<Reply>) =>
  (what: string, path: string, wanted: Answer, options: RequestOptions = {}): Row => [
    what,
    async () => expectAnswer(await web(path, options), wanted),
  ];

export function fileUpload(
  name: string,
  type: string,
  content: Buffer,
  bearer: Readonly<Record<string, string>>,
): RequestOptions {
  const { headers, body } = multipartFile('file', name, type, content);
  return { method: 'POST', headers: { ...headers, ...bearer }, body };
}

export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  seconds = 60,
): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${seconds} s`);
    await delay(500);
  }
}
