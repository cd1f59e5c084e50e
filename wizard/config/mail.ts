/** Where outgoing mail goes. Only this file knows the modes by name. */
import { MAIL_PROVIDERS } from './mail-providers.ts';
import type { MailProvider } from './mail-providers.ts';
import { senderParts } from './parse.ts';
import type { Answers, Value } from './question.ts';

/** A way to send mail, as the wizard offers it. */
interface MailMode {
  readonly id: string;
  /** Entry in the wizard. */
  readonly title: string;
  readonly server?: (answers: Answers) => SmtpServer;
}

/** The server that apps deliver mail to. */
export interface SmtpServer {
  readonly host: string;
  readonly port: number;
  readonly security: 'tls' | 'starttls' | 'none';
  readonly user: string | undefined;
  /** How apps that do not negotiate it log in. */
  readonly auth: MailAuth;
  /** The site's own catcher: it delivers nothing and has no certificate. */
  readonly isCatcher: boolean;
}

export interface Mail {
  readonly mode: MailModeId;
  /** Undefined: no mail is sent. */
  readonly server: SmtpServer | undefined;
  /** Id of the provider; undefined: another server. */
  readonly provider: string | undefined;
  /** Sender's address; empty: each app has its own. */
  readonly from: string;
  /** Display name of the sender; undefined: none, or that of the app. */
  readonly fromName: string | undefined;
}

/** Settings that a mail is sent with. */
export type SmtpSettings = Omit<SmtpServer, 'isCatcher'> & Pick<Mail, 'from'>;

/** Methods of SMTP AUTH (RFC 4954). */
export const MAIL_AUTHS = ['plain', 'login'] as const;
export type MailAuth = (typeof MAIL_AUTHS)[number];

/** The same as names of SMTP, with CRAM-MD5, which some apps prefer. */
export type AuthMethod = 'PLAIN' | 'LOGIN' | 'CRAM-MD5';

/** How an app's mail library uses a server. */
export interface Mailer {
  /** Address that its mails come from. */
  readonly sender: string;
  /** It has no other sender. */
  readonly isFixed?: true;
  /** Names of methods of SMTP AUTH that it knows, the one it prefers first. */
  readonly methods: readonly string[];
  /** After a rejected log-in it tries the next method. */
  readonly triesAll?: true;
}

/** Compose service of the catcher, and its port. */
const CATCHER = { host: 'mail', port: 1025 } as const;

const text = (value: Value | undefined): string | undefined =>
  value === undefined ? undefined : String(value);

/** In the order of the wizard; the first is the default. */
const MODES = [
  { id: 'none', title: 'No mail yet' },
  {
    id: 'smtp',
    title: 'Through a mail provider (SMTP)',
    server: (answers) => ({
      host: text(answers['mail.host']) ?? '',
      port: Number(answers['mail.port'] ?? 0),
      security: (text(answers['mail.security']) ?? 'none') as SmtpServer['security'],
      user: text(answers['mail.user']),
      auth: (text(answers['mail.auth']) ?? MAIL_AUTHS[0]) as MailAuth,
      isCatcher: false,
    }),
  },
  {
    id: 'catcher',
    title: 'To a mail catcher on this host (for testing)',
    server: () => ({ ...CATCHER, security: 'none', user: undefined, auth: MAIL_AUTHS[0], isCatcher: true }),
  },
] as const satisfies readonly MailMode[];

export type MailModeId = (typeof MODES)[number]['id'];

/** The value of `mail.mode` for a trial server on this host. */
export const LAB_MAIL = 'catcher' satisfies MailModeId;

export const MAIL_MODES: readonly { readonly id: MailModeId; readonly title: string }[] = MODES;

/** The provider that was chosen; undefined: another server, or none. */
export const providerIn = (answers: Answers): MailProvider | undefined =>
  hasServer(answers) ? MAIL_PROVIDERS.find(({ id }) => id === answers['mail.provider']) : undefined;

/** Whether the person names a server. */
export const hasServer = (answers: Answers): boolean => answers['mail.mode'] === 'smtp';

/** The same; undefined while the mode is not answered. */
export const mailIn = (answers: Answers): Mail | undefined =>
  answers['mail.mode'] === undefined ? undefined : mailOf(answers);

export function mailOf(answers: Answers): Mail {
  const mode: MailMode | undefined = MODES.find(({ id }) => id === answers['mail.mode']);
  if (mode === undefined) throw new Error(`no mail mode ${String(answers['mail.mode'])}`);
  const { name, address } = senderParts(text(answers['mail.from']) ?? '');
  return {
    mode: mode.id as MailModeId,
    server: mode.server?.(answers),
    provider: providerIn(answers)?.id,
    from: address,
    fromName: name,
  };
}
