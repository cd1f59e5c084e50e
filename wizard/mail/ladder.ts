/** Tries a mail server step by step, as the apps of a site will use it. Each step is a rung with a verdict and what to do. */
import { isIP } from 'node:net';
import type { AuthMethod, SmtpServer } from '../config/mail.ts';
import { listed } from '../lists.ts';
import { Stopped, fail, rungOf } from './rung.ts';
import type { Rung, Verdict } from './rung.ts';
import { addressMail, logInWith, methodsFor, openSession, pass } from './session.ts';
import type { Add, MailUser, Offers, SessionInput } from './session.ts';
import type { Smtp } from './smtp.ts';
import { MAIL_PORTS } from './way.ts';
import type { Connection, Reached, Way } from './way.ts';

export interface Climb {
  readonly server: SmtpServer;
  readonly password: string | undefined;
  /** At least one. */
  readonly users: readonly MailUser[];
  readonly way: Way;
  /** Further CA certificates that the apps trust, PEM. */
  readonly roots: readonly string[];
  /** Time for each answer in ms; absent: {@link REPLY_MS}. */
  readonly replyMs?: number;
  /** The last rung is the log-in; absent: the recipient. */
  readonly untilLogIn?: true;
  /** A mail to send; absent: none. */
  readonly message?: (user: MailUser) => string;
}

/** Mail libraries wait 5 to 60 seconds; some servers greet late on purpose. */
const REPLY_MS = 20_000;

/**
 * Climbs until a rung does not pass. Sends no mail unless there is a `message`.
 * @param report gets each rung when it is known
 */
export async function climb(input: Climb, report: (rung: Rung) => void = () => undefined): Promise<Rung[]> {
  const rungs: Rung[] = [];
  const add = (verdict: Verdict): void => {
    const rung = rungOf(verdict);
    rungs.push(rung);
    report(rung);
  };
  const open: Connection[] = [];
  try {
    const address = await reach(input, add);
    const { server, password, roots, replyMs = REPLY_MS, way } = input;
    const connect = async (): Promise<Connection> => {
      const connection = await way.open(address, server.port);
      open.push(connection);
      return connection;
    };
    await use({ server, password, roots, replyMs, connect }, input, add);
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    add(error.verdict);
  } finally {
    for (const connection of open) await connection.close();
  }
  return rungs;
}

/** The rungs of name and connection. Resolves to the address that answers. */
async function reach({ server, way }: Climb, add: Add): Promise<string> {
  const { host, port } = server;
  const { addresses, ports } = await way.reach(host, [port]);
  if (isIP(host) === 0) {
    if (addresses.length === 0) throw await unknownName(host, way);
    pass(add, 'resolve', `${host} is ${addresses.join(', ')}`);
  }
  const [reached] = ports;
  if (reached?.isOpen !== true) throw await unreachable(server, addresses, reached, way);
  pass(add, 'connect', `port ${port} of ${reached.address}`);
  return reached.address;
}

async function unknownName(host: string, way: Way): Promise<Stopped> {
  const { a, aaaa } = await way.lookUp(host);
  if (a.length > 0)
    return fail(
      'resolve',
      `this host resolves ${host}, but its containers do not`,
      'Set DNS servers for containers in /etc/docker/daemon.json, such as {"dns": ["9.9.9.9"]}, and restart Docker.',
    );
  return aaaa.length > 0
    ? fail(
        'resolve',
        `${host} has only an IPv6 address (${aaaa.join(', ')}), and containers here have none`,
        ONLY_IPV6,
      )
    : fail(
        'resolve',
        `${host} does not exist in the DNS`,
        'Compare --mail-host with your provider’s instructions.',
      );
}

const ONLY_IPV6 =
  'Use a mail server that has an IPv4 address too, or enable IPv6 for the networks of Docker.';

/** Tries the other ports of mail servers, to say which are blocked. */
async function unreachable(
  { host, port }: SmtpServer,
  addresses: readonly string[],
  reached: Reached | undefined,
  way: Way,
): Promise<Stopped> {
  const why = reached?.cause || 'no answer';
  if (addresses.length > 0 && addresses.every((address) => isIP(address) === 6))
    return fail(
      'connect',
      `${host} has only IPv6 addresses, and containers here do not reach them (${why})`,
      ONLY_IPV6,
    );
  const others = MAIL_PORTS.filter((one) => one !== port);
  const { ports } = await way.reach(host, others);
  const open = others.filter((one) => ports.some((tried) => tried.port === one && tried.isOpen));
  const shut = others.filter((one) => !open.includes(one));
  const seen = `no connection to port ${port} (${why})`;
  if (open.length === 0)
    return fail(
      'connect',
      `${seen}, nor to ${listed(shut)}`,
      'Many hosting providers block these ports until you ask them to open one. A firewall of this host, or a wrong --mail-host, has the same effect.',
    );
  return fail(
    'connect',
    `${seen}; containers here reach its ${open.length === 1 ? 'port' : 'ports'} ${listed(open)}${shut.length === 0 ? '' : `, but not ${listed(shut)}`}`,
    `Use ${open.map((one) => `--mail-port ${one}`).join(' or ')}, as your provider says.`,
  );
}

/** The rungs of the sessions. Apps that log in with the same methods share one. */
async function use(input: SessionInput, climbing: Climb, add: Add): Promise<void> {
  const { server, users, untilLogIn, message } = climbing;
  const name = users[0]?.domain ?? 'localhost';
  const first = await openSession(input, name, add);
  const groups = groupUsers(users, first.offers, server);
  const sessions: { readonly smtp: Smtp; readonly users: readonly MailUser[] }[] = [];
  const seen: string[] = [];
  for (const group of groups) {
    const { smtp } = sessions.length === 0 ? first : await openSession(input, name, () => undefined);
    sessions.push({ smtp, users: group.users });
    if (group.methods.length === 0) continue;
    const method = await logInWith(smtp, group.methods, input);
    seen.push(`AUTH ${method} (${group.names.join(', ')})`);
  }
  if (server.user !== undefined) pass(add, 'login', `${server.user}, by ${seen.join(' and ')}`);
  if (untilLogIn === true) {
    for (const { smtp } of sessions) await smtp.quit();
    return;
  }
  for (const { smtp, users: members } of sessions) {
    for (const user of members) {
      try {
        await addressMail(smtp, user, server, add, message?.(user));
      } catch (error) {
        if (!(error instanceof Stopped)) throw error;
        // The other apps may have another sender.
        add(error.verdict);
        await smtp.command('RSET').catch(() => undefined);
      }
    }
    await smtp.quit();
  }
}

interface Group {
  readonly methods: readonly AuthMethod[];
  readonly users: MailUser[];
  /** Names of the apps, with the method that one would prefer but that cannot be tried here. */
  readonly names: string[];
}

function groupUsers(users: readonly MailUser[], offers: Offers, server: SmtpServer): Group[] {
  if (server.user === undefined) return [{ methods: [], users: [...users], names: [] }];
  const groups = new Map<string, Group>();
  for (const user of users) {
    const { methods, untried } = methodsFor(user, offers, server);
    const group = groups.get(methods.join()) ?? { methods, users: [], names: [] };
    group.users.push(user);
    group.names.push(untried === undefined ? user.name : `${user.name}, which would use ${untried}`);
    groups.set(methods.join(), group);
  }
  return [...groups.values()];
}
