/** A swap file for a host with little memory, created only on request and only as root. */
import { open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { NEW, exists, writeWhole } from '../atomic.ts';
import { run } from '../docker/run.ts';
import { SWAP } from '../layout.ts';
import { EXIT, Problem, codeOf, messageOf } from '../problem.ts';

export type SwapPlaces = Record<keyof typeof SWAP, string>;

const MIB = 1024 ** 2;

const isActive = async ({ file }: SwapPlaces): Promise<boolean> =>
  (await readFile('/proc/swaps', 'utf8')).split('\n').some((line) => line.split(/\s/)[0] === file);

const isNoted = async ({ file, fstab }: SwapPlaces): Promise<boolean> =>
  (await readFile(fstab, 'utf8').catch(() => ''))
    .split('\n')
    .some((line) => line.trim().split(/\s+/)[0] === file);

export const swapIsThere = async (places: SwapPlaces = SWAP): Promise<boolean> =>
  (await isActive(places)) && (await isNoted(places));

/** /usr/sbin is not always in the PATH after `su`. */
const asRoot = (program: string, ...argv: string[]): ReturnType<typeof run> =>
  run(program, argv, {
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
  });

/** Writes every block: the kernel rejects a file with holes. */
async function writeZeros(path: string, mib: number): Promise<void> {
  await rm(path, { force: true });
  const handle = await open(path, 'wx', 0o600);
  try {
    const zeros = Buffer.alloc(MIB);
    for (let i = 0; i < mib; i++) await handle.writeFile(zeros);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Creates the file, enables it and adds it to fstab; after a kill, the next call continues. An existing file of that name is
 * enabled, never overwritten.
 * @param mib size of a new file
 */
export async function makeSwap(mib: number, places: SwapPlaces = SWAP): Promise<void> {
  const { file, fstab } = places;
  const failed = (what: string, next: string, cause?: unknown): Problem =>
    new Problem(EXIT.PREFLIGHT, `The swap file could not be set up: ${what}`, {
      means: 'The site was not changed.',
      next: `${next} Or run this without --swap.`,
      cause,
    });
  if (!(await isActive(places))) {
    const ours = !(await exists(file));
    if (ours) {
      try {
        await writeZeros(file + NEW, mib);
        const { code, stderr } = await asRoot('mkswap', file + NEW);
        if (code !== 0) throw new Error(`mkswap: ${stderr.trim()}`);
        await rename(file + NEW, file);
      } catch (error) {
        await rm(file + NEW, { force: true });
        throw failed(
          codeOf(error) === 'ENOSPC' ? 'the disk is full.' : messageOf(error),
          'Free some space, or choose a smaller size.',
          error,
        );
      }
    }
    const { code, stderr } = await asRoot('swapon', file);
    if (code !== 0) {
      if (ours) await rm(file, { force: true });
      throw failed(
        `the kernel rejected ${file} (${stderr.trim()}).`,
        ours
          ? 'Some file systems and most containers do not allow swap files; add memory.'
          : 'It existed before and is not a swap file: check it.',
      );
    }
  }
  if (!(await isNoted(places))) {
    const path = await realpath(fstab);
    const text = await readFile(path, 'utf8');
    await writeWhole(
      path,
      `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${file} none swap sw 0 0\n`,
      (await stat(path)).mode & 0o777,
    );
  }
}
