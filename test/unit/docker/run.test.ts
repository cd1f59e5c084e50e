/** Running programs: their output, their exit codes, and that they end when the tool ends. */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { run, runAttached, shareWithPrograms, stopChildren } from '../../../wizard/docker/run.ts';
import type { RunOptions } from '../../../wizard/docker/run.ts';
import type { Output } from '../../../wizard/docker/engine.ts';
import { bundle, endOf, startProgram } from '../../support/program.ts';
import { tempFolder } from '../../support/temp.ts';

const RUN = JSON.stringify(fileURLToPath(new URL('../../../wizard/docker/run.ts', import.meta.url)));

const node = (code: string, options: RunOptions = {}, ...argv: string[]): Promise<Output> =>
  run(process.execPath, ['--eval', code, ...argv], options);

describe('run', () => {
  test.each([0, 1, 2, 42, 255])('exit code %i', async (code) => {
    expect((await node(`process.exit(${code})`)).code).toBe(code);
  });

  test('both streams, separately', async () => {
    expect(await node(`process.stdout.write('out'); process.stderr.write('err')`)).toEqual({
      code: 0,
      stdout: 'out',
      stderr: 'err',
    });
  });

  test('arguments arrive unchanged: there is no shell', async () => {
    const argv = ['a b', '$HOME', '`id`', '; id', "'", '"', '\\', '*', '', '--x=y', 'ä\n'];
    expect(
      JSON.parse(
        (await node('console.log(JSON.stringify(process.argv.slice(1)))', {}, '--', ...argv)).stdout,
      ),
    ).toEqual(argv);
  });

  test('standard input, and its end', async () => {
    const text = 'ä😀\n'.repeat(100_000);
    expect((await node('process.stdin.pipe(process.stdout)', { stdin: text })).stdout).toBe(text);
    expect((await node('process.stdin.pipe(process.stdout)')).stdout).toBe('');
  });

  test('a program that does not read a long input', async () => {
    expect((await node('process.exit(7)', { stdin: 'x'.repeat(10_000_000) })).code).toBe(7);
  });

  test('environment and working directory', async () => {
    const { stdout } = await node('console.log(process.env.A, process.env.HOME, process.cwd())', {
      env: { A: 'x' },
      cwd: '/',
    });
    expect(stdout).toBe('x undefined /\n');
  });

  test.each([
    ['a missing program', '/nonexistent/program', 'ENOENT'],
    ['a missing program, by name', 'no-such-program-here', 'ENOENT'],
    ['a folder', '/', 'EACCES'],
    ['a file that is no program', '/proc/self/cmdline', 'EACCES'],
  ])('%s', async (_, program, code) => {
    await expect(run(program, [], { stdin: 'x' })).rejects.toMatchObject({ code });
  });

  test('much output, every byte', async () => {
    const { stdout, stderr } = await node(
      `const t = 'ü'.repeat(1 << 20); process.stdout.write(t); process.stderr.write(t); process.stdout.write(t)`,
    );
    expect([stdout.length, stderr.length]).toEqual([1 << 21, 1 << 20]);
    expect(stdout).toMatch(/^ü+$/);
  });

  test('endless output: its start and end, and how much was dropped', async () => {
    const { code, stdout, stderr } = await node(
      `process.stdout.write('first' + 'x'.repeat(1 << 20) + 'last'); process.stderr.write('y'.repeat(1 << 20))`,
      { most: 2000 },
    );
    expect([code, stdout.length < 2100, stderr.length < 2100]).toEqual([0, true, true]);
    expect(stdout).toMatch(/^first[x]{995}\n… \(1046585 bytes left out\)\n[x]{996}last$/);
  });

  test('an endless line is passed on in pieces', async () => {
    const lines: string[] = [];
    await node(`process.stdout.write('x'.repeat(1 << 20))`, { onLine: (line) => lines.push(line) });
    expect(lines.length).toBeGreaterThan(1);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(64 * 1024);
  });

  test('a program that does not end is killed, and reported', async () => {
    await expect(
      node(`process.on('SIGTERM', () => {}); setInterval(() => {}, 1e6)`, { wholeMs: 500 }),
    ).rejects.toMatchObject({
      name: 'Problem',
      exit: 1,
      message: expect.stringMatching(/^`.*--eval .*` did not end within 0\.5 seconds\.$/s) as string,
    });
  });

  test('a character split between chunks', async () => {
    const code = `const b = Buffer.from('a😀ä\\n'); let i = 0; const next = () => i < b.length && process.stdout.write(b.subarray(i, ++i), () => setImmediate(next)); next()`;
    const lines: string[] = [];
    expect((await node(code, { onLine: (line) => lines.push(line) })).stdout).toBe('a😀ä\n');
    expect(lines).toEqual(['a😀ä']);
  });

  test('lines as they arrive: LF, CRLF, CR; no empty ones', async () => {
    const lines: string[] = [];
    await node(`process.stdout.write('one\\ntwo\\r\\n\\n  \\n10%\\r20%\\rdone\\n')`, {
      onLine: (line) => lines.push(line),
    });
    expect(lines).toEqual(['one', 'two', '10%', '20%', 'done']);
  });

  // `rest` was dropped at the end; it is often the line with the cause.
  test('the last line, without a newline', async () => {
    const lines: string[] = [];
    await node(`process.stdout.write('one\\nlast')`, { onLine: (line) => lines.push(line) });
    expect(lines).toEqual(['one', 'last']);
  });

  // Any signal gave 128; shells and runAttached use 128 + its number.
  test.each([
    ['SIGTERM', 143],
    ['SIGKILL', 137],
    ['SIGHUP', 129],
  ])('ended by %s is %i', async (signal, code) => {
    expect((await node(`process.kill(process.pid, '${signal}')`)).code).toBe(code);
  });

  test('output that ends within a character keeps everything before it', async () => {
    expect((await node(`process.stdout.write(Buffer.from([97, 0xc3]))`)).stdout).toMatch(/^a/);
  });
});

