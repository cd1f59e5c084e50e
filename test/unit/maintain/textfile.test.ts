/** The metrics that `maintain` writes for Prometheus. */
import { expect, test } from 'vitest';
import { metricsText } from '../../../wizard/maintain/textfile.ts';

const NOW = new Date('2026-05-01T12:00:00Z');
const AT = Date.parse('2026-05-01T11:00:00Z') / 1000;
const LAST = { at: '2026-05-01T11:00:00Z', snapshot: 'a', bytes: 1 };

/** Name with labels → value, without comments. */
const values = (text: string): Record<string, number> =>
  Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );

test('backups, disks, problems and the time', () => {
  const text = metricsText(
    {
      repositories: {
        '/mnt/a': { id: '1', last: LAST },
        '/mnt/b': { id: '2', last: LAST, failed: { at: LAST.at, why: 'full' } },
      },
    },
    ['/mnt/a', '/mnt/b'],
    { at: LAST.at, free: { '/srv': 5_000_000_000 }, volumes: {} },
    2,
    NOW,
  );
  expect(values(text)).toEqual({
    fedi_maintain_timestamp_seconds: NOW.getTime() / 1000,
    fedi_problems: 2,
    'fedi_backup_last_timestamp_seconds{repository="/mnt/a"}': AT,
    'fedi_backup_last_timestamp_seconds{repository="/mnt/b"}': AT,
    'fedi_backup_failed{repository="/mnt/a"}': 0,
    'fedi_backup_failed{repository="/mnt/b"}': 1,
    'fedi_disk_free_bytes{path="/srv"}': 5_000_000_000,
  });
});

test('a repository that the site no longer has is left out, one without a backup has no time', () => {
  const found = values(
    metricsText({ repositories: { '/old': { id: '1', last: LAST } } }, ['/new'], undefined, 0, NOW),
  );
  expect(Object.keys(found)).toEqual([
    'fedi_maintain_timestamp_seconds',
    'fedi_problems',
    'fedi_backup_failed{repository="/new"}',
  ]);
});

test('quotes, backslashes and line breaks are escaped', () => {
  const text = metricsText({ repositories: {} }, ['a"b\\c\nd'], undefined, 0, NOW);
  expect(text).toContain('fedi_backup_failed{repository="a\\"b\\\\c\\nd"} 0\n');
});

test('no error text of a repository gets out', () => {
  const record = { id: '1', failed: { at: LAST.at, why: 'canary' } };
  expect(metricsText({ repositories: { x: record } }, ['x'], undefined, 0, NOW)).not.toContain('canary');
});
