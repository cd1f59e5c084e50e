/** Checks the outgoing mail: each app's container connects to the mail server and logs in. No mail is sent. */
import { appOf } from '../apps/index.ts';
import { shellProgram } from '../assets.ts';
import type { SmtpServer } from '../config/mail.ts';
import type { Output } from '../docker/engine.ts';
import { Problem } from '../problem.ts';
import { mailTrouble } from '../prove/mail.ts';
import type { Secret } from '../secrets/secret.ts';
import { Store } from '../secrets/store.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';

const LIMIT_MS = 30_000;

/** A configuration file of curl. The password is in no argument. @param more further settings */
export function curlSettings(
  { host, port, security, user, auth }: SmtpServer,
  password: Secret | undefined,
  more: readonly (readonly [string, string])[] = [],
): string {
  const quoted = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  const place = host.includes(':') ? `[${host}]` : host;
  return [
    `url = ${quoted(`${security === 'tls' ? 'smtps' : 'smtp'}://${place}:${port}`)}`,
    ...more.map(([name, value]) => `${name} = ${quoted(value)}`),
    ...(security === 'starttls' ? ['ssl-reqd'] : []),
    ...(user === undefined ? [] : [`user = ${quoted(`${user}:${password?.reveal() ?? ''}`)}`]),
    ...(user !== undefined && auth === 'login' ? ['login-options = "AUTH=LOGIN"'] : []),
    '',
  ].join('\n');
}

/** The error in what try-mail.sh printed; undefined: it connected and, with a user, logged in. */
export function mailError({ stdout }: Pick<Output, 'stdout'>, user: string | undefined): string | undefined {
  const lines = stdout.split(/\r?\n/);
  const error = lines.findLast((line) => line.startsWith('curl: '));
  const answers = lines.flatMap((line) => (line.startsWith('< ') ? [line.slice(2)] : []));
  if (error !== undefined) {
    const refused = answers.filter((line) => /^[45]\d\d/.test(line)).join(' ');
    return refused === '' ? error : `${refused} (${error})`;
  }
  if (answers.length === 0) return 'curl printed nothing';
  // curl goes on without a log-in where the server offers none.
  return user === undefined || answers.some((line) => line.startsWith('235'))
    ? undefined
    : 'it offers no log-in on this connection';
}

/** Applies to sites with a mail server. */
export async function checkMail({
  config,
  engine,
  folder,
  info,
  exists,
}: CheckContext): Promise<CheckResult | undefined> {
  const { server, from } = config.mail;
  if (info instanceof Problem || !exists || server === undefined) return undefined;
  const containers = await engine.containers(config.name);
  const password = (await Store.open(folder)).find('mail.password');
  const looks = config.apps.map(async ({ id }): Promise<{ seen: string; wrong?: string }> => {
    const { name, mailClients } = appOf(id);
    const container = containers.find(
      ({ service, state }) => mailClients.includes(service) && state === 'running',
    );
    if (container === undefined)
      return { seen: `${name}: not checked, since ${mailClients.join(' or ')} is not running` };
    const output = await engine.exec(
      container.id,
      {
        argv: shellProgram('checks/programs/try-mail.sh'),
        stdin: curlSettings(server, password),
      },
      { timeoutMs: LIMIT_MS },
    );
    const error = output.code >= 125 ? undefined : mailError(output, server.user);
    if (output.code >= 125) return { seen: `${name}: not checked` };
    if (error === undefined)
      return {
        seen: `${name}: ${server.host}:${server.port} ${server.user === undefined ? 'answers' : `accepts the log-in of ${server.user}`}`,
      };
    return { seen: `${name}: ${error}`, wrong: mailTrouble({ ...server, from }, '', error) };
  });
  const results = await Promise.all(looks);
  const wrong = [...new Set(results.flatMap((one) => one.wrong ?? []))];
  return {
    seen: results.map(({ seen }) => seen).join('; '),
    found: wrong.map((what): Finding => ({
      level: 'blocker',
      what: `Mail cannot be sent: ${what}.`,
      means: 'Nobody gets mails about new accounts, lost passwords and notifications.',
      next: server.isCatcher
        ? '`fedi-setup start mail` starts the mail catcher.'
        : '`fedi-setup apply` with other --mail options changes it; `fedi-setup prove` then sends a test mail.',
    })),
  };
}
