/** Proof of outgoing mail: the app sends one real mail with its own settings. Its text, and what errors mean. */
import type { SmtpSettings } from '../config/mail.ts';

/** What an app reports back about the mail it tried to send. */
export type MailOutcome =
  | { readonly accepted: string }
  /** Type and message of the mail library's error. */
  | { readonly error: string };

/** Subject and text of the mail. */
export const mailText = (domain: string): { subject: string; text: string } => ({
  subject: `Mail from ${domain} works`,
  text: `fedi-setup sent this mail from ${domain} to test it. You do not need to do anything.\n\nIf it was in your spam folder, set up SPF, DKIM and DMARC as your mail provider explains.\n`,
});

/** Returns the evidence; throws with the cause if the mail failed. @param sender of an app with a fixed sender */
export function mailEvidence(mail: SmtpSettings, to: string, outcome: MailOutcome, sender?: string): string {
  if ('error' in outcome) throw new Error(mailTrouble(mail, to, outcome.error, sender));
  return `accepted by ${mail.host}:${mail.port} for ${to}: ${outcome.accepted.trim().replaceAll(/\s+/g, ' ').slice(0, 80)}`;
}

/** Error messages of mail libraries (Ruby's net-smtp, PHP's mailers, libcurl) and servers → causes, most specific first. */
const CAUSES: readonly (readonly [RegExp, (mail: SmtpSettings, to: string, sender?: string) => string])[] = [
  [
    /wrong version number|unknown protocol|packet length too long|http request/i,
    ({ port }) =>
      port === 465
        ? 'it does not use TLS from the first byte. Set security to starttls, usually with port 587'
        : `port ${port} starts unencrypted. Set security to starttls, or use port 465 with tls`,
  ],
  [
    /certificate verify failed|does not match the server certificate|hostname mismatch|unable to (get|verify)|SSL certificate problem|no alternative certificate subject name/i,
    ({ host }) =>
      `its certificate is not trusted. Is ${host} the name in your provider’s instructions, and not an alias or an address? For a server of your own, --trust-ca names the certificate of its CA`,
  ],
  [
    /STARTTLS is not supported|STARTTLS.*(not|failed|denied)|Requested SSL level failed|TLS required but neither/i,
    ({ port }) =>
      `it offers no STARTTLS on port ${port}. Use port 465 with tls; a relay in your own network may need security none`,
  ],
  [
    /\b530\b|authentication required|must issue a STARTTLS|client host rejected/i,
    ({ user, security }) =>
      security === 'none'
        ? 'it requires encryption. Set security to starttls (port 587) or tls (port 465)'
        : user === undefined
          ? 'it requires a log-in. Give a user name and a password'
          : 'it does not allow this user to send',
  ],
  [
    /\b504\b|unrecognized authentication type|authentication type not supported/i,
    ({ auth }) =>
      auth === 'plain'
        ? 'it does not offer AUTH PLAIN, which this app uses; the password was not checked. Try --mail-auth login'
        : 'it does not offer AUTH LOGIN, which this app uses; the password was not checked. Try --mail-auth plain; if neither works, it accepts only tokens (OAuth): ask your provider for a password for SMTP, or use another mail server',
  ],
  [
    /5\.7\.139|SmtpClientAuthentication is disabled|find an authenticator|XOAUTH2|OAUTHBEARER/i,
    () =>
      'it accepts no password for this account: only tokens (OAuth), or log-in over SMTP is disabled. Enable SMTP AUTH or an app password at your provider, or use another mail server',
  ],
  [
    /Authentication|login denied|\b53[45]\b/i,
    ({ user }) =>
      `it rejected the log-in of ${user ?? 'nobody'}. Many providers require a separate password for mail (app password, SMTP key), and some a fixed user name`,
  ],
  [
    /sender|mail from|not owned|from address|unverified|not verified/i,
    ({ from }, _, sender) =>
      sender === undefined
        ? `it rejected ${from || 'this address'} as the sender. Set from to an address that is yours there`
        : `it rejected ${sender} as the sender, and this app uses no other. Allow that address at your provider, or use another mail server`,
  ],
  [
    /recipient|user unknown|relay|mailbox|\b55[01]\b/i,
    (_, to) => `it rejected mail for ${to}. Is the address right?`,
  ],
  [
    /getaddrinfo|name or service not known|name resolution|could not resolve|no address/i,
    ({ host }) => `${host} does not exist in the DNS`,
  ],
  [
    /refused|could ?n[o’']t connect to server|could not connect to server/i,
    ({ port }) => `nothing listens on port ${port} there. Most providers have 465 (tls) and 587 (starttls)`,
  ],
  [
    /ReadTimeout|end of file|EOFError|greeting|with 0 (out of 0 )?bytes received/i,
    ({ port, security }) =>
      security !== 'tls' && port === 465
        ? 'it expects TLS on port 465. Set security to tls'
        : `it accepted the connection on port ${port}, then sent nothing${security === 'tls' ? '' : '. If it expects TLS, set security to tls'}`,
  ],
  [
    /timeout|timed out|unreachable|execution expired/i,
    () =>
      'it did not answer. Many hosting providers block ports 25 and 465, some 587 too: try 465, 587 or 2525, or ask yours to open the port',
  ],
  [/\b4\d\d\b|busy|try again/i, () => 'it accepts no mail at the moment. Try again later'],
];

/** Error of a mail library → its meaning and what to do, followed by the original message. */
export function mailTrouble(mail: SmtpSettings, to: string, error: string, sender?: string): string {
  const cause = CAUSES.find(([pattern]) => pattern.test(error))?.[1](mail, to, sender);
  const original = error.trim().replaceAll(/\s+/g, ' ').slice(0, 160);
  return `${mail.host}:${mail.port}: ${cause === undefined ? original : `${cause} (${original})`}`;
}
