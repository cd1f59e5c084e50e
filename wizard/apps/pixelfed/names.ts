/** Pixelfed's rules for user names (RegisterController and RestrictedNames, 0.12.6); its command line does not check them. */
import { parseLine } from '../../config/parse.ts';
import type { Parsed } from '../../config/parse.ts';

/** Names of Pixelfed's pages, and names that look like staff. Lower case. */
const RESERVED = new Set(
  `
about about-us aboutus abuse account actor actors admin administrator admins api app assets audio
auth authorize_interaction autoconfig avatar avatars bartender blog booth bouncer broadcast
broadcaster broadcasthost browse cdn checkpoint circle circles collection collections communities
community contact contact-us contact_us copyright costar costars css dashboard db deck delete
deleted deleting dev developer developers discover discovers dj dmca doc docs domainadmin
domainadministrator download drive driver drives email emails embed emoji emojis error errors events
example explore export exports external faq faqs favicon.ico featured features fedi fediverse feed
follow follow-me follow_me followme follows font fonts ftp gdpr ghost ghosts global go graph group
groups guest guests header headers help help-center help.center help_center helpcenter home horizon
hostmaster htaccess image images imap img imgs import imports inbox info information instance intent
invite invites is isatap it join js key lab labs lang language legal link live localdomain localhost
location locations login logout look look-back loop loops mail mailer-daemon mailerdaemon
manifest.json marketing me media menu micro mini mis music mx my network networks new news news-room
news-rooms newsfeed newsroom newsrooms no-reply nobody noc noreply oauth official owner page pages
password photo photos pin pins pop pop3 portfolio portfolios post postmaster pre pricing privacy
private public query quote redirect redirects register registers report reports reset results review
reviews robot robots robots.txt root sales sc search security sell send settings short shortcode
signin signout site sites smtp src ssladmin ssladministrator sslwebmaster stage static status
statuses storage stories story support svg svgs sys sysadmin system telescope terms timeline
timelines tour tutorial tutorials tv usenet user username usernames users uucp valet vendor video
videos waiter wall web webmaster whatnew whats-new whats-news whatsnew wpad ws wss www year
`
    .trim()
    .split(/\s+/),
);

/** More reserved names: name servers, and yearly pages. */
const PATTERN = /^(ns\d|my20\d\d)$/;

/** 2 to 30 of a-z, 0-9 and at most one of . _ - in between; converted to lower case. */
export function parsePixelfedName(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const name = line.value.replace(/^@/, '').toLowerCase();
  if (!/^[a-z0-9]+([._-][a-z0-9]+)?$/.test(name) || name.length < 2 || name.length > 30)
    return { problem: 'Use 2 to 30 characters: a-z and 0-9, with at most one dot, dash or _ in between.' };
  if (!/[a-z]/.test(name)) return { problem: 'Use at least one letter.' };
  if (/\.(php|js|css)$/.test(name)) return { problem: 'It must not end in .php, .js or .css.' };
  if (RESERVED.has(name) || PATTERN.test(name))
    return { problem: `Pixelfed reserves ${name}. Choose another name.` };
  return { value: name };
}