describe('ended early', () => {
  const endless = 'setInterval(() => {}, 1e6)';

  test('while it runs: it gets SIGTERM, and the call waits for its end', async () => {
    const abort = new AbortController();
    const end = node(
      `process.on('SIGTERM', () => { console.log('tidied'); process.exit(3); }); console.log('up'); ${endless}`,
      { signal: abort.signal, onLine: () => abort.abort() },
    );
    expect(await end).toEqual({ code: 3, stdout: 'up\ntidied\n', stderr: '' });
  });

  test('before it starts', async () => {
    expect((await node(endless, { signal: AbortSignal.abort() })).code).toBe(143);
  });

  test('after its end: nothing', async () => {
    const abort = new AbortController();
    expect((await node('0', { signal: abort.signal })).code).toBe(0);
    abort.abort();
  });
});

test('a shared file descriptor is number 3 in programs', async () => {
  const path = join(tempFolder(), 'shared');
  const descriptor = openSync(path, 'w');
  try {
    shareWithPrograms(descriptor);
    await node(`require('fs').writeSync(3, 'from the program')`);
    shareWithPrograms(undefined);
    expect((await node(`require('fs').writeSync(3, 'x')`)).code).not.toBe(0);
  } finally {
    shareWithPrograms(undefined);
    closeSync(descriptor);
  }
  expect(readFileSync(path, 'utf8')).toBe('from the program');
});

test('when new programs are refused, a call waits', async () => {
  const script = bundle(`import { run, refuseNewPrograms } from ${RUN};
refuseNewPrograms();
void run('/nonexistent').then(() => console.log('ran'), () => console.log('tried'));
setTimeout(() => process.exit(7), 50);`);
  expect(await endOf(startProgram(script, []))).toMatchObject({ code: 7, stdout: '' });
});

describe('runAttached', () => {
  test.each([
    ['process.exit(0)', 0],
    ['process.exit(42)', 42],
    ['process.kill(process.pid, "SIGTERM")', 143],
    ['process.kill(process.pid, "SIGKILL")', 137],
    ['process.kill(process.pid, "SIGHUP")', 129],
    ['process.kill(process.pid, "SIGINT")', 130],
  ])('%s gives %i', async (code, wanted) => {
    expect(await runAttached(process.execPath, ['--eval', code])).toBe(wanted);
  });

  // Four signals were in a table, all others became 1.
  test('any other signal: 128 and its number', async () => {
    expect(await runAttached(process.execPath, ['--eval', 'process.kill(process.pid, "SIGUSR2")'])).toBe(140);
  });

  test('a missing program', async () => {
    await expect(runAttached('/nonexistent/program', [])).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('stopChildren', () => {
  /** Starts programs that run until a signal; resolves once all are running. */
  async function running(count: number, code: string): Promise<Promise<Output>[]> {
    const ends: Promise<Output>[] = [];
    await Promise.all(
      Array.from(
        { length: count },
        () =>
          new Promise<void>((resolve) =>
            ends.push(
              node(`${code}; console.log('up'); setInterval(() => {}, 1e6)`, { onLine: () => resolve() }),
            ),
          ),
      ),
    );
    return ends;
  }

  test('ends all programs, and waits for the last', async () => {
    const ends = await running(3, '0');
    let ended = 0;
    for (const end of ends) void end.then(() => (ended += 1));
    await stopChildren('SIGTERM');
    expect(ended).toBe(3);
    expect((await Promise.all(ends)).every(({ code }) => code !== 0)).toBe(true);
  });

  test('waits for a program that cleans up first', async () => {
    const [end] = await running(
      1,
      `process.on('SIGTERM', () => { console.log('tidied'); process.exit(0); })`,
    );
    await stopChildren('SIGTERM');
    expect((await end)?.stdout).toBe('up\ntidied\n');
  });

  test('with no running program', async () => {
    await node('0');
    await run('/nonexistent/program', []).catch(() => undefined);
    await stopChildren('SIGTERM');
  });
});
