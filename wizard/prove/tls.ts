/** What has to be there before anything else can be proven: certificates, or the proxy in front that has them. */
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { caddyOf, reloadCaddy } from '../docker/caddy.ts';
import type { Container, Engine } from '../docker/engine.ts';
import { codeOf, messageOf } from '../problem.ts';
import type { Client } from './http.ts';
import type { Proof } from './proof.ts';

/** Longer than any CA takes; what ends the wait is a condition, this is for what never comes. */
const PATIENCE_MS = 5 * 60_000;
const HANDSHAKE_MS = 30_000;
/** An attempt writes about 15 lines a name. */
const LOG_LINES = 2000;

export interface Door {
  readonly engine: Engine;
  /** Compose project. */
  readonly project: string;
  /** Where Caddy listens, as seen from here. */
  readonly address: string;
  /** PEM of the roots to trust; undefined: the system's. */
  readonly ca: string | undefined;
}

/**
 * One proof for all names of an app. Asks Caddy itself, not whoever the DNS names: an old server that is still in the
 * DNS has a certificate too. A failure that Caddy had before this run is not believed: it tries again at once, since
 * somebody has mended something in between, and Caddy by itself may wait for hours by now.
 */
export function certificateProof(door: Door, names: readonly string[]): Proof {
  return {
    id: 'certificate',
    title: `Certificate${names.length === 1 ? '' : 's'} of ${names.join(', ')}`,
    run: async () => {
      const deadline = Date.now() + PATIENCE_MS;
      let tryAgain = true;
      for (;;) {
        const served = await Promise.all(names.map((name) => handshake(door, name)));
        const open = names.filter((_, i) => served[i] === undefined);
        if (open.length === 0) return served.join('; ');

        const attempts = attemptsIn(await logOf(door));
        const known = open.flatMap((name) => attempts.get(name) ?? []);
        const over = known.every(({ failed }) => failed);
        const fresh = known.length === open.length && known.every(({ at }) => at >= performance.timeOrigin);
        if (over && !fresh && tryAgain) {
          tryAgain = false;
          await reload(door);
        } else if (over && known.length === open.length) {
          throw new Error(known.map(explain).join('\n'));
        } else if (Date.now() > deadline) {
          throw new Error(
            `Caddy has no certificate for ${open.join(', ')} after ${PATIENCE_MS / 60_000} minutes. It goes on asking for one. Look at \`docker compose logs caddy\`, then run \`fedi-setup prove\`.`,
          );
        }
        await delay(500);
      }
    },
  };
}

/** Where the person's own proxy has the certificates: that every name leads through it to this site. */
export function proxyProof(http: Client, names: readonly string[], door: string): Proof {
  return {
    id: 'proxy',
    title: `Your proxy in front of ${names.join(', ')}`,
    run: async () => {
      const seen = await Promise.all(
        names.map(async (name) => {
          const { status, headers } = await http(`https://${name}/`).catch((error: unknown) => {
            throw new Error(`${messageOf(error)}. ${adviceForProxy(name, error, door)}`);
          });
          if (status >= 502 && status <= 504)
            throw new Error(
              `Your proxy answers ${status} for ${name}: it does not reach this site. It has to pass requests to http://${door}, as front/nginx.conf and front/Caddyfile do.`,
            );
          if (status >= 300 && status < 400 && headers['location'] === `https://${name}/`)
            throw new Error(
              `https://${name}/ leads to itself: the server takes its visitors’ connections for unencrypted ones. Your proxy has to send X-Forwarded-Proto, as front/nginx.conf does, from an address that tls.proxies names.`,
            );
          return `https://${name} answers ${status}`;
        }),
      );
      return seen.join('; ');
    },
  };
}

function adviceForProxy(name: string, error: unknown, door: string): string {
  const code = codeOf(error instanceof Error ? error.cause : undefined);
  const again = 'Then run `fedi-setup prove`.';
  if (code === 'ENOTFOUND')
    return `The DNS does not know the name: give it an A record with the address of your proxy. ${again}`;
  if (code?.startsWith('ERR_TLS') || /CERT|SIGNATURE|ISSUER/.test(code ?? ''))
    return `Your proxy answers, but not with a certificate for ${name} that visitors know. Mend that there. ${again}`;
  return `Your proxy has to answer for ${name} and to pass requests to http://${door}: front/nginx.conf and front/Caddyfile of the site directory are ready for that. ${again}`;
}

