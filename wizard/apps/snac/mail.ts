/** Sends one mail from snac's container with snac's settings. snac has no command for that; it uses libcurl. */
import type { AppIdentity } from '../../config/config.ts';
import type { Command, Output } from '../../docker/engine.ts';
import { mailText } from '../../prove/mail.ts';
import type { MailOutcome } from '../../prove/mail.ts';

/** snac uses this sender for every mail. */
export const sender = ({ domain }: AppIdentity): string => `snac-daemon@${domain}`;

/**
 * server.json → a curl configuration, passed on standard input because it may contain a password. As in snac, STARTTLS is
 * required on port 587 and not used on other ports.
 */
const SETTINGS = `(.smtp_url // "smtp://localhost") as $url
| (env.HOSTNAME // "localhost") as $here
| "url = \\($url | rtrimstr("/") + "/" + $here | tojson)",
  (if ($url | test("^smtp://.*:587/?$")) then "ssl-reqd" else empty end),
  (if (.smtp_username // "") != "" then "user = \\("\\(.smtp_username):\\(.smtp_password // "")" | tojson)" else empty end)`;

/** $1: SETTINGS, $2: the message, $3: sender, $4: recipient. */
const SEND = `jq --raw-output "$1" /data/server.json |
curl --silent --show-error --verbose --connect-timeout 20 --max-time 60 --config - --mail-from "$3" --mail-rcpt "$4" --upload-file /dev/fd/3 3<<END
$2
END`;

export function snacMail(app: AppIdentity, now: Date): Command {
  const { subject, text } = mailText(app.domain);
  const message = [
    `From: ${sender(app)}`,
    `To: ${app.email}`,
    `Subject: ${subject}`,
    `Date: ${now.toUTCString().replace('GMT', '+0000')}`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    '',
    ...text.trim().split('\n'),
  ].join('\r\n');
  return { argv: ['sh', '-c', SEND, 'sh', SETTINGS, message, sender(app), app.email] };
}

/** The server's answer, from curl's verbose output. Only the server's lines are read: ours contain the password. */
export function snacMailOutcome({ code, stderr }: Output): MailOutcome {
  const lines = stderr.split(/\r?\n/);
  const answers = lines.flatMap((line) => (line.startsWith('< ') ? [line.slice(2)] : []));
  const accepted = answers.findLast((line) => line.startsWith('250 '));
  if (code === 0 && accepted !== undefined) return { accepted };
  const error = lines.findLast((line) => line.startsWith('curl: ')) ?? `curl ended with ${code}`;
  const refused = answers.filter((line) => /^[45]\d\d/.test(line)).join(' ');
  return { error: refused === '' ? error : `${refused} (${error})` };
}
