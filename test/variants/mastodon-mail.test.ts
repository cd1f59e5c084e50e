/** Real outgoing mail: Mastodon sends, Postfix accepts or refuses, and every refusal has its own message. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { mastodonMail, mastodonMailOutcome } from '../../wizard/apps/mastodon/mail.ts';
import type { SmtpSettings } from '../../wizard/config/mail.ts';
import { mailEvidence } from '../../wizard/prove/mail.ts';
import { isOfficial, mastodonAnswers } from '../support/mastodon-images.ts';
import { MAIL_HOST, MAIL_PASSWORD, MAIL_USER, OTHER_HOST, STRANGER, postfix } from '../support/postfix.ts';
import { testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

/** A change is a restart of the real Rails, twice; a busy machine takes minutes for each. */
const PATIENCE_MS = 30 * 60_000;
const DELIVERY_MS = 60_000;

// Removed first: a leftover of an aborted run would block the site's network.
const server = await postfix('test-mail-postfix');
const site = testSite('mail', 77, 'mail-test.fedi.test');
const ADDRESS = 'anna@fedi.test';
const base: NodeJS.ProcessEnv = { ...site.env, ...mastodonAnswers(site.domain) };
const smtp = (more: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  ...base,
  FEDI_MAIL_MODE: 'smtp',
  FEDI_MAIL_HOST: MAIL_HOST,
  FEDI_MAIL_FROM: 'notifications@fedi.test',
  ...more,
});
const LOGIN: NodeJS.ProcessEnv = { FEDI_MAIL_USER: MAIL_USER, FEDI_MAIL_PASSWORD: MAIL_PASSWORD };

afterAll(() => {
  server.remove();
  site.remove();
});

const proof = (run: Run): Run['events'][number] | undefined =>
  run.events.find((event) => event.event === 'proof' && event['id'] === 'mail');
const open = (run: Run): unknown[] =>
  run.events.filter((event) => event.event === 'proof' && event['ok'] !== true).map(({ id }) => id);
/** Waits for the first mail: the server delivers it a moment after it accepted it. */
async function arrived(): Promise<string[]> {
  const deadline = Date.now() + DELIVERY_MS;
  while (subjects().length === 0) {
    if (Date.now() > deadline) throw new Error('nothing arrived');
    await delay(250);
  }
  return subjects();
}
const subjects = (): string[] =>
  [...server.inbox().matchAll(/^Subject: (.*)$/gm)].map(([, subject = '']) => subject.trim());
let prior: Run;
const seen = (): string => String(proof(prior)?.['seen']);

/** Applies other mail answers; returns the services with a new container. */
async function change(env: NodeJS.ProcessEnv, ...argv: string[]): Promise<string[]> {
  const before = site.containers();
  prior = await site.apply(argv, { env });
  const after = site.containers();
  expect(Object.keys(after).toSorted()).toEqual(Object.keys(before).toSorted());
  return Object.keys(after)
    .filter((service) => before[service] !== after[service])
    .toSorted();
}

/** Services with mail variables. No service depends on these two, so no other is recreated. */
const SENDERS = ['mastodon_sidekiq', 'mastodon_web'];

