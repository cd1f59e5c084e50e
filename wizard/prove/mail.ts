/** Proof of outgoing mail: one real mail, sent by the app itself as it is set up. Here are its words; apps bring the sending. */
import type { Mail } from '../config/config.ts';

/** What an app reports back about the mail it tried to send. */
export type MailOutcome =
  | { readonly accepted: string }
  /** Kind and text of the error, as the app's own library has them. */
  | { readonly error: string };

/** Subject and text of the mail. */
export const mailText = (domain: string): { subject: string; text: string } => ({
  subject: `Mail from ${domain} arrives`,
  text: `This mail was sent while fedi-setup set up ${domain}, to see whether its mail arrives. There is nothing to do.\n\nIf it lay among the spam: set SPF, DKIM and DMARC as your mail provider says.\n`,
});

/** The evidence, or what went wrong in words. @param sender of an app that uses a fixed one */
export function mailEvidence(mail: Mail, to: string, outcome: MailOutcome, sender?: string): string {
  if ('error' in outcome) throw new Error(mailTrouble(mail, to, outcome.error, sender));
  return `accepted by ${mail.host}:${mail.port} for ${to}: ${outcome.accepted.trim().replaceAll(/\s+/g, ' ').slice(0, 80)}`;
}

/** Causes by what mail libraries and servers say (Ruby's net-smtp, PHP's mailers, libcurl), most specific first. */
const CAUSES: readonly (readonly [RegExp, (mail: Mail, to: string, sender?: string) => string])[] = [
  [
    /wrong version number|unknown protocol|packet length too long|http request/i,
    ({ port }) =>
      port === 465
        ? 'it does not speak TLS from the first byte. Set security to starttls, mostly with port 587'
        : `port ${port} begins in the clear. Set security to starttls, or take port 465 with tls`,
  ],
  [
    /certificate verify failed|does not match the server certificate|hostname mismatch|unable to (get|verify)|SSL certificate problem|no alternative certificate subject name/i,
    ({ host }) =>
      `its certificate is not trusted. Is ${host} the name in your provider’s instructions, and not an alias or an address?`,
  ],
  [
    /STARTTLS is not supported|STARTTLS.*(not|failed|denied)|Requested SSL level failed|TLS required but neither/i,
    ({ port }) =>
      `it offers no STARTTLS on port ${port}. Take port 465 with tls; a relay in your own network may need security none`,
  ],
  [
    /\b530\b|authentication required|must issue a STARTTLS|client host rejected/i,
    ({ user, security }) =>
      security === 'none'
        ? 'it wants encryption first. Set security to starttls (port 587) or tls (port 465)'
        : user === undefined
          ? 'it wants a log-in. Give a user name and a password'
          : 'it does not let this log-in send',
  ],
  [
    /\b504\b|unrecognized authentication type|authentication type not supported/i,
    () =>
      'it does not offer the way of logging in that this server uses, and never looked at the password. Ask your provider for a server that takes AUTH PLAIN',
  ],
  [
    /Authentication|\b53[45]\b/i,
    ({ user }) =>
      `it does not take the log-in of ${user ?? 'nobody'}. Many providers want a password made for mail only (app password, SMTP key), and some a fixed user name`,
  ],
  [
    /sender|mail from|not owned|from address|unverified|not verified/i,
    ({ from }, _, sender) =>
      sender === undefined
        ? `it does not take ${from || 'this address'} as the sender. Set from to an address it knows as yours`
        : `it does not take ${sender} as the sender, and this app uses no other. Allow that address at your provider, or use another mail server`,
  ],
  [
    /recipient|user unknown|relay|mailbox|\b55[01]\b/i,
    (_, to) => `it does not take mail for ${to}. Is the address right?`,
  ],
  [
    /getaddrinfo|name or service not known|name resolution|could not resolve|no address/i,
    ({ host }) => `the DNS knows no ${host}`,
  ],
  [
    /refused|could ?n[o’']t connect to server|could not connect to server/i,
    ({ port }) => `nothing listens on port ${port} there. Most providers have 465 (tls) and 587 (starttls)`,
  ],
  [
    /ReadTimeout|end of file|EOFError|greeting|with 0 (out of 0 )?bytes received/i,
    ({ port, security }) =>
      security !== 'tls' && port === 465
        ? 'it waits for TLS on port 465. Set security to tls'
        : `it took the connection on port ${port} and then sent nothing${security === 'tls' ? '' : '. If it waits for TLS, set security to tls'}`,
  ],
  [
    /timeout|timed out|unreachable|execution expired/i,
    () =>
      'no answer came. Many providers of servers block ports 25 and 465, some 587 too: try 465, 587 or 2525, or ask yours to open the port',
  ],
  [/\b4\d\d\b|busy|try again/i, () => 'it takes no mail just now. Try again later'],
];

/** An error of any mail library → what it means here and what to do; the library's own words behind it. */
export function mailTrouble(mail: Mail, to: string, error: string, sender?: string): string {
  const cause = CAUSES.find(([pattern]) => pattern.test(error))?.[1](mail, to, sender);
  const said = error.trim().replaceAll(/\s+/g, ' ').slice(0, 160);
  return `${mail.host}:${mail.port}: ${cause === undefined ? said : `${cause} (${said})`}`;
}
