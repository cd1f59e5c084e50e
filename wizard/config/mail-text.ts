/** A mail as it is sent. */

/** RFC 5322, in UTF-8, marked as sent by a program (RFC 3834). */
export function messageText({
  from,
  to,
  subject,
  text,
  now,
}: {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly now: Date;
}): string {
  return [
    `From: ${from}`,
    `To: ${to}`,
    `Subject: ${subject}`,
    `Date: ${now.toUTCString().replace('GMT', '+0000')}`,
    'Auto-Submitted: auto-generated',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    ...text.split('\n'),
    '',
  ].join('\r\n');
}
