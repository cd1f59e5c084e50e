/** Mails to the administrator about problems that `maintain` found: once when one appears, weekly while it lasts, once when it is solved. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from '../atomic.ts';
import { readProgram } from '../assets.ts';
import { CHECKS } from '../checks/table.ts';
import type { Config } from '../config/config.ts';
import type { SmtpServer } from '../config/mail.ts';
import { messageText } from '../config/mail-text.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { runtimeOf } from '../docker/runtime.ts';
import { OWN_CAS } from '../apps/app.ts';
import { trustMounts } from '../apply/trust.ts';
import { OWN } from '../layout.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Secret } from '../secrets/secret.ts';

/** A problem that lasts until it is not reported any more. */
export interface Notice {
  /** The same in each run. */
  readonly key: string;
  readonly text: string;
  /** No problem, so it is mailed only once. */
  readonly isNews?: true;
}

/** Start of the keys of news, which are never solved. */
export const NEWS = 'release ';

/** Key → when it was mailed last. */
type Mailed = Readonly<Record<string, string>>;

const FILE = join(OWN, 'notices.json');
const AGAIN_MS = 7 * 24 * 3_600_000;

/** What a key is about: the title of its check, or the task. */
const titleOf = (key: string): string => CHECKS.find(({ id }) => key === `check ${id}`)?.title ?? key;

/** What to mail, and what to remember afterwards. Undefined: nothing is new. */
export function mailFor(
  site: string,
  notices: readonly Notice[],
  mailed: Mailed,
  now: Date,
): {
  readonly mail: { readonly subject: string; readonly text: string } | undefined;
  readonly mailed: Mailed;
} {
  const isDue = ({ key, isNews }: Notice): boolean =>
    mailed[key] === undefined || (isNews !== true && now.getTime() - Date.parse(mailed[key]) >= AGAIN_MS);
  const due = notices.filter(isDue);
  const problems = notices.filter(({ isNews }) => isNews !== true);
  const solved = Object.keys(mailed).filter(
    (key) => !key.startsWith(NEWS) && !notices.some((notice) => notice.key === key),
  );
  const next = Object.fromEntries(
    notices.map((notice) => [notice.key, isDue(notice) ? now.toISOString() : (mailed[notice.key] ?? '')]),
  );
  if (due.length === 0 && solved.length === 0) return { mail: undefined, mailed: next };
  const subject =
    problems.length > 0
      ? `${site}: ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}`
      : solved.length > 0
        ? `${site}: all problems are solved`
        : `${site}: a new version is available`;
  return {
    mail: {
      subject,
      text: [
        ...[...problems, ...due.filter(({ isNews }) => isNews === true)].map(({ text }) => `- ${text}`),
        ...(solved.length > 0 ? [`Solved: ${solved.map(titleOf).join(', ')}`] : []),
        '',
        `fedi-setup maintain checked the site ${site}. On its host, \`fedi-setup doctor\` shows the details.`,
      ].join('\n'),
    },
    mailed: next,
  };
}

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

/** Sends what is due. @returns what was sent; undefined: nothing. Throws a Problem if the mail server refuses it. */
export async function notify(
  site: { readonly folder: string; readonly config: Config; readonly engine: Engine },
  password: Secret | undefined,
  image: string,
  notices: readonly Notice[],
  now: Date,
): Promise<string | undefined> {
  const { folder, config, engine } = site;
  const { server, from } = config.mail;
  const path = join(folder, FILE);
  const mailed = JSON.parse(await readFile(path, 'utf8').catch(() => '{}')) as Mailed;
  const { mail, mailed: next } = mailFor(config.name, notices, mailed, now);
  if (mail === undefined || server === undefined) return undefined;
  const [app] = config.apps;
  const to = app?.email ?? '';
  const sender = from || `notifications@${app?.domain ?? 'localhost'}`;
  const catcher = server.isCatcher ? await runtimeOf(engine, config.name).running('mail') : undefined;
  const { code, stderr } = await runOneShot(
    engine,
    {
      image,
      argv: ['sh', '-c', readProgram('maintain/programs/send-mail.sh')],
      stdin: curlSettings(server, password, [
        ['mail-from', sender],
        ['mail-rcpt', to],
      ]),
      env: { MAIL: messageText({ from: sender, to, ...mail, now }), CAS: OWN_CAS },
      mounts: await trustMounts(folder, config),
      network: catcher === undefined ? 'bridge' : `container:${catcher.id}`,
      user: '0:0',
    },
    { timeoutMs: 90_000 },
  );
  if (code !== 0)
    throw new Problem(EXIT.FAILED, `The mail to ${to} was not accepted by ${server.host}: ${stderr.trim()}`, {
      next: 'Check the mail settings with `fedi-setup prove`.',
    });
  await writeWhole(path, `${JSON.stringify(next)}\n`, 0o600);
  return mail.subject;
}