/** Evidence of a good certificate; undefined: none yet, or one that has run out. Throws when it is there but not trusted. */
function handshake({ address, ca }: Door, name: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: address,
      port: 443,
      servername: name,
      // Looked at below, to tell one that nobody knows from one that is not there.
      rejectUnauthorized: false,
      timeout: HANDSHAKE_MS,
      ...(ca === undefined ? {} : { ca }),
    });
    socket.on('secureConnect', () => {
      const { issuer, valid_to: end } = socket.getPeerCertificate();
      const by = [issuer.O, issuer.CN].filter(Boolean).join(' ');
      const trouble = String(socket.authorizationError ?? '');
      socket.destroy();
      if (trouble === '') resolve(`from ${by}, until ${new Date(end).toISOString().slice(0, 10)}`);
      else if (trouble === 'CERT_HAS_EXPIRED' || trouble === 'ERR_TLS_CERT_ALTNAME_INVALID')
        resolve(undefined);
      else
        reject(
          new Error(
            `The certificate of ${name} is from ${by}, which nobody here knows (${trouble}): visitors are warned, and other servers stay away. For a CA of your own, put its root certificate into the file in caddy/custom that tls.directory-root names.`,
          ),
        );
    });
    socket.on('timeout', () => socket.destroy(new Error('no answer')));
    // Without a certificate for the name Caddy ends the handshake.
    socket.on('error', () => resolve(undefined));
  });
}

async function runningCaddy({ engine, project }: Door): Promise<Container> {
  const caddy = await caddyOf(engine, project);
  if (caddy === undefined) throw new Error('Caddy does not run: `docker compose up --detach` starts it.');
  return caddy;
}

const logOf = async (door: Door): Promise<string> =>
  door.engine.logs((await runningCaddy(door)).id, LOG_LINES);

async function reload(door: Door): Promise<void> {
  const { code, stderr } = await reloadCaddy(door.engine, await runningCaddy(door));
  if (code !== 0)
    throw new Error(`Caddy does not take its configuration: ${stderr.trim().split('\n').at(-1) ?? ''}`);
}

/** What the CA said about one challenge, or about the order as a whole. */
interface Refusal {
  readonly challenge: string | undefined;
  /** Last part of the ACME error's URN; '' where it is none, as when the CA was not reached. */
  readonly type: string;
  readonly detail: string;
}

/** Caddy's last attempt at a name. */
export interface Attempt {
  readonly name: string;
  /** Milliseconds of its last line. */
  readonly at: number;
  readonly failed: boolean;
  readonly refusals: readonly Refusal[];
}

interface LogLine {
  readonly ts?: number;
  readonly msg?: string;
  readonly uri?: string;
  readonly identifier?: string;
  readonly challenge_type?: string;
  readonly problem?: { readonly type?: string; readonly detail?: string };
  readonly error?: string;
}

const URN = 'urn:ietf:params:acme:error:';

function linesOf(log: string): LogLine[] {
  return log.split('\n').flatMap((line) => {
    try {
      return line.startsWith('{') ? [JSON.parse(line) as LogLine] : [];
    } catch {
      return []; // cut off by the log's rotation
    }
  });
}

/** Reads attempts that are not through out of Caddy's log (JSON lines; names of its messages as of Caddy 2.11). */
export function attemptsIn(log: string): ReadonlyMap<string, Attempt> {
  const attempts = new Map<string, Attempt>();
  for (const { ts = 0, msg, uri, identifier = '', challenge_type: challenge, problem, error = '' } of linesOf(
    log,
  )) {
    const add = (name: string, failed: boolean, refusal?: Refusal): void => {
      const { refusals = [] } = attempts.get(name) ?? {};
      attempts.set(name, {
        name,
        at: ts * 1000,
        failed,
        refusals: refusal === undefined ? refusals : [...refusals, refusal],
      });
    };
    // What the configuration before had begun is given up.
    if (error.includes('context canceled')) continue;
    if (msg === 'using config from file' || (msg === 'received request' && uri === '/load')) attempts.clear();
    else if (msg === 'obtaining certificate' || msg === 'renewing certificate') {
      attempts.delete(identifier);
      add(identifier, false);
    } else if (msg === 'challenge failed') {
      add(identifier, false, {
        challenge,
        type: (problem?.type ?? '').replace(URN, ''),
        detail: problem?.detail ?? '',
      });
    } else if (msg === 'could not get certificate from issuer') {
      add(identifier, false, {
        challenge: undefined,
        type: new RegExp(`${URN}(\\w+)`).exec(error)?.[1] ?? '',
        // `HTTP 400 urn:… - what the CA said`
        detail: error.replace(new RegExp(`^HTTP \\d+ ${URN}\\w+ - `), ''),
      });
    } else if (msg === 'certificate obtained successfully' || msg === 'certificate renewed successfully') {
      attempts.delete(identifier);
    } else if (msg === 'will retry' || msg === 'job failed') {
      // `[name] Obtain: …`, `name: obtaining certificate: …`
      const name = /^(?:\[([^\]]+)\]|([^\s:]+):)/.exec(error);
      if (name) add(name[1] ?? name[2] ?? '', true);
    }
  }
  return attempts;
}

