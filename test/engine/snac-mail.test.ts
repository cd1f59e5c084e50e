/** Mail of snac: the receipt sends one with snac's settings to a real Postfix, and every refusal has its own message. */
import { spawnSync } from 'node:child_process';
import { afterAll, describe, expect, test } from 'vitest';
import { sender, snacMail, snacMailOutcome } from '../../wizard/apps/snac/mail.ts';
import type { SmtpSettings } from '../../wizard/config/mail.ts';
import { mailEvidence } from '../../wizard/prove/mail.ts';
import { MAIL_HOST, MAIL_PASSWORD, MAIL_USER, OTHER_HOST, postfix } from '../support/postfix.ts';
import { docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

// Removed first: a leftover of an aborted run would block the site's network.
const server = await postfix('test-snac-mail-postfix');
const site = testSite('snac-mail', 141, 'snac-mail.fedi.test');
const TO = 'anna@fedi.test';
const env = {
  ...site.env,
  FEDI_MAIL_MODE: 'smtp',
  FEDI_MAIL_HOST: MAIL_HOST,
  FEDI_MAIL_PORT: '587',
  FEDI_MAIL_USER: MAIL_USER,
  FEDI_MAIL_PASSWORD: MAIL_PASSWORD,
};
afterAll(() => {
  server.remove();
  site.remove();
});
const proof = (run: Run): Run['events'][number] | undefined =>
  run.events.find((event) => event.event === 'proof' && event['id'] === 'mail');

describe.sequential('mail of snac', () => {
  test('an unreachable server: not proven', async () => {
    const run = await site.apply(['--tls-root-file', '-', '--skip-check', 'mail'], {
      env,
      stdin: server.root,
    });
    expect([run.code, proof(run)]).toMatchObject([5, { ok: false }]);
    expect(proof(run)?.['seen']).toBe(
      `${MAIL_HOST}:587: ${MAIL_HOST} does not exist in the DNS (curl: (6) Could not resolve host: ${MAIL_HOST})`,
    );
    await server.start(`${site.name}_snac_front`);
  });

  test('`prove` sends a mail until one was accepted, then only on request', async () => {
    const prove = (...argv: string[]) => tool(['prove', '--dir', site.folder, '--json', ...argv], { env });
    const run = await prove();
    expect(proof(run)?.['seen']).toContain(`accepted by ${MAIL_HOST}:587 for ${TO}: 250 2.0.0 Ok`);
    expect(run.code).toBe(0);
    expect(server.inbox()).toMatch(/^Subject: Mail from snac-mail\.fedi\.test works\r?$/m);
    expect(server.inbox()).toMatch(/^From: snac-daemon@snac-mail\.fedi\.test\r?$/m);
    expect(server.inbox()).toContain(`(Authenticated sender: ${MAIL_USER})`);
    expect(server.inbox()).toMatch(/using TLSv1\.[23]/);
    expect(proof(await prove())).toBeUndefined();
    expect(proof(await prove('--mail'))).toMatchObject({ ok: true });
    expect(`${run.stdout}${run.stderr}`).not.toContain('half');
  });

  test.each<[string, number, Record<string, string>, Partial<SmtpSettings>, string]>([
    [`smtps://${MAIL_HOST}:465`, 465, {}, { security: 'tls' }, 'accepted by'],
    [`smtp://${MAIL_HOST}:25`, 25, { smtp_username: '' }, { security: 'none' }, 'accepted by'],
    [`smtp://${MAIL_HOST}:587`, 587, { smtp_password: 'wrong' }, {}, 'rejected the log-in of anna@'],
    [`smtp://${MAIL_HOST}:587`, 587, { smtp_username: '' }, { user: undefined }, 'requires a log-in'],
    [`smtps://${MAIL_HOST}:587`, 587, {}, { security: 'tls' }, 'port 587 starts unencrypted'],
    [`smtp://${OTHER_HOST}:587`, 587, {}, { host: OTHER_HOST }, 'certificate is not trusted'],
    [`smtp://${MAIL_HOST}:2525`, 2525, {}, {}, 'nothing listens on port 2525'],
  ])('%s, %i, %j', (url, port, more, mail, words) => {
    const container = site.containers()['snac'] ?? '';
    const changed = JSON.stringify({ smtp_url: url, ...more });
    const file = docker('exec', container, 'jq', '--compact-output', `. + ${changed}`, '/data/server.json');
    const app = { id: 'snac', domain: site.domain, admin: 'anna', email: TO };
    const [program = '', option = '', script = '', ...rest] = snacMail(app, new Date()).argv;
    // The same command with another settings file.
    const { status, stdout, stderr } = spawnSync(
      'docker',
      [
        'exec',
        '--interactive',
        container,
        program,
        option,
        script.replace('/data/server.json', '-'),
        ...rest,
      ],
      { input: file, encoding: 'utf8' },
    );
    const outcome = snacMailOutcome({ code: status ?? 1, stdout, stderr });
    const settings: SmtpSettings = {
      host: MAIL_HOST,
      port,
      security: 'starttls',
      user: MAIL_USER,
      auth: 'plain',
      from: '',
      ...mail,
    };
    let message: string;
    try {
      message = mailEvidence(settings, TO, outcome, sender(app));
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain(words);
    expect(message).not.toContain(Buffer.from(MAIL_PASSWORD).toString('base64').slice(0, 8));
  });
});
