/** One run at a time, also after killed runs. */
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { takeLock } from '../../../wizard/apply/runlock.ts';
import { problemFrom } from '../../support/problem.ts';
import { bundle, endOf, startProgram } from '../../support/program.ts';
import { modeOf, tempFolder } from '../../support/temp.ts';

const RUN = JSON.stringify(fileURLToPath(new URL('../../../wizard/docker/run.ts', import.meta.url)));
const RUNLOCK = JSON.stringify(fileURLToPath(new URL('../../../wizard/apply/runlock.ts', import.meta.url)));

/** Takes the lock, reports it, and holds it until its standard input ends; then releases it, or (`die`) just ends. */
const HOLDER = `import { takeLock } from ${RUNLOCK};
try {
  const release = await takeLock(process.argv[1]);
  console.log('held');
  for await (const _ of process.stdin);
  if (process.argv[2] !== 'die') await release();
} catch (error) {
  console.error(error.message);
  process.exitCode = error.exit ?? 99;
}`;

/** Tries until it has the lock, checks that no other process has it, and dies without releasing it. */
const CONTENDER = `import { takeLock } from ${RUNLOCK};
import { closeSync, openSync, rmSync } from 'node:fs';
import { once } from 'node:events';
const [, folder] = process.argv;
console.log('ready');
await once(process.stdin, 'data');
for (;;) {
  try {
    await takeLock(folder);
    break;
  } catch (error) {
    if (error.exit !== 6) throw error;
  }
}
try {
  closeSync(openSync(folder + '/held', 'wx'));
} catch {
  console.log('two at once');
}
await new Promise((resolve) => setImmediate(resolve));
rmSync(folder + '/held', { force: true });
process.exit(0);`;

const scripts = { holder: '', contender: '' };
beforeAll(() => {
  scripts.holder = bundle(HOLDER);
  scripts.contender = bundle(CONTENDER);
});

function site(): { folder: string; lock: string } {
  const folder = tempFolder();
  mkdirSync(join(folder, '.fedi'));
  return { folder, lock: join(folder, '.fedi/lock') };
}

const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
const startOf = (pid: number): string =>
  readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')[19] as string;
const owner = (more: object = {}): string =>
  JSON.stringify({ pid: process.ppid, boot, start: startOf(process.ppid), since: 'then', ...more });

test('is taken, refused to others, released, and leaves no file', async () => {
  const { folder, lock } = site();
  const release = await takeLock(folder);
  expect(modeOf(lock)).toBe(0o600);
  const { exit, message } = await problemFrom(() => takeLock(folder));
  expect([exit, message]).toEqual([6, expect.stringContaining(`process ${process.pid}`)]);
  expect(readdirSync(join(folder, '.fedi'))).toEqual(['lock']);
  await release();
  expect(readdirSync(join(folder, '.fedi'))).toEqual([]);
  await (
    await takeLock(folder)
  )();
});

test('of two processes one gets it, the other exits with 6 and names the first', async () => {
  const { folder } = site();
  const [one, two] = [startProgram(scripts.holder, [folder]), startProgram(scripts.holder, [folder])];
  const ends = [endOf(one), endOf(two)];
  const loser = await Promise.race(ends);
  expect([loser.code, loser.stdout]).toEqual([6, '']);
  const winner = one.exitCode === null ? one : two;
  expect(loser.stderr).toContain(`process ${winner.pid}`);
  winner.stdin?.end();
  expect((await Promise.all(ends)).map(({ code }) => code).toSorted()).toEqual([0, 6]);
  expect(readdirSync(join(folder, '.fedi'))).toEqual([]);
});

test.each(['SIGKILL', 'an end without giving it back'])(
  'takes over the lock of a holder killed by %s',
  async (how) => {
    const { folder, lock } = site();
    const dying = startProgram(scripts.holder, [folder, 'die']);
    const end = endOf(dying);
    await once(dying.stdout as NodeJS.ReadableStream, 'data');
    expect((await problemFrom(() => takeLock(folder))).exit).toBe(6);
    if (how === 'SIGKILL') dying.kill('SIGKILL');
    else dying.stdin?.end();
    await end;
    expect(existsSync(lock)).toBe(true);
    await (
      await takeLock(folder)
    )();
    expect(readdirSync(join(folder, '.fedi'))).toEqual([]);
  },
);

