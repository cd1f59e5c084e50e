/** Sends one mail from snac's container with snac's settings. snac has no command for that; it uses libcurl. */
import { readProgram } from '../../assets.ts';
import type { AppIdentity } from '../../config/config.ts';
import { messageText } from '../../config/mail-text.ts';
import type { Command, Output } from '../../docker/engine.ts';
import { mailText } from '../../prove/mail.ts';
import type { MailOutcome } from '../../prove/mail.ts';

/** snac uses this sender for every mail. */
export const sender = ({ domain }: AppIdentity): string => `snac-daemon@${domain}`;

export function snacMail(app: AppIdentity, now: Date): Command {
  const { subject, text } = mailText(app.domain);
  const message = messageText({ from: sender(app), to: app.email, subject, text: text.trim(), now });
  const program = readProgram('apps/snac/programs/send-mail.sh');
  return { argv: ['sh', '-c', program, 'sh', message, sender(app), app.email] };
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
