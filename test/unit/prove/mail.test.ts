/** Messages for mails that are not accepted; the errors are real ones of Ruby's net-smtp, Postfix and providers. */
import { describe, expect, test } from 'vitest';
import type { SmtpSettings } from '../../../wizard/config/mail.ts';
import { mailEvidence, mailTrouble } from '../../../wizard/prove/mail.ts';

const MAIL: SmtpSettings = {
  host: 'smtp.example.org',
  port: 587,
  security: 'starttls',
  user: 'anna',
  auth: 'plain',
  from: 'notifications@example.org',
};

test('accepted', () => {
  expect(mailEvidence(MAIL, 'anna@example.org', { accepted: '250 2.0.0 Ok: queued as 4X\n' })).toBe(
    'accepted by smtp.example.org:587 for anna@example.org: 250 2.0.0 Ok: queued as 4X',
  );
  expect(() => mailEvidence(MAIL, 'anna@example.org', { error: 'Errno::ECONNREFUSED: refused' })).toThrow(
    'smtp.example.org:587: nothing listens on port 587',
  );
});

describe('not accepted', () => {
  test.each<[string, Partial<SmtpSettings>, string]>([
    [
      'Net::SMTPAuthenticationError: 535 5.7.8 Error: authentication failed: authentication failure\n',
      {},
      'rejected the log-in of anna',
    ],
    ['Net::SMTPAuthenticationError: 534-5.7.9 Application-specific password required.', {}, 'app password'],
    [
      'Net::SMTPAuthenticationError: 530 5.7.0 Must issue a STARTTLS command first',
      { security: 'none' },
      'requires encryption',
    ],
    [
      'Net::SMTPAuthenticationError: 530 5.7.1 Authentication required',
      { user: undefined },
      'requires a log-in',
    ],
    [
      'Net::SMTPFatalError: 554 5.7.1 <x[1.2.3.4]>: Client host rejected: Access denied',
      { user: undefined },
      'requires a log-in',
    ],
    [
      'OpenSSL::SSL::SSLError: SSL_connect returned=1 errno=0 peeraddr=172.18.0.9:587 state=error: wrong version number',
      { security: 'tls' },
      'port 587 starts unencrypted. Set security to starttls',
    ],
    [
      'OpenSSL::SSL::SSLError: SSL_connect returned=1 errno=0 peeraddr=172.18.0.9:465 state=error: certificate verify failed (self-signed certificate in certificate chain)',
      { port: 465, security: 'tls' },
      'certificate is not trusted',
    ],
    [
      'OpenSSL::SSL::SSLError: SSL_connect returned=1 errno=0 state=error: certificate verify failed (hostname mismatch)',
      {},
      'Is smtp.example.org the name',
    ],
    [
      'Net::SMTPUnsupportedCommand: STARTTLS is not supported on this server',
      { port: 25 },
      'no STARTTLS on port 25',
    ],
    [
      'Net::ReadTimeout: Net::ReadTimeout with #<TCPSocket:(closed)>',
      { port: 465 },
      'expects TLS on port 465',
    ],
    ['EOFError: end of file reached', { port: 465, security: 'none' }, 'expects TLS on port 465'],
    [
      'Net::ReadTimeout: Net::ReadTimeout',
      { port: 587 },
      'accepted the connection on port 587, then sent nothing',
    ],
    [
      'Net::SMTPAuthenticationError: 504 5.7.4 Unrecognized authentication type',
      {},
      'the password was not checked. Try --mail-auth login',
    ],
    [
      'Net::SMTPAuthenticationError: 504 5.7.4 Unrecognized authentication type',
      { auth: 'login' },
      'if neither works, it accepts only tokens',
    ],
    [
      'Net::SMTPAuthenticationError: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant',
      {},
      'it accepts no password for this account',
    ],
    [
      'Symfony\\TransportException: Failed to find an authenticator supported by the SMTP server, which currently supports: "XOAUTH2".',
      {},
      'it accepts no password for this account',
    ],
    ['curl: (67) Login denied', {}, 'rejected the log-in of anna'],
    ['Symfony\\TransportException: TLS required but neither TLS or STARTTLS are in use.', {}, 'no STARTTLS'],
    ['curl: (64) Requested SSL level failed', {}, 'no STARTTLS on port 587'],
    ['curl: (60) SSL: no alternative certificate subject name matches target hostname', {}, 'not trusted'],
    ['curl: (60) SSL certificate problem: self-signed certificate', {}, 'not trusted'],
    [
      'curl: (7) Failed to connect to smtp.example.org port 587: Could not connect to server',
      {},
      'nothing listens',
    ],
    [
      'curl: (7) Failed to connect to smtp.example.org port 587: Timeout was reached',
      {},
      'it did not answer',
    ],
    ['curl: (28) Operation timed out after 60000 milliseconds with 0 bytes received', {}, 'sent nothing'],
    ['Net::OpenTimeout: execution expired', {}, 'try 465, 587 or 2525'],
    [
      'Errno::EHOSTUNREACH: No route to host - connect(2) for "smtp.example.org" port 25 (unreachable)',
      {},
      'try 465, 587 or 2525',
    ],
    [
      'Errno::ECONNREFUSED: Connection refused - connect(2) for "smtp.example.org" port 587',
      {},
      'nothing listens on port 587',
    ],
    [
      'Socket::ResolutionError: getaddrinfo(3): Name or service not known',
      {},
      'smtp.example.org does not exist in the DNS',
    ],
    [
      'Net::SMTPFatalError: 554 5.7.1 <notifications@example.org>: Sender address rejected: not owned by you',
      {},
      'rejected notifications@example.org as the sender',
    ],
    [
      'Net::SMTPFatalError: 550 5.1.1 <anna@example.org>: Recipient address rejected: User unknown',
      {},
      'rejected mail for anna@example.org',
    ],
    [
      'Net::SMTPFatalError: 554 5.7.1 <anna@example.org>: Relay access denied',
      {},
      'rejected mail for anna@example.org',
    ],
    ['Net::SMTPServerBusy: 450 4.2.0 <anna@example.org>: greylisted', {}, 'Try again later'],
  ])('%s', (error, more, words) => {
    const message = mailTrouble({ ...MAIL, ...more }, 'anna@example.org', error);
    expect(message).toContain(words);
    // The original message stays: users search for it.
    expect(message).toContain(error.trim().slice(0, 60));
  });

  test('passes an unknown error on', () => {
    expect(mailTrouble(MAIL, 'anna@example.org', 'Errno::EPROTO: odd')).toBe(
      'smtp.example.org:587: Errno::EPROTO: odd',
    );
  });
});
