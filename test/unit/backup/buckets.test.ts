/** The copy of a bucket: the volumes it adds, and the program that makes it, with a simulated rclone. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { hasCopies, withCopies } from '../../../wizard/backup/buckets.ts';
import { readProgram } from '../../../wizard/assets.ts';
import type { Config } from '../../../wizard/config/config.ts';

const scratch = mkdtempSync(join(tmpdir(), 'fedi-buckets-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Runs download.sh with an rclone that says how large the bucket is. */
function download(bytes: number): { readonly status: number | null; readonly stdout: string } {
  const bin = join(scratch, String(bytes));
  mkdirSync(join(bin, 'copy'), { recursive: true });
  writeFileSync(
    join(bin, 'rclone'),
    `#!/bin/sh
case "$*" in
  *size*) echo '{"count":3,"bytes":${bytes},"sizeless":0}' ;;
  *) echo "$*" | sed 's/.*--low-level-retries=4 //' ;;
esac
`,
    { mode: 0o755 },
  );
  return spawnSync(
    'sh',
    ['-c', readProgram('backup/programs/download.sh'), 'sh', 'media', join(bin, 'copy')],
    {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${bin}:${process.env['PATH'] ?? ''}` },
    },
  );
}

describe('the program that copies a bucket', () => {
  test('downloads what fits', () => {
    const { status, stdout } = download(1000);
    expect([status, stdout.trim()]).toEqual([0, `sync bucket:media ${join(scratch, '1000', 'copy')}`]);
  });

  test('refuses a bucket that is larger than the disk, with both sizes', () => {
    const { status, stdout } = download(9e15);
    expect(status).toBe(28);
    const [needed = 0, free = 0] = stdout.trim().split('\n').map(Number);
    expect(needed).toBeGreaterThan(8e15);
    expect(free).toBeGreaterThan(0);
    expect(free).toBeLessThan(needed);
  });
});

describe('the volumes of copies', () => {
  const compose = {
    name: 'fedi',
    services: {},
    networks: {},
    volumes: { snac_data: { name: 'fedi_snac_data' } },
  };
  const config = (copiesBuckets: boolean): Config =>
    ({
      name: 'fedi',
      backup: { copiesBuckets },
      apps: [{ id: 'snac' }, { id: 'mastodon', bucket: { name: 'media' } }],
    }) as unknown as Config;

  test('one for each app with a bucket, only if it is wanted', () => {
    expect(withCopies(compose, config(false))).toBe(compose);
    expect(withCopies(compose, config(true)).volumes).toEqual({
      snac_data: { name: 'fedi_snac_data' },
      mastodon_bucket: { name: 'fedi_mastodon_bucket' },
    });
  });

  test('a manifest says whether a backup has one', () => {
    const manifest = (...keys: string[]): Parameters<typeof hasCopies>[0] =>
      ({ volumes: keys.map((key) => ({ key, files: 1 })) }) as unknown as Parameters<typeof hasCopies>[0];
    expect(hasCopies(manifest('snac_data'), undefined)).toBe(false);
    expect(hasCopies(manifest('snac_data', 'mastodon_bucket'), undefined)).toBe(true);
    expect(hasCopies(manifest('mastodon_bucket'), ['pixelfed'])).toBe(false);
    expect(hasCopies(manifest('mastodon_bucket'), ['mastodon'])).toBe(true);
  });
});