const CHALLENGES: Readonly<Record<string, string>> = {
  'http-01': 'HTTP-01 (port 80)',
  'tls-alpn-01': 'TLS-ALPN-01 (port 443)',
  'dns-01': 'DNS-01',
};

/** What happened, what it means, what to do next; one line. */
export function explain({ name, refusals }: Attempt): string {
  const tried = refusals.filter(({ challenge }) => challenge !== undefined);
  // Where the CA tried something, the error of the whole order only says so again.
  const told = tried.length > 0 ? tried : refusals;
  // With two CAs in turn both mostly see the same: the first one's words are enough.
  const first = told.filter((one, i) => told.findIndex(({ challenge }) => challenge === one.challenge) === i);
  const said = first.map(({ challenge, detail }) =>
    challenge === undefined ? detail : `trying ${CHALLENGES[challenge] ?? challenge} it saw: ${detail}`,
  );
  const reached = first.some(({ type }) => type !== '');
  const what = reached
    ? `The CA gave no certificate for ${name}. It says: ${said.join('; ')}`
    : `Caddy got no certificate for ${name}, since it could not talk to the CA: ${said.join('; ')}`;
  return `${what.replace(/[.\s]+$/, '')}. ${adviceFor(name, first)}`;
}

/** CAs word and class the same trouble differently, so their words count before their classes. */
function adviceFor(name: string, refusals: readonly Refusal[]): string {
  const again = 'Then run `fedi-setup prove`: Caddy tries again at once.';
  const has = (...types: string[]): boolean => refusals.some(({ type }) => types.includes(type));
  const says = (words: RegExp): boolean => refusals.some(({ detail }) => words.test(detail));
  if (refusals.every(({ type }) => type === '')) {
    return says(/x509|unknown authority/)
      ? `It does not know who signed the CA’s own address. Put that root certificate into caddy/custom, name the file with tls.directory-root, and run \`fedi-setup apply\`.`
      : `Is tls.directory right, and does this host reach that address? ${again}`;
  }
  if (has('rateLimited'))
    return 'It limits how often a name may be tried, and its words say until when. Wait until then: Caddy goes on trying by itself.';
  if (has('rejectedIdentifier'))
    return `It gives none for such a name, however often it is asked. Take another CA (tls.mode, tls.directory) and run \`fedi-setup apply\`.`;
  if (has('caa'))
    return `A CAA record of ${name}, or of a domain above it, names the CAs that may: add this one there, or remove the record. ${again}`;
  if (has('externalAccountRequired'))
    return 'It wants an account that was made at its own website, which fedi-setup cannot hand over yet. Take another CA (tls.mode, tls.directory).';
  if (has('dns') || says(/no such host|NXDOMAIN|SERVFAIL/i))
    return `Give ${name} an A record (and an AAAA record, if this host has IPv6) with the address of this host. New records can take some minutes to be seen everywhere. ${again}`;
  if (has('connection') || says(/refused|timeout|timed out|failed to connect|no route/i))
    return `So it does not get through to this host. Are the A and AAAA records of ${name} addresses of this host, and are ports 80 and 443 open, in its firewall, at the provider, in the router? ${again}`;
  if (has('unauthorized', 'incorrectResponse', 'tls'))
    return `So something else answers for ${name}. Its A and AAAA records have to be addresses of this host only, without a proxy or CDN in between. ${again}`;
  return `\`docker compose logs caddy\` has the whole story. ${again}`;
}
