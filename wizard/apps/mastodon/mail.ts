/** Sends one mail through Mastodon's Action Mailer, with the settings of its notifications. */
import type { AppIdentity } from '../../config/config.ts';
import type { Output } from '../../docker/engine.ts';
import { mailText } from '../../prove/mail.ts';
import type { MailOutcome } from '../../prove/mail.ts';
import type { Command } from '../../docker/engine.ts';
import { rails } from './runner.ts';

/** Prints one line of JSON: what the mail server answered, or the error. */
export function mastodonMail(app: AppIdentity): Command {
  return rails('send-mail.rb', { to: app.email, ...mailText(app.domain) });
}

export function mastodonMailOutcome({ stdout, stderr }: Output): MailOutcome {
  const line = stdout.split('\n').findLast((one) => /^\{"(accepted|error)":/.test(one));
  return line === undefined
    ? { error: stderr.trim().split('\n').at(-1) || 'Rails ended without a message' }
    : (JSON.parse(line) as MailOutcome);
}
