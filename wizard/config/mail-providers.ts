/**
 * What is known about mail providers. Host, port and encryption are from nodemailer's list of well-known services and from the
 * documentation of some providers (2025 and 2026); the values for SPF and DKIM were not compared with it. None was reached
 * from a test.
 */
export interface MailProvider {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** The host has a part that depends on the account, so it is only an example. */
  readonly hostVaries?: true;
  /** The same for every account. */
  readonly user?: string;
  /** About user name and password; a sentence. */
  readonly hint: string;
  /** Domain for `include:` in the SPF record; `own`: the provider uses its own domain in the envelope. Absent: not known. */
  readonly spf?: string;
  /** Names of its DKIM keys; absent: they differ between accounts. */
  readonly dkim?: readonly string[];
}

const ADDRESS_AND_APP_PASSWORD = 'The user name is the full address; create an app password for mail.';
const MAILBOX = 'The user name is the full address of a mailbox.';

/** The value of `mail.provider` for all others. */
export const OTHER_PROVIDER = 'other';

/** By name. */
export const MAIL_PROVIDERS: readonly MailProvider[] = [
  {
    id: 'ses',
    name: 'Amazon SES',
    host: 'email-smtp.eu-central-1.amazonaws.com',
    port: 465,
    hostVaries: true,
    hint: 'Create SMTP credentials in the SES console: an IAM access key does not work. A new account sends to verified addresses only.',
    spf: 'own',
  },
  {
    id: 'brevo',
    name: 'Brevo',
    host: 'smtp-relay.brevo.com',
    port: 587,
    hint: 'The user name is the SMTP login of your account; the password is an SMTP key, not an API key.',
    spf: 'own',
  },
  {
    id: 'fastmail',
    name: 'Fastmail',
    host: 'smtp.fastmail.com',
    port: 465,
    hint: ADDRESS_AND_APP_PASSWORD,
    spf: 'spf.messagingengine.com',
    dkim: ['fm1', 'fm2', 'fm3'],
  },
  {
    id: 'gmail',
    name: 'Gmail, Google Workspace',
    host: 'smtp.gmail.com',
    port: 465,
    hint: 'The user name is the full address; create an app password, which needs two-step verification. The sender must be that address or one of its aliases.',
    spf: '_spf.google.com',
    dkim: ['google'],
  },
  {
    id: 'hetzner',
    name: 'Hetzner (web hosting)',
    host: 'mail.your-server.de',
    port: 465,
    hint: MAILBOX,
  },
  {
    id: 'infomaniak',
    name: 'Infomaniak',
    host: 'mail.infomaniak.com',
    port: 465,
    hint: MAILBOX,
    spf: 'spf.infomaniak.ch',
  },
  {
    id: 'mailbox-org',
    name: 'mailbox.org',
    host: 'smtp.mailbox.org',
    port: 465,
    hint: 'The user name is your mailbox.org address.',
    spf: 'mailbox.org',
    dkim: ['MBO0001', 'MBO0002', 'MBO0003', 'MBO0004'],
  },
  {
    id: 'mailgun-eu',
    name: 'Mailgun (EU)',
    host: 'smtp.eu.mailgun.org',
    port: 465,
    hint: 'The user name is an SMTP user of the sending domain, such as postmaster@mg.example.org.',
    spf: 'mailgun.org',
  },
  {
    id: 'mailgun-us',
    name: 'Mailgun (US)',
    host: 'smtp.mailgun.org',
    port: 465,
    hint: 'The user name is an SMTP user of the sending domain, such as postmaster@mg.example.org.',
    spf: 'mailgun.org',
  },
  {
    id: 'mailjet',
    name: 'Mailjet',
    host: 'in-v3.mailjet.com',
    port: 587,
    hint: 'The user name is the API key, the password is the secret key.',
    spf: 'spf.mailjet.com',
    dkim: ['mailjet'],
  },
  {
    id: 'migadu',
    name: 'Migadu',
    host: 'smtp.migadu.com',
    port: 465,
    hint: MAILBOX,
    spf: 'spf.migadu.com',
    dkim: ['key1', 'key2', 'key3'],
  },
  {
    id: 'ovh',
    name: 'OVHcloud',
    host: 'ssl0.ovh.net',
    port: 465,
    hint: MAILBOX,
    spf: 'mx.ovh.com',
  },
  {
    id: 'postmark',
    name: 'Postmark',
    host: 'smtp.postmarkapp.com',
    port: 587,
    hint: 'The server API token is both the user name and the password.',
    spf: 'own',
  },
  {
    id: 'resend',
    name: 'Resend',
    host: 'smtp.resend.com',
    port: 465,
    user: 'resend',
    hint: 'The user name is always resend; the password is an API key.',
    spf: 'own',
    dkim: ['resend'],
  },
  {
    id: 'scaleway',
    name: 'Scaleway TEM',
    host: 'smtp.tem.scaleway.com',
    port: 465,
    hint: 'The user name is the project ID, the password is the secret key of an API key.',
    spf: '_spf.tem.scaleway.com',
  },
  {
    id: 'sendgrid',
    name: 'SendGrid',
    host: 'smtp.sendgrid.net',
    port: 587,
    user: 'apikey',
    hint: 'The user name is always apikey; the password is an API key.',
    spf: 'own',
    dkim: ['s1', 's2'],
  },
  {
    id: 'smtp2go',
    name: 'SMTP2GO',
    host: 'mail.smtp2go.com',
    port: 2525,
    hint: 'The user name is an SMTP user that you create there.',
    spf: 'own',
  },
];
