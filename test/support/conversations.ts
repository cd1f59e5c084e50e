/** Wizard sessions as data, so that tests can stop at any question. */

export interface Turn {
  readonly question: string;
  /** Text to type, or list entry to choose. */
  readonly text?: string;
  readonly entry?: string;
  /** Entries to check in a list of several. */
  readonly entries?: readonly string[];
  /** Invalid texts with a part of their error message. */
  readonly wrong?: readonly (readonly [text: string, error: string])[];
}

/** All questions for a new snac site with a mail provider and Let’s Encrypt. */
export const LONG: readonly Turn[] = [
  { question: 'Apps to install', entries: ['snac'] },
  {
    question: 'Domain of snac',
    text: 'social.example.org',
    wrong: [
      ['', 'A value is required.'],
      ['https://social.example.org', 'Enter only the name, without https://.'],
      ['192.0.2.1', 'This is an IP address.'],
      ['social', 'A domain name has at least one dot.'],
      ['so\u200bcial.example.org', 'an invisible character'],
    ],
  },
  {
    question: 'Your user name on snac',
    text: 'anna',
    wrong: [
      ['anna b', 'Use 1 to 30 characters: a-z, 0-9 and _.'],
      ['oauth', 'snac uses oauth in its own URLs'],
    ],
  },
  {
    question: 'Your e-mail address',
    text: 'anna@example.org',
    wrong: [
      ['anna', 'Not an e-mail address.'],
      ['anna@localdomain', 'After the @: A domain name has at least one dot.'],
    ],
  },
  { question: 'Outgoing mail', entry: 'Through a mail provider' },
  { question: 'Mail provider', entry: 'Another one' },
  { question: 'Mail server', text: 'smtp.example.org', wrong: [['smtp example', 'Not a domain name.']] },
  { question: 'Port', text: '587', wrong: [['65536', 'A port is a whole number from 1 to 65535.']] },
  { question: 'Encryption', entry: 'STARTTLS' },
  {
    question: 'User name for the mail server',
    text: 'anna',
    wrong: [['an\u200bna', 'an invisible character']],
  },
  { question: 'Password for the mail server', text: 'correct horse' },
  { question: 'Sender address', text: 'snac@example.org', wrong: [['snac', 'Not an e-mail address.']] },
  {
    question: 'Back up to',
    text: '/mnt/backup',
    wrong: [
      ['backup', 'Not a place for backups.'],
      ['/etc/backup', 'Backups cannot be stored in /etc/backup.'],
      ['sftp://backup.example.org/fedi', 'Not an SFTP address.'],
      ['s3:https://s3.example.org', 'must name a bucket'],
    ],
  },
  { question: 'Certificates', entry: 'From Let’s Encrypt' },
  {
    question: 'E-mail for certificates',
    text: 'ca@example.org',
    wrong: [['ca@', 'After the @: A value is required.']],
  },
  { question: 'What now?' },
];

/** The shortest session, for a site without DNS. */
export const SHORT: readonly Turn[] = [
  ...LONG.slice(0, 4),
  { question: 'Outgoing mail', entry: 'No mail yet' },
  { question: 'Back up to', text: '' },
  { question: 'Certificates', entry: 'Self-signed' },
];