describe('a lock file', () => {
  test.each([
    ['a live holder', () => owner(), false],
    ['its PID, reused by another process', () => owner({ start: '1' }), true],
    ['the same of an earlier boot', () => owner({ boot: 'other' }), true],
    ['an unused PID', () => owner({ pid: 2 ** 22 + 1 }), true],
    ['an empty file', () => '', true],
    ['half a file', () => owner().slice(0, 20), true],
    ['words', () => 'locked', true],
    ['a list', () => '[]', true],
    ['a number', () => '5', true],
    ['no owner', () => '{}', true],
  ])('%s', async (_, text, free) => {
    const { folder, lock } = site();
    writeFileSync(lock, text());
    if (free) await (await takeLock(folder))();
    else {
      expect((await problemFrom(() => takeLock(folder))).exit).toBe(6);
      expect(readFileSync(lock, 'utf8')).toBe(text());
    }
    expect(readdirSync(join(folder, '.fedi'))).toEqual(free ? [] : ['lock']);
  });

  // isAlive(null) throws a TypeError.
  test('null', async () => {
    const { folder, lock } = site();
    writeFileSync(lock, 'null');
    await (
      await takeLock(folder)
    )();
  });
});

describe('programs of a killed run', () => {
  /** Takes the lock, starts a program with a name like Docker's that keeps running, and is killed. */
  const PARENT = `import { takeLock } from ${RUNLOCK};
import { run } from ${RUN};
await takeLock(process.argv[1]);
const [program, ...words] = process.argv.slice(2);
void run(program, words, { onLine: (line) => { console.log(line); process.kill(process.pid, 'SIGKILL'); } });
setInterval(() => undefined, 1e6);`;
  let parent = '';
  beforeAll(() => {
    parent = bundle(PARENT);
  });

  /** PID of a program that holds the lock of a dead run. */
  async function orphanOf(folder: string, name: string, body: string): Promise<number> {
    const program = join(folder, name);
    symlinkSync(process.execPath, program);
    const child = startProgram(parent, [
      folder,
      program,
      '--eval',
      `${body}; console.log(process.pid); setInterval(() => {}, 1e6)`,
    ]);
    const { stdout } = await endOf(child);
    return Number(stdout);
  }
  const isThere = (pid: number): boolean =>
    existsSync(`/proc/${pid}/exe`) && !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

  test.each([
    ['one that ends at SIGTERM', '0'],
    ['one that cleans up first', `process.on('SIGTERM', () => setTimeout(() => process.exit(), 300))`],
  ])('ends %s before it takes the lock', async (_, body) => {
    const { folder } = site();
    const pid = await orphanOf(folder, 'docker', body);
    expect(isThere(pid)).toBe(true);
    const release = await takeLock(folder);
    expect(isThere(pid)).toBe(false);
    await release();
  });

  test('does not end a program of another name that holds the lock, and is refused', async () => {
    const { folder } = site();
    const pid = await orphanOf(folder, 'other', '0');
    expect((await problemFrom(() => takeLock(folder))).exit).toBe(6);
    expect(isThere(pid)).toBe(true);
    process.kill(pid, 'SIGKILL');
  });

  test('does not end a program of a live run in another PID namespace', async () => {
    const { folder, lock } = site();
    const holder = startProgram(scripts.holder, [folder]);
    const end = endOf(holder);
    await once(holder.stdout as NodeJS.ReadableStream, 'data');
    writeFileSync(lock, owner({ start: '1' }));
    expect((await problemFrom(() => takeLock(folder))).exit).toBe(6);
    holder.stdin?.end();
    expect((await end).code).toBe(0);
  });
});

test('a user without access to the directory cannot hold the lock', async () => {
  const { folder } = site();
  // It used to be a kernel name that every user could take.
  const name = `\0fedi-setup-${createHash('sha256').update(folder).digest('hex').slice(0, 32)}`;
  const other = createServer().listen(name);
  await once(other, 'listening');
  await (
    await takeLock(folder)
  )();
  other.close();
});

test('without `flock` the error names the package to install', async () => {
  const { folder } = site();
  const { PATH } = process.env;
  try {
    process.env['PATH'] = folder;
    const { exit, message, next } = await problemFrom(() => takeLock(folder));
    expect([exit, message, next]).toEqual([
      4,
      'The program `flock` is not installed.',
      expect.stringContaining('util-linux'),
    ]);
  } finally {
    process.env['PATH'] = PATH;
  }
});

test('reports a directory that is not writable', async () => {
  expect((await problemFrom(() => takeLock(join(tempFolder(), 'none')))).message).toContain(
    'cannot be written',
  );
});

/** Twenty at once compete for a dead lock: output and exit code of each. */
async function contend(): Promise<string[]> {
  const { folder, lock } = site();
  writeFileSync(lock, owner({ start: '1' }));
  const children = Array.from({ length: 20 }, () => startProgram(scripts.contender, [folder]));
  const ends = children.map(endOf);
  await Promise.all(children.map((child) => once(child.stdout as NodeJS.ReadableStream, 'data')));
  for (const child of children) child.stdin?.end('go');
  return (await Promise.all(ends)).map(({ code, stdout, stderr }) => `${code} ${stdout}${stderr}`);
}

test('20 processes compete for a dead lock: never two at once, and each gets it', async () => {
  for (let round = 0; round < 2; round++) expect(new Set(await contend())).toEqual(new Set(['0 ready\n']));
}, 120_000);