describe.sequential('outgoing mail', { timeout: PATIENCE_MS }, () => {
  test('without mail: a site, no mail proof', async () => {
    const run = await site.apply(['--tls-root-file', '-'], { env: base, stdin: server.root });
    expect(open(run)).toEqual([]);
    expect(run.code).toBe(0);
    expect(proof(run)).toBeUndefined();
    await server.start(`${site.name}_mastodon_front`);
  });

  test('587 with STARTTLS and a log-in; recreates only web and Sidekiq', async () => {
    const renewed = await change(smtp({ FEDI_MAIL_PORT: '587', FEDI_MAIL_SECURITY: 'starttls', ...LOGIN }));
    expect(seen()).toContain(`accepted by ${MAIL_HOST}:587 for ${ADDRESS}: 250 2.0.0 Ok`);
    expect(open(prior)).toEqual([]);
    expect(prior.code).toBe(0);
    expect(renewed).toEqual(SENDERS);
    expect(await arrived()).toEqual([`Mail from ${site.domain} works`]);
    expect(server.inbox()).toMatch(/^From: notifications@fedi\.test\r?$/m);
    expect(server.inbox()).toContain('(Authenticated sender: anna@fedi.test)');
    expect(server.inbox()).toMatch(/using TLSv1\.[23]/);
  });

  test.skipIf(!isOfficial)('Mastodon’s own mails use the same server', async () => {
    server.empty();
    const { status, stderr } = spawnSync(
      'docker',
      ['exec', '--interactive', `${site.name}-mastodon_web-1`, 'bundle', 'exec', 'rails', 'runner', '-'],
      { input: `User.find_by!(email: '${ADDRESS}').send_reset_password_instructions\n`, encoding: 'utf8' },
    );
    expect(status, stderr).toBe(0);
    expect((await arrived()).join()).toMatch(/Reset password/i);
  });

  test('prove sends no second mail, except on request', async () => {
    server.empty();
    const quiet = await tool(['prove', '--dir', site.folder, '--json'], { env: base });
    expect(quiet.code).toBe(0);
    expect(proof(quiet)).toBeUndefined();
    expect(subjects()).toEqual([]);
    const asked = await tool(['prove', '--mail', '--dir', site.folder, '--json'], { env: base });
    expect(asked.code).toBe(0);
    expect(proof(asked)).toMatchObject({ ok: true });
    expect(await arrived()).toHaveLength(1);
  });

  test('465 with TLS from the first byte', async () => {
    server.empty();
    const renewed = await change(smtp({ FEDI_MAIL_PORT: '465', FEDI_MAIL_SECURITY: 'tls', ...LOGIN }));
    expect(seen()).toContain(`accepted by ${MAIL_HOST}:465 for ${ADDRESS}`);
    expect(prior.code).toBe(0);
    expect(renewed).toEqual(SENDERS);
    expect(await arrived()).toHaveLength(1);
    expect(server.inbox()).toContain('(Authenticated sender: anna@fedi.test)');
  });

  test('25 without TLS and log-in', async () => {
    server.empty();
    // A saved answer is removed from the file, as an administrator does.
    writeFileSync(join(site.folder, 'fedi.yaml'), site.read('fedi.yaml').replace(/^ {2}user: .*\n/m, ''));
    await change(smtp({ FEDI_MAIL_PORT: '25', FEDI_MAIL_SECURITY: 'none' }));
    expect(seen()).toContain(`accepted by ${MAIL_HOST}:25 for ${ADDRESS}`);
    expect(prior.code).toBe(0);
    expect(await arrived()).toHaveLength(1);
    expect(server.inbox()).not.toContain('Authenticated sender');
    expect(server.inbox()).not.toMatch(/using TLSv1/);
  });

  test('untried, the proof reports a wrong password and a wrong mode; the next run tries again', async () => {
    const UNTRIED = ['--skip-check', 'mail'];
    server.empty();
    await change(smtp({ FEDI_MAIL_PORT: '587', FEDI_MAIL_SECURITY: 'tls', ...LOGIN }), ...UNTRIED);
    expect(prior.code).toBe(5);
    expect(open(prior)).toEqual(['mail']);
    expect(seen()).toContain('port 587 starts unencrypted. Set security to starttls');
    await change(
      smtp({ FEDI_MAIL_PORT: '587', FEDI_MAIL_SECURITY: 'starttls', ...LOGIN, FEDI_MAIL_PASSWORD: 'wrong' }),
      ...UNTRIED,
    );
    expect(prior.code).toBe(5);
    expect(open(prior)).toEqual(['mail']);
    expect(seen()).toContain(`rejected the log-in of ${MAIL_USER}`);
    expect(`${prior.stdout}${prior.stderr}`).not.toContain('half');
    expect(subjects()).toEqual([]);
    // Nothing was sent yet, so `prove` sends without a flag.
    const again = await tool(['prove', '--dir', site.folder, '--json'], { env: base });
    expect(again.code).toBe(5);
    expect(proof(again)).toMatchObject({ ok: false });
  });

  test('each refusal: the error of net-smtp, and our message', () => {
    const port = (number: number): Partial<SmtpSettings> => ({ port: number });
    const cases: readonly (readonly [Partial<SmtpSettings>, string])[] = [
      [{}, 'accepted by'],
      [{ from: STRANGER }, `rejected ${STRANGER} as the sender`],
      [port(2525), 'nothing listens on port 2525'],
      [{ host: 'nowhere.invalid' }, 'nowhere.invalid does not exist in the DNS'],
      [{ host: OTHER_HOST }, 'certificate is not trusted'],
      [{ security: 'none' }, 'it requires encryption'],
      [port(25), 'no STARTTLS on port 25'],
      [port(465), 'expects TLS on port 465'],
      [{ user: undefined }, 'requires a log-in'],
    ];
    const mails = cases.map(([more]): SmtpSettings => ({
      host: MAIL_HOST,
      port: 587,
      security: 'starttls',
      auth: 'plain',
      user: MAIL_USER,
      from: 'notifications@fedi.test',
      ...more,
    }));
    // One Rails process for all of them: its start takes longest.
    const settings = mails.map(({ host, port: number, security, user, from }) => ({
      address: host,
      port: number,
      user_name: user ?? null,
      password: user === undefined ? null : MAIL_PASSWORD,
      authentication: user === undefined ? null : 'plain',
      enable_starttls: security === 'starttls',
      from,
    }));
    const { argv, stdin } = mastodonMail({
      id: 'mastodon',
      domain: site.domain,
      admin: 'anna',
      email: ADDRESS,
    });
    const script = `
require 'json'
original = ActionMailer::Base.smtp_settings
JSON.parse(<<'SETTINGS', symbolize_names: true).each do |settings|
${JSON.stringify(settings)}
SETTINGS
  ActionMailer::Base.default from: settings.delete(:from)
  ActionMailer::Base.smtp_settings = original.merge(settings, tls: nil)
  ${stdin ?? ''}
end
`;
    const { stdout, stderr } = spawnSync(
      'docker',
      ['exec', '--interactive', `${site.name}-mastodon_sidekiq-1`, ...argv],
      { input: script, encoding: 'utf8' },
    );
    const lines = stdout.split('\n').filter((line) => line.startsWith('{"'));
    expect(lines, stderr).toHaveLength(cases.length);
    const printed = lines.map((line, i) => {
      try {
        return mailEvidence(
          mails[i] as SmtpSettings,
          ADDRESS,
          mastodonMailOutcome({ code: 0, stdout: line, stderr }),
        );
      } catch (error) {
        return (error as Error).message;
      }
    });
    expect(printed).toEqual(cases.map(([, words]) => expect.stringContaining(words)));
  });
});