/** Mastodon with its media in a bucket: all questions that snac does not have. */
export const BUCKET: readonly Turn[] = [
  { question: 'Apps to install', entries: ['Mastodon'] },
  { question: 'Domain of Mastodon', text: 'social.example.org', wrong: [['co.uk', 'is a public suffix']] },
  {
    question: 'Your user name on Mastodon',
    text: 'anna',
    wrong: [['an.na', 'Use 1 to 30 characters: a-z, 0-9 and _.']],
  },
  { question: 'Your e-mail address', text: 'anna@example.org' },
  { question: 'Where to store pictures and videos', entry: 'In an S3 bucket' },
  { question: 'Provider of the bucket', entry: 'Another one, by its address' },
  {
    question: 'Address of the S3 interface',
    text: 'https://s3.example.org',
    wrong: [
      ['s3.example.org', 'Not an https:// address.'],
      ['http://192.0.2.7', 'A public address needs https://.'],
      ['https://s3.example.org/bucket', 'leave out /bucket'],
    ],
  },
  { question: 'Region of the bucket', text: 'eu-1', wrong: [['eu 1', 'Not a region']] },
  { question: 'Name of the bucket', text: 'media-1', wrong: [['Media', 'Use 3 to 63 characters: a-z']] },
  { question: 'Access key of the bucket', text: 'AK1', wrong: [['A K', 'It contains a space']] },
  {
    question: 'Secret key of the bucket',
    text: 'correct+horse',
    wrong: [['correct horse', 'It contains a space']],
  },
  {
    question: 'Public host of the bucket',
    text: 'media.example.org',
    wrong: [['https://m.example.org', 'leave out https://']],
  },
  { question: 'Who serves the public host', entry: 'The provider' },
  { question: 'How objects become public', entry: 'By the bucket' },
  { question: 'Outgoing mail', entry: 'No mail yet' },
  { question: 'Back up to', text: 's3:https://s3.example.org/backups/fedi' },
  { question: 'Access key of the bucket for backups', text: 'AK2' },
  { question: 'Secret key of the bucket for backups', text: 'correct+horse' },
  { question: 'Certificates', entry: 'None: my own' },
  { question: 'Port for your proxy', text: '8080', wrong: [['eight', 'A port is a whole number']] },
  {
    question: 'Address of your proxy',
    text: '10.0.0.0/8',
    wrong: [['10.0.0.0/33', 'Not an IP address or network']],
  },
  { question: 'What now?' },
];

/** A known provider: its address and ACL are not asked. */
export const KNOWN_BUCKET: readonly Turn[] = [
  ...BUCKET.slice(0, 5),
  { question: 'Provider of the bucket', entry: 'Cloudflare R2' },
  {
    question: 'Account ID at the provider',
    text: '0123456789abcdef0123456789abcdef',
    wrong: [['anna@example.org', 'Not an account ID']],
  },
  { question: 'Name of the bucket', text: 'media-1' },
  { question: 'Access key of the bucket', text: 'AK1' },
  { question: 'Secret key of the bucket', text: 'correct+horse' },
  { question: 'Public host of the bucket', text: 'media.example.org' },
  { question: 'Outgoing mail', entry: 'No mail yet' },
  { question: 'Back up to', text: '' },
  { question: 'Certificates', entry: 'Self-signed' },
  { question: 'What now?' },
];

/** Pixelfed, in the shortest session. */
export const ANOTHER: readonly Turn[] = [
  { question: 'Apps to install', entries: ['Pixelfed'] },
  { question: 'Domain of Pixelfed', text: 'pix.example.org' },
  { question: 'Your user name on Pixelfed', text: 'anna', wrong: [['-', 'Use 2 to 30 characters: a-z']] },
  { question: 'Your e-mail address', text: 'anna@example.org' },
  { question: 'Where to store pictures and videos', entry: 'On this host' },
  { question: 'Outgoing mail', entry: 'No mail yet' },
  { question: 'Back up to', text: '' },
  { question: 'Certificates', entry: 'Self-signed' },
  { question: 'What now?' },
];

/** Certificates from another ACME CA. */
export const DIRECTORY: readonly Turn[] = [
  ...LONG.slice(0, 4),
  { question: 'Outgoing mail', entry: 'To a mail catcher' },
  { question: 'Back up to', text: '' },
  { question: 'Certificates', entry: 'From another ACME CA' },
  { question: 'E-mail for certificates', text: 'ca@example.org' },
  {
    question: 'ACME directory',
    text: 'https://ca.example.org/dir',
    wrong: [['ca.example.org', 'Not an https:// address.']],
  },
  {
    question: 'CA certificate of that directory',
    text: 'root.crt',
    wrong: [['../root.crt', 'Enter only the file name']],
  },
  { question: 'What now?' },
];

export const isSecret = ({ question }: Turn): boolean => /^(Password|Secret key)/.test(question);
