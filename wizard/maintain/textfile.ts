/** What `maintain` knows, as metrics for Prometheus. */
import { join } from 'node:path';
import { writeWhole } from '../atomic.ts';
import type { BackupRecord } from '../backup-record.ts';
import type { Reading } from '../disk-record.ts';
import { MAINTAIN_METRICS } from '../layout.ts';

/** A value of a label, with the escapes of the format. */
const quoted = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;

const seconds = (iso: string): number => Math.floor(Date.parse(iso) / 1000);

interface Line {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

function gauge(name: string, help: string, lines: readonly Line[]): string {
  if (lines.length === 0) return '';
  const texts = lines.map(({ labels = {}, value }) => {
    const words = Object.entries(labels).map(([key, text]) => `${key}=${quoted(text)}`);
    return `${name}${words.length > 0 ? `{${words.join(',')}}` : ''} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${texts.join('')}`;
}

/**
 * @param wanted addresses of the repositories that the site has now
 * @param problems number of problems that this run found
 */
export function metricsText(
  { repositories }: Pick<BackupRecord, 'repositories'>,
  wanted: readonly string[],
  reading: Reading | undefined,
  problems: number,
  now: Date,
): string {
  const known = wanted.map((repository) => ({ labels: { repository }, record: repositories[repository] }));
  return [
    gauge('fedi_maintain_timestamp_seconds', 'When maintain ran last.', [
      { value: seconds(now.toISOString()) },
    ]),
    gauge('fedi_problems', 'Problems that maintain found.', [{ value: problems }]),
    gauge(
      'fedi_backup_last_timestamp_seconds',
      'When the last complete backup was made.',
      known.flatMap(({ labels, record }) =>
        record?.last === undefined ? [] : [{ labels, value: seconds(record.last.at) }],
      ),
    ),
    gauge(
      'fedi_backup_failed',
      'Whether the last backup failed.',
      known.map(({ labels, record }) => ({ labels, value: record?.failed === undefined ? 0 : 1 })),
    ),
    gauge(
      'fedi_disk_free_bytes',
      'Free bytes on the file systems with data and backups.',
      Object.entries(reading?.free ?? {}).map(([path, value]) => ({ labels: { path }, value })),
    ),
  ].join('');
}

/** Writes it readable for all: the exporter runs as another user. */
export const writeMetrics = (folder: string, text: string): Promise<void> =>
  writeWhole(join(folder, MAINTAIN_METRICS), text, 0o644);
