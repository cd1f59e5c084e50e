/** What `status` shows for a state of a site, as text. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { headline, jobsText, peopleText, screen } from '../../../wizard/status/screen.ts';
import type { AppState, ListedService, SiteState } from '../../../wizard/status/state.ts';

const NOW = '2026-06-15T12:00:00.000Z';
const GIB = 1024 ** 3;
const hoursAgo = (hours: number): string => new Date(Date.parse(NOW) - hours * 3_600_000).toISOString();

const service = (name: string, more: Partial<ListedService> = {}): ListedService => ({
  service: name,
  app: name.split('_')[0] === 'caddy' ? null : (name.split('_')[0] ?? null),
  container: { state: 'running', health: 'healthy', restarts: 0 },
  seen: 'running (healthy)',
  fault: null,
  remark: null,
  isStarting: false,
  ...more,
});

const MASTODON: AppState = {
  id: 'mastodon',
  name: 'Mastodon',
  url: 'https://social.example.org',
  state: 'runs',
  version: 'v4.6.5',
  newer: 'v4.6.6',
  people: { accounts: 1234, active: 321, posts: 45_678, at: null },
  jobs: { waiting: 5, oldestSeconds: 12, later: 3, failed: 2, queues: { push: 4, default: 1 } },
};
const SNAC: AppState = {
  id: 'snac',
  name: 'snac',
  url: 'https://snac.example.org',
  state: 'runs',
  version: '2.96',
  newer: null,
  people: { accounts: 1, active: 1, posts: 31, at: null },
  jobs: { waiting: 0, oldestSeconds: null, later: 0, failed: 0, queues: {} },
};
const SERVICES = ['caddy', 'mastodon_db', 'mastodon_valkey', 'mastodon_web', 'mastodon_sidekiq', 'snac'];

const site = (more: Partial<SiteState> = {}): SiteState => ({
  site: 'fedi',
  folder: '/srv/fedi',
  at: NOW,
  state: 'runs',
  notes: [],
  services: SERVICES.map((name) => service(name)),
  apps: [MASTODON, SNAC],
  disk: {
    at: hoursAgo(6),
    parts: [
      { what: 'media', bytes: 20 * GIB, cached: 15 * GIB },
      { what: 'database', bytes: 2 * GIB, cached: null },
      { what: 'Valkey', bytes: 70_000, cached: null },
      { what: 'other', bytes: 5 * 1024 ** 2, cached: null },
    ],
    images: 1.5 * GIB,
    free: [{ path: '/', bytes: 40 * GIB }],
    fullInDays: 40,
    isForecast: true,
  },
  memory: { total: 4 * GIB, available: 1 * GIB, site: 2.2 * GIB },
  certificates: [
    { name: 'social.example.org', to: hoursAgo(-89 * 24 - 1), issuer: 'Let’s Encrypt E7' },
    { name: 'snac.example.org', to: hoursAgo(-42 * 24 - 1), issuer: 'Let’s Encrypt E7' },
  ],
  mail: { mode: 'smtp', server: 'mail.example.org', proof: { at: hoursAgo(72), ok: true } },
  backup: {
    isConfigured: true,
    last: { at: hoursAgo(5), bytes: 3 * GIB },
    drill: { at: hoursAgo(12 * 24), ok: true },
    sheet: hoursAgo(12 * 24),
  },
  receipt: { at: hoursAgo(72), proven: true, isCurrent: true, failed: [] },
  page: null,
  maintained: hoursAgo(0.5),
  advice: [],
  ...more,
});

const text = (more: Partial<SiteState> = {}, options = {}): string => screen(site(more), options).join('\n');

test('a healthy site', () => {
  expect(text()).toBe(`✔ Mastodon and snac run.
  Site fedi in /srv/fedi

✔ Mastodon    v4.6.5 at https://social.example.org
              v4.6.6 is available: \`fedi-setup upgrade\`
  people      1,234 accounts, 321 active this month, 45,678 posts
  jobs        5 wait, the oldest for 12 s, in push 4, default 1; 3 due later;
              2 failed

✔ snac        2.96 at https://snac.example.org
  people      1 account, 1 active this month, 31 posts
  jobs        none wait

Disk          40.0 GB free; full in 40 days at this rate
              media 20.0 GB (15.0 GB of it cache), database 2.0 GB, images
              1.5 GB, other 5 MB (6 hours ago)
Memory        3.0 GB of 4.0 GB used on this host, 2.2 GB by the site
Certificates  2 served, the first expires in 42 days (snac.example.org)
Mail          smtp, mail.example.org; the last test mail was accepted 3 days ago
Backup        5 hours ago, 3.0 GB; drill 12 days ago; recovery sheet 12 days ago
Receipt       all proofs succeeded 3 days ago

Nothing to do.`);
});

test('the guide shows this screen', () => {
  const guide = readFileSync(new URL('../../../docs/guides/watching.md', import.meta.url), 'utf8');
  expect(guide).toContain(`\`\`\`\n${text()}\n\`\`\`\n`);
});

test('a stopped container: what does not run comes first', () => {
  const stopped = service('mastodon_sidekiq', {
    container: { state: 'exited', health: undefined, restarts: 0 },
    seen: 'exited with code 137',
    fault: 'has stopped, with exit code 137',
  });
  const shown = text({
    state: 'fails',
    services: SERVICES.map((name) => (name === stopped.service ? stopped : service(name))),
    apps: [{ ...MASTODON, state: 'fails' }, SNAC],
    advice: [
      {
        what: 'A job of Mastodon has waited for 12 min.',
        next: 'Look at `fedi-setup logs mastodon`.',
        at: null,
      },
    ],
  });
  expect(shown.split('\n').slice(0, 6)).toEqual([
    '✖ Mastodon does not run completely; snac runs.',
    '  Site fedi in /srv/fedi',
    '  ! mastodon_sidekiq has stopped, with exit code 137',
    '    `fedi-setup doctor` shows why. `fedi-setup start` starts what you stopped.',
    '',
    '✖ Mastodon    v4.6.5 at https://social.example.org',
  ]);
  expect(shown.split('\n').slice(-2)).toEqual([
    'To do',
    '  ! A job of Mastodon has waited for 12 min. Look at `fedi-setup logs mastodon`.',
  ]);
});

test('nothing was measured, backed up or proven yet', () => {
  const shown = text({
    disk: { at: null, parts: [], images: null, free: [], fullInDays: null, isForecast: false },
    memory: { total: 4 * GIB, available: GIB, site: null },
    certificates: [{ name: 'snac.example.org', to: null, issuer: null }],
    mail: { mode: 'smtp', server: 'mail.example.org', proof: null },
    backup: { isConfigured: true, last: null, drill: null, sheet: null },
    receipt: null,
    maintained: null,
    apps: [{ ...SNAC, version: null, people: null, jobs: null }],
  });
  expect(shown).toBe(`✔ snac runs.
  Site fedi in /srv/fedi

✔ snac        version unknown at https://snac.example.org
  people      unknown
  jobs        unknown

Disk          free space unknown; no forecast yet: it needs a week of readings
              the rest is unknown until \`fedi-setup maintain\` measures it
Memory        3.0 GB of 4.0 GB used on this host, unknown by the site
Certificates  no answer for snac.example.org
Mail          smtp, mail.example.org; not tried yet
Backup        none yet: run \`fedi-setup backup\`
Receipt       not proven yet: run \`fedi-setup apply\`

Nothing to do.`);
});

test('an external database, your own proxy, no mail, no backups', () => {
  const shown = text({
    apps: [{ ...MASTODON, newer: null, jobs: null }],
    services: ['caddy', 'mastodon_web'].map((name) => service(name)),
    certificates: null,
    mail: { mode: 'none', server: null, proof: null },
    backup: { isConfigured: false, last: null, drill: null, sheet: null },
    disk: { ...site().disk, parts: [{ what: 'media', bytes: 3 * GIB, cached: null }] },
  });
  expect(shown).toContain('              media 3.0 GB, images 1.5 GB, other 0 KB (6 hours ago)\n');
  expect(shown).toContain('Certificates  your own proxy has them\n');
  expect(shown).toContain('Mail          none\n');
  expect(shown).toContain('Backup        none configured\n');
});

test('a site that was stopped to move it', () => {
  const shown = text({
    state: 'down',
    services: [],
    apps: [{ ...SNAC, state: 'down', people: { accounts: 1, active: 1, posts: 31, at: hoursAgo(30) }, jobs: null }], // prettier-ignore
    notes: ['Stopped to move it to another host. `fedi-setup backup resume` cancels the move.'],
    certificates: [{ name: 'snac.example.org', to: null, issuer: null }],
  });
  expect(shown.split('\n').slice(0, 8)).toEqual([
    '✖ The site does not run.',
    '  Site fedi in /srv/fedi',
    '  ! Stopped to move it to another host. `fedi-setup backup resume` cancels the',
    '    move.',
    '',
    '✖ snac        2.96 at https://snac.example.org',
    '  people      1 account, 1 active this month, 31 posts (30 hours ago)',
    '  jobs        unknown',
  ]);
});

test('a site whose containers are all stopped: one line; many at fault: the first five', () => {
  const stopped = SERVICES.map((name) =>
    service(name, {
      container: { state: 'exited', health: undefined, restarts: 0 },
      seen: 'exited with code 0',
      fault: 'has stopped, with exit code 0',
    }),
  );
  const apps = [MASTODON, SNAC].map((app) => ({ ...app, state: 'down' as const }));
  expect(text({ state: 'down', services: stopped, apps }).split('\n').slice(0, 4)).toEqual([
    '✖ Mastodon and snac do not run.',
    '  Site fedi in /srv/fedi',
    '  ! All containers are stopped. `fedi-setup start` starts them.',
    '',
  ]);
  const notes = ['Stopped to move it to another host. `fedi-setup backup resume` cancels the move.'];
  expect(text({ state: 'down', services: stopped, apps, notes })).not.toContain('`fedi-setup start`');
  const restarting = stopped.map(
    (one, i) =>
    i > 0 ? one : { ...one, container: { state: 'restarting', health: undefined, restarts: 9 }, fault: 'stops again and again' }, // prettier-ignore
  );
  const many = text({ state: 'down', services: restarting, apps });
  expect(many).toContain('  ! caddy stops again and again\n');
  expect(many).toContain('    and 1 more: `fedi-setup status --all`\n');
  expect(text({ state: 'down', services: restarting, apps }, { all: true })).not.toContain(' more: ');
});

test('an upgrade in progress', () => {
  const starts = service('mastodon_web', { seen: 'running (starting)', isStarting: true });
  const shown = text({
    state: 'starts',
    services: SERVICES.map((name) => (name === 'mastodon_web' ? starts : service(name))),
    apps: [{ ...MASTODON, state: 'starts', newer: null }, SNAC],
    notes: ['The upgrade of Mastodon to v4.6.6 is in progress.'],
  });
  expect(shown.split('\n').slice(0, 6)).toEqual([
    '… Mastodon is starting; snac runs.',
    '  Site fedi in /srv/fedi',
    '  ! The upgrade of Mastodon to v4.6.6 is in progress.',
    '    not ready yet: mastodon_web',
    '',
    '… Mastodon    v4.6.5 at https://social.example.org',
  ]);
});

describe('the first line', () => {
  const apps = [MASTODON, SNAC];
  const services = SERVICES.map((name) => service(name));
  test.each([
    [{ state: 'runs', apps: [SNAC], services }, '✔ snac runs.'],
    [{ state: 'down', apps, services: [] }, '✖ The site does not run.'],
    [
      { state: 'fails', apps, services: [service('caddy', { fault: 'is unhealthy' }), ...services.slice(1)] },
      '✖ Mastodon and snac run; caddy is unhealthy.',
    ],
    [
      { state: 'fails', apps: [MASTODON, { ...SNAC, state: 'down' }], services },
      '✖ snac does not run; Mastodon runs.',
    ],
    [
      { state: 'down', apps: apps.map((app) => ({ ...app, state: 'down' as const })), services },
      '✖ Mastodon and snac do not run.',
    ],
  ] as const)('%#', (state, line) => expect(headline(state)).toBe(line));
});

test.each([
  [{ waiting: 1, oldestSeconds: 300, later: 0, failed: 0, queues: {} }, '1 waits, the oldest for 5 min'],
  [{ waiting: 2, oldestSeconds: null, later: 0, failed: 1, queues: {} }, '2 wait; 1 failed'],
  [{ waiting: 9, oldestSeconds: 7200, later: 0, failed: 0, queues: { a: 1, b: 4, c: 2, d: 2 } }, '9 wait, the oldest for 2 hours, in b 4, c 2, d 2'], // prettier-ignore
  [{ waiting: 0, oldestSeconds: null, later: 1200, failed: 0, queues: {} }, 'none wait; 1,200 due later'], // prettier-ignore
])('jobs: %o', (jobs, words) => expect(jobsText({ jobs })).toBe(words));

test.each([
  [{ accounts: null, active: null, posts: 3, at: null }, 'accounts unknown, 3 posts'],
  [{ accounts: 2, active: null, posts: null, at: hoursAgo(0.5) }, '2 accounts, posts unknown (30 min ago)'],
])('people: %o', (people, words) => expect(peopleText({ people }, NOW)).toBe(words));

test.each([
  [{ fullInDays: 1, isForecast: true }, 'full in 1 day at this rate'],
  [{ fullInDays: null, isForecast: true }, 'it will not be full for years'],
  [{ fullInDays: 9999, isForecast: true }, 'it will not be full for years'],
  [{ fullInDays: null, isForecast: false }, 'no forecast yet: it needs a week of readings'],
])('the forecast: %o', (part, words) => expect(text({ disk: { ...site().disk, ...part } })).toContain(words));

test.each([
  [
    { at: hoursAgo(72), proven: true, isCurrent: false, failed: [] },
    'changed since the proof 3 days ago: run',
  ],
  [{ at: hoursAgo(1), proven: false, isCurrent: true, failed: ['NodeInfo', 'Mail'] }, 'proof failed 1 hour ago: NodeInfo; Mail'], // prettier-ignore
])('the receipt: %o', (receipt, words) => expect(text({ receipt })).toContain(words));

test('certificates: one that expired, and one name without', () => {
  const certificates = [
    { name: 'a.example.org', to: hoursAgo(2), issuer: null },
    { name: 'b.example.org', to: null, issuer: null },
    { name: 'c.example.org', to: hoursAgo(-30), issuer: null },
  ];
  expect(text({ certificates })).toContain(
    'Certificates  2 served, that of a.example.org has expired; no answer for\n              b.example.org',
  );
  expect(text({ certificates: certificates.slice(2) })).toContain('1 served, valid for 30 hours');
});

test('a mail that was refused, and a drill that was not complete', () => {
  const { mail, backup } = site();
  expect(text({ mail: { ...mail, proof: { at: hoursAgo(3), ok: false } } })).toContain(
    'the last test mail was not accepted\n              3 hours ago',
  );
  expect(text({ backup: { ...backup, drill: { at: hoursAgo(3), ok: false }, sheet: null } })).toContain(
    '; drill 3 hours ago: not complete; no recovery',
  );
});

test('advice: the first five, and all of it with --all, which lists the containers too', () => {
  const advice = Array.from({ length: 7 }, (_, i) => ({ what: `Finding ${i}.`, next: '', at: i === 4 ? hoursAgo(2) : null })); // prettier-ignore
  const few = text({ advice });
  expect(few).toContain('  ! Finding 4. (found 2 hours ago)\n    and 2 more: `fedi-setup status --all`');
  expect(few).not.toContain('Finding 5.');
  expect(few).not.toContain('Containers\n');
  const all = text({ advice }, { all: true });
  expect(all).toContain('  ! Finding 6.');
  expect(all).not.toContain(' more:');
  expect(all).toContain('Containers\n  caddy             running (healthy)\n');
});

test.each([40, 80, 100])('no line is longer than %i columns, except for one word or command', (width) => {
  const advice = [{ what: 'word '.repeat(60), next: 'Do something.', at: hoursAgo(1) }];
  const long = screen(site({ advice, notes: ['note '.repeat(40)] }), { width }).filter(
    (line) => line.length > width,
  );
  expect(long.filter((line) => line.trim().includes(' ') && !line.includes('`'))).toEqual([]);
});

test('a remark about a container that runs', () => {
  const restarted = service('snac', { remark: 'was restarted 5 times' });
  expect(text({ services: [service('caddy'), restarted] })).toContain('  ! snac was restarted 5 times\n');
});

test('two apps fit on a screen', () => expect(screen(site()).length).toBeLessThanOrEqual(30));
