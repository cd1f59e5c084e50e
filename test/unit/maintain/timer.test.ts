/** The line of a crontab and the units of systemd. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cronLines, unitTexts } from '../../../wizard/maintain/timer.ts';
import type { Job } from '../../../wizard/maintain/timer.ts';
import { tempFolder } from '../../support/temp.ts';

const cronLine = (one: Job): string => cronLines(one)[0] ?? '';

const job = (folder: string, more: Partial<Job> = {}): Job => ({
  site: 'fedi',
  folder,
  node: process.execPath,
  user: 'anna',
  ...more,
});

test('cron: the same minute in each run, absolute paths, our mark', () => {
  const line = cronLine(job('/srv/fedi'));
  expect(line).toBe(cronLine(job('/srv/fedi')));
  expect(line).toMatch(/^[0-5]?\d \* \* \* \* PATH=/);
  expect(line).toContain(
    `'${process.execPath}' '/srv/fedi/.fedi/tool/dist/fedi-setup.js' 'maintain' '--dir' '/srv/fedi'`,
  );
  expect(line).toMatch(/ # fedi-setup fedi \/srv\/fedi$/);
});

test.each(['/srv/a b', "/srv/it's", '/srv/50%', '/srv/$HOME', '/srv/a;b'])(
  'cron: a shell runs it in %j',
  (name) => {
    const folder = join(tempFolder(), name);
    mkdirSync(join(folder, '.fedi/tool/dist'), { recursive: true });
    writeFileSync(
      join(folder, '.fedi/tool/dist/fedi-setup.js'),
      'console.log(JSON.stringify(process.argv.slice(2)))',
    );
    // What cron does with %: a bare one ends the command, an escaped one is literal.
    const command = cronLine(job(folder))
      .split(' ')
      .slice(5)
      .join(' ')
      .replaceAll('\\%', '%')
      .replace('>/dev/null 2>&1', '');
    const { stdout, status } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
    expect([status, JSON.parse(stdout)]).toEqual([0, ['maintain', '--dir', folder]]);
  },
);

test('another engine is passed on', () => {
  expect(cronLine(job('/srv/fedi', { dockerHost: 'unix:///run/user/1000/docker.sock' }))).toContain(
    "DOCKER_HOST='unix:///run/user/1000/docker.sock' '",
  );
  expect(unitTexts(job('/srv/fedi', { dockerHost: 'unix:///a' }))['fedi-setup-fedi.service']).toContain(
    'Environment="DOCKER_HOST=unix:///a"\n',
  );
});

test('systemd accepts the units', () => {
  const folder = tempFolder();
  const texts = unitTexts(job('/srv/a "b" 50% $x', { user: 'root', checks: true }));
  expect(texts['fedi-setup-fedi.service']).toContain('"/srv/a \\"b\\" 50%% $$x"');
  const paths = Object.entries(texts).map(([name, text]) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  });
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', ...paths], { encoding: 'utf8' });
  if (status === null) return; // not installed
  expect(stderr).not.toMatch(/fedi-setup-fedi.*(?:Unknown|Failed|Invalid|missing)/i);
});

test('with a status page: a second line every 5 minutes, which the shell runs, and a second pair of units', () => {
  const folder = join(tempFolder(), 'a b');
  const lines = cronLines(job(folder, { checks: true }));
  expect(lines).toHaveLength(2);
  expect(lines[0]).toBe(cronLine(job(folder)));
  expect(lines[1]).toMatch(
    /^[0-4]-59\/5 \* \* \* \* PATH=\S+ '.*' 'maintain' 'check' '--dir' '.*\/a b' .* # fedi-setup fedi .*a b$/,
  );
  const texts = unitTexts(job('/srv/fedi', { checks: true }));
  expect(Object.keys(texts)).toEqual([
    'fedi-setup-fedi.service',
    'fedi-setup-fedi.timer',
    'fedi-setup-fedi.check.service',
    'fedi-setup-fedi.check.timer',
  ]);
  expect(texts['fedi-setup-fedi.check.service']).toContain('"maintain" "check" "--dir" "/srv/fedi"\n');
  expect(texts['fedi-setup-fedi.check.timer']).toContain('\nOnCalendar=*:0/5\n');
  expect(texts['fedi-setup-fedi.timer']).toContain('\nOnCalendar=hourly\n');
});
