/** The mail server is tried before anything is written, and by `mail test`: a real Postfix, from inside containers. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { MAIL_HOST, MAIL_PASSWORD, MAIL_USER, OTHER_HOST, STRANGER, postfix } from '../support/postfix.ts';
import { testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const PATIENCE_MS = 30 * 60_000;
// Removed first: a leftover of an aborted run would block the site's network.
const server = await postfix('test-mai-postfix');
const site = testSite('mai', 211, 'mai.fedi.test');
const TO = 'anna@fedi.test';
const smtp = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  ...site.env,
  FEDI_MAIL_MODE: 'smtp',
  FEDI_MAIL_HOST: MAIL_HOST,
  FEDI_MAIL_PORT: '587',
  FEDI_MAIL_USER: MAIL_USER,
  FEDI_MAIL_PASSWORD: MAIL_PASSWORD,
  ...more,
});
afterAll(() => {
  server.remove();
  site.remove();
});

const steps = ({ events }: Run, start: string): string[] =>
  events.flatMap(({ event, id, state, note }) =>
    event === 'step' && String(id).startsWith(start) && state !== 'start'
      ? [`${String(id)} ${String(state)}: ${String(note)}`]
      : [],
  );
const error = ({ events }: Run): string => JSON.stringify(events.find(({ event }) => event === 'problem'));
const mail = (...argv: string[]): Promise<Run> =>
  tool(['mail', ...argv, '--dir', site.folder, '--json'], { env: site.env });
async function arrived(count: number): Promise<string> {
  for (const deadline = Date.now() + 60_000; ; await delay(250)) {
    const inbox = server.inbox();
    if ([...inbox.matchAll(/^Subject: /gm)].length >= count) return inbox;
    if (Date.now() > deadline) throw new Error(`fewer than ${count} mails: ${inbox}`);
  }
}

describe.sequential('snac', { timeout: PATIENCE_MS }, () => {
  test('a first run with a name that does not exist: refused, nothing is written', async () => {
    const run = await site.apply(['--tls-root-file', '-'], { env: smtp(), stdin: server.root });
    expect(run.code).toBe(2);
    expect(error(run)).toContain(`${MAIL_HOST} does not exist in the DNS`);
    expect(error(run)).toContain('--skip-check mail skips this');
    expect(() => site.read('compose.yaml')).toThrow('ENOENT');
    expect(site.containers()).toEqual({});
  });

  test('--skip-check mail: written untried, and the receipt says so', async () => {
    const run = await site.apply(['--tls-root-file', '-', '--skip-check', 'mail'], {
      env: smtp(),
      stdin: server.root,
    });
    expect(steps(run, 'trial.mail')).toEqual(['trial.mail skipped: not tried (--skip-check mail)']);
    expect(run.code).toBe(5);
    expect(await receipt()).toMatchObject({ untested: ['mail'] });
    await server.start(`${site.name}_snac_front`);
  });

  test.each<[string, NodeJS.ProcessEnv, string]>([
    ['a wrong password', { FEDI_MAIL_PASSWORD: 'wrong' }, `it rejected the log-in of ${MAIL_USER} (535`],
    ['TLS on 587', { FEDI_MAIL_SECURITY: 'tls' }, 'port 587 starts unencrypted'],
    [
      'a closed port',
      { FEDI_MAIL_PORT: '2525', FEDI_MAIL_SECURITY: 'tls' },
      'no connection to port 2525 (Connection refused); containers here reach its ports 465, 587 and 25',
    ],
    [
      'someone else’s certificate',
      { FEDI_MAIL_HOST: OTHER_HOST },
      `it belongs to ${MAIL_HOST}, not to ${OTHER_HOST}`,
    ],
    [
      'a log-in on 25',
      { FEDI_MAIL_PORT: '25', FEDI_MAIL_SECURITY: 'none' },
      'it offers no log-in on port 25 without encryption',
    ],
    [
      'a recipient elsewhere',
      { FEDI_SNAC_EMAIL: 'anna@elsewhere.test' },
      'it rejected mail from snac to anna@elsewhere.test',
    ],
  ])('%s: refused before anything is written', async (_, more, words) => {
    const [before, containers] = [site.read('fedi.yaml'), site.containers()];
    const run = await site.apply([], { env: smtp(more) });
    expect([run.code, error(run)]).toEqual([2, expect.stringContaining(words)]);
    expect(site.read('fedi.yaml')).toBe(before);
    expect(site.containers()).toEqual(containers);
    expect(`${run.stdout}${run.stderr}`).not.toContain('half');
  });

  test('the right settings of another port: tried, written, proven', async () => {
    const run = await site.apply([], { env: smtp({ FEDI_MAIL_PORT: '465', FEDI_MAIL_SECURITY: 'tls' }) });
    expect(steps(run, 'trial.mail')).toEqual([
      `trial.mail done: log-in as ${MAIL_USER}, by AUTH PLAIN (snac)`,
    ]);
    expect(run.code).toBe(0);
    expect(await receipt()).not.toHaveProperty('untested');
  });

  test('a run that changes something else does not try it again', async () => {
    const run = await site.apply([], {
      env: smtp({
        FEDI_MAIL_PORT: '465',
        FEDI_MAIL_SECURITY: 'tls',
        FEDI_CLEANUP_EVERY: '9',
        FEDI_MAIL_PASSWORD: undefined,
      }),
    });
    expect([run.code, steps(run, 'trial.mail')]).toEqual([0, []]);
  });

  test('mail test: every rung, and no mail', async () => {
    server.empty();
    const run = await mail('test');
    expect(run.code).toBe(0);
    expect(steps(run, 'mail.')).toEqual([
      expect.stringMatching(new RegExp(`^mail.resolve done: ${MAIL_HOST} is [\\d.]+$`)),
      expect.stringMatching(/^mail\.connect done: port 465 of [\d.]+$/),
      expect.stringMatching(/^mail\.tls done: TLSv1\.3$/),
      expect.stringContaining(`mail.certificate done: for ${MAIL_HOST}, by mail test CA, valid until `),
      expect.stringContaining(`mail.greeting done: 220 ${MAIL_HOST} ESMTP Postfix`),
      expect.stringMatching(/^mail\.extensions done: .*AUTH/),
      `mail.login done: ${MAIL_USER}, by AUTH PLAIN (snac)`,
      `mail.sender done: snac-daemon@${site.domain} (snac)`,
      `mail.recipient done: ${TO} (250 2.1.5 Ok)`,
    ]);
    expect(server.inbox()).toBe('');
  });

  test('mail test ADDRESS: a real mail arrives', async () => {
    const run = await mail('test', 'berta@fedi.test');
    expect([run.code, steps(run, 'mail.mail')]).toEqual([
      0,
      [expect.stringContaining('mail.mail done: from snac to berta@fedi.test: 250 2.0.0 Ok: queued as')],
    ]);
    const inbox = await arrived(1);
    expect(inbox).toContain(`From: snac-daemon@${site.domain}`);
    expect(inbox).toContain('To: berta@fedi.test');
    expect(inbox).toContain(`(Authenticated sender: ${MAIL_USER})`);
  });

  test('mail test to an address that the server refuses: exit 1', async () => {
    const run = await mail('test', 'berta@elsewhere.test');
    expect([run.code, error(run)]).toEqual([1, expect.stringContaining('did not pass: Recipient')]);
    expect(steps(run, 'mail.recipient')[0]).toContain('mail.recipient failed: it rejected mail from snac to');
  });
});

describe.sequential('all apps', { timeout: PATIENCE_MS }, () => {
  const apps = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
    ...smtp({ FEDI_MAIL_PORT: '465', FEDI_MAIL_SECURITY: 'tls', FEDI_MAIL_FROM: 'notifications@fedi.test' }),
    ...mastodonAnswers('mastodon.mai.fedi.test'),
    ...pixelfedAnswers('pixelfed.mai.fedi.test'),
    FEDI_APPS: 'mastodon,pixelfed,snac',
    FEDI_SNAC_DOMAIN: site.domain,
    ...more,
  });

  test('a sender that the server refuses: names the apps that use it, and not snac', async () => {
    const run = await site.apply([], { env: apps({ FEDI_MAIL_FROM: STRANGER }) });
    expect(run.code).toBe(2);
    for (const name of ['Mastodon', 'Pixelfed'])
      expect(error(run)).toContain(`it rejected ${STRANGER} as the sender of ${name}`);
    expect(error(run)).not.toContain('the sender of snac');
    expect(Object.keys(site.containers())).not.toContain('mastodon_web');
  });

  test('each logs in as its library does', async () => {
    const run = await site.apply([], { env: apps() });
    expect(steps(run, 'trial.mail')).toEqual([
      `trial.mail done: log-in as ${MAIL_USER}, by AUTH PLAIN (snac, Mastodon) and AUTH LOGIN (Pixelfed)`,
    ]);
  });
});

async function receipt(): Promise<unknown> {
  const { readdir } = await import('node:fs/promises');
  const names = (await readdir(`${site.folder}/.fedi/receipts`)).toSorted();
  return JSON.parse(site.read(`.fedi/receipts/${names.at(-1)}`));
}
