/** Proofs that all others depend on: certificates, or the administrator's own reverse proxy. */
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { arrivedIn, knownPath, reloadCaddy } from '../docker/caddy.ts';
import type { Arrived } from '../docker/caddy.ts';
import type { Runtime } from '../docker/runtime.ts';
import { codeOf, messageOf } from '../problem.ts';
import type { Client, Reply } from './http.ts';
import type { Proof } from './proof.ts';

/** Longer than any CA takes. */
const PATIENCE_MS = 5 * 60_000;
const HANDSHAKE_MS = 30_000;
/** An attempt writes about 15 lines per name. */
const LOG_LINES = 2000;

export interface Ingress {
  readonly runtime: Runtime;
  /** Address at which this host reaches Caddy. */
  readonly address: string;
  /** HTTPS port; absent: 443. */
  readonly port?: number;
  /** PEM of the trusted CA certificates; undefined: the system's. */
  readonly ca: string | undefined;
}

/**
 * One proof for all names of an app. Connects to Caddy's address, not by DNS: an old server that is still in DNS has a
 * certificate too. Ignores failures from before this run and has Caddy retry at once: the cause may be fixed by now,
 * and Caddy may otherwise wait for hours.
 */
export function certificateProof(ingress: Ingress, names: readonly string[]): Proof {
  return {
    id: 'certificate',
    title: `Certificate${names.length === 1 ? '' : 's'} of ${names.join(', ')}`,
    run: async () => {
      const deadline = Date.now() + PATIENCE_MS;
      let tryAgain = true;
      for (;;) {
        const issued = await Promise.all(names.map((name) => goodCertificate(ingress, name)));
        const open = names.filter((_, i) => issued[i] === undefined);
        if (open.length === 0) return issued.join('; ');

        const attempts = attemptsIn(await ingress.runtime.logs('caddy', LOG_LINES));
        const known = open.flatMap((name) => attempts.get(name) ?? []);
        const over = known.every(({ failed }) => failed);
        const fresh = known.length === open.length && known.every(({ at }) => at >= performance.timeOrigin);
        if (over && !fresh && tryAgain) {
          tryAgain = false;
          await reload(ingress);
        } else if (over && known.length === open.length) {
          throw new Error(`${known.map(explain).join('\n')}${await expiryHint(ingress, open)}`);
        } else if (Date.now() > deadline) {
          throw new Error(
            `Caddy has no certificate for ${open.join(', ')} after ${PATIENCE_MS / 60_000} minutes. It keeps trying. Look at \`docker compose logs caddy\`, then run \`fedi-setup prove\`.${await expiryHint(ingress, open)}`,
          );
        }
        await delay(500);
      }
    },
  };
}

/** Sends requests as visitors do, and identifies this site's Caddy by its reply. */
export interface Visitor {
  readonly http: Client;
  /** Id of the configuration that this site's Caddy runs. */
  readonly id: () => Promise<string>;
}

/** Requests the path that only this site's Caddy answers. @param live with the headers that open a WebSocket */
async function ask(
  http: Client,
  id: string,
  name: string,
  live: boolean,
): Promise<Reply & { arrived: Arrived | undefined }> {
  const headers = live ? { Connection: 'Upgrade', Upgrade: 'websocket' } : {};
  const reply = await http(`https://${name}${knownPath(id)}`, { headers });
  return { ...reply, arrived: reply.status === 200 ? arrivedIn(reply.text()) : undefined };
}

/**
 * Visitors reach this site under its names. Certificates are checked at Caddy's address, so only this proof detects an
 * old server that DNS still points to.
 */
export function answerProof({ http, id: idOf }: Visitor, names: readonly string[]): Proof {
  return {
    id: 'answer',
    title: `Server that answers for ${names.join(', ')}`,
    run: async () => {
      const id = await idOf();
      for (const name of names) {
        const { status, arrived } = await ask(http, id, name, false);
        if (arrived?.host !== name)
          throw new Error(
            `Another server answers for ${name} (${status}). Its A and AAAA records must point to this host only, without a proxy or CDN in between. Correct them, then run \`fedi-setup prove\`.`,
          );
      }
      return 'this site';
    },
  };
}

/** For `proxy`: the administrator's reverse proxy forwards every name to this site. @param live the site uses WebSockets */
export function proxyProof(
  { http, id: idOf }: Visitor,
  names: readonly string[],
  ingress: string,
  live: boolean,
): Proof {
  return {
    id: 'proxy',
    title: `Your proxy in front of ${names.join(', ')}`,
    run: async () => {
      const id = await idOf();
      for (const name of names) {
        const reply = await ask(http, id, name, live).catch((error: unknown) => {
          throw new Error(`${messageOf(error)}. ${adviceForProxy(name, error, ingress)}`);
        });
        const problem =
          reply.arrived === undefined
            ? otherServerProblem(name, reply, ingress)
            : forwardingProblem(name, reply.arrived, live);
        if (problem !== undefined) throw new Error(`${problem} Then run \`fedi-setup prove\`.`);
      }
      return `${names.map((name) => `https://${name}`).join(', ')}: your proxy forwards to this site`;
    },
  };
}

const READY = 'front/nginx.conf and front/Caddyfile in the site directory are examples.';

/** Explains a reply that is not from this site. */
function otherServerProblem(name: string, { status, headers, body }: Reply, ingress: string): string {
  const target = String(headers['location'] ?? '');
  if (status >= 502 && status <= 504)
    return `Your proxy answers ${status} for ${name}: it does not reach this site. It must forward requests to http://${ingress}; ${READY}`;
  if (status === 401 || status === 403 || status === 407)
    return `Your proxy answers ${status} for ${name}: it requires a log-in or denies access before requests reach this site. Other servers cannot log in there: remove that for ${name}.`;
  if (status >= 300 && status <= 399 && URL.canParse(target, `https://${name}/`)) {
    const { protocol, host, href } = new URL(target, `https://${name}/`);
    if (host !== name)
      return `Your proxy redirects ${name} to ${href} instead of forwarding requests to this site. Remove the redirect: every request must reach http://${ingress}.`;
    return protocol === 'http:'
      ? `Your proxy redirects https://${name} back to http://. It must forward requests to http://${ingress}; ${READY}`
      : `Your proxy redirects ${name} in a loop (${status} to ${href}). It must forward requests to http://${ingress}; ${READY}`;
  }
  if (status === 404)
    return `Your proxy answers 404 below https://${name}/.well-known/: it answers that path itself, or forwards ${name} to another server. Other servers look up accounts there: forward all of it to http://${ingress} (certbot needs /.well-known/acme-challenge/ only).`;
  return `Another server answers for ${name} (${status}${body.length === 0 ? ', an empty page' : ''}). Your proxy must forward requests for ${name} to http://${ingress}; ${READY}`;
}

/** What the proxy does not forward; undefined: nothing is missing. */
function forwardingProblem(
  name: string,
  { host, proto, from, trusted, upgrade }: Arrived,
  live: boolean,
): string | undefined {
  if (host !== name)
    return `Your proxy forwards requests for ${name} with the Host ${host}. It must keep the original one: \`proxy_set_header Host $host;\` in nginx, \`ProxyPreserveHost On\` in Apache.`;
  if (proto !== 'https')
    return `Your proxy forwards requests for ${name} ${proto === '' ? 'without X-Forwarded-Proto' : `with X-Forwarded-Proto ${proto}`}, so the server thinks that visitors’ connections are unencrypted. It must send X-Forwarded-Proto: https; ${READY}`;
  if (!trusted)
    return `Your proxy connects from ${from}, which tls.proxies does not include, so its headers about visitors are not trusted. Add it there and run \`fedi-setup apply\`.`;
  if (live && upgrade.toLowerCase() !== 'websocket')
    return `Your proxy does not forward WebSockets for ${name}, so live updates do not work. It must forward the headers Upgrade and Connection; ${READY}`;
  return undefined;
}

function adviceForProxy(name: string, error: unknown, ingress: string): string {
  const code = codeOf(error instanceof Error ? error.cause : undefined);
  const again = 'Then run `fedi-setup prove`.';
  if (code === 'ENOTFOUND')
    return `The name does not exist in the DNS: add an A record with the address of your proxy. ${again}`;
  if (code?.startsWith('ERR_TLS') || /CERT|SIGNATURE|ISSUER/.test(code ?? ''))
    return `Your proxy answers, but without a certificate for ${name} that visitors trust. Correct that there. ${again}`;
  return `Your proxy must answer for ${name} and forward requests to http://${ingress}; ${READY} ${again}`;
}

/** The certificate that a server presents, trusted or not. */
export interface Served {
  readonly issuer: string;
  /** Names in the certificate. */
  readonly names: string;
  readonly from: Date;
  readonly to: Date;
  /** Node's error code if it is not trusted; undefined: it is valid. */
  readonly trouble: string | undefined;
}

/** Rejects if there is no certificate or no answer. @param ca PEM of the trusted CA certificates; undefined: the system's */
export function served(
  { address, port = 443, ca }: { address: string; port?: number; ca: string | undefined },
  name: string,
  wholeMs = HANDSHAKE_MS,
): Promise<Served> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: address,
      port,
      servername: name,
      // Verified below, to distinguish an untrusted certificate from a missing one.
      rejectUnauthorized: false,
      ...(ca === undefined ? {} : { ca }),
    });
    const deadline = AbortSignal.timeout(wholeMs);
    const late = (): void => void socket.destroy(new Error(`no answer within ${wholeMs / 1000} s`));
    deadline.addEventListener('abort', late);
    socket.on('close', () => deadline.removeEventListener('abort', late));
    socket.on('secureConnect', () => {
      const { issuer, subjectaltname = '', valid_from: from, valid_to: to } = socket.getPeerCertificate();
      const trouble = socket.authorizationError;
      resolve({
        issuer: [issuer.O, issuer.CN].filter(Boolean).join(' '),
        names: subjectaltname.replaceAll('DNS:', ''),
        from: new Date(from),
        to: new Date(to),
        // A code, although the type is Error.
        trouble: trouble ? String(trouble) : undefined,
      });
      socket.destroy();
    });
    // Without a certificate for the name Caddy aborts the handshake.
    socket.on('error', reject);
  });
}

const day = (date: Date): string => date.toISOString().slice(0, 10);

/** Evidence of a valid certificate; undefined: none yet, or expired. Throws if it is not trusted. */
async function goodCertificate(ingress: Ingress, name: string): Promise<string | undefined> {
  const certificate = await served(ingress, name).catch(() => undefined);
  if (certificate === undefined) return undefined;
  const { issuer, from, to, trouble } = certificate;
  switch (trouble) {
    case undefined:
      return `from ${issuer}, until ${day(to)}`;
    case 'CERT_HAS_EXPIRED':
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return undefined;
    case 'CERT_NOT_YET_VALID':
      throw new Error(
        `The certificate of ${name} is valid from ${from.toISOString()}, and the clock of this host says ${new Date().toISOString()}. Set the clock: timedatectl set-ntp true`,
      );
    default:
      throw new Error(
        `The certificate of ${name} is from ${issuer}, which is not trusted here (${trouble}): browsers warn visitors, and other servers do not connect. For a CA of your own, put its root certificate into the file that trust.ca or tls.directory-root names.`,
      );
  }
}

/** A sentence about expired certificates, which a wrong clock causes too; '' if there are none. */
async function expiryHint(ingress: Ingress, names: readonly string[]): Promise<string> {
  for (const name of names) {
    const one = await served(ingress, name).catch(() => undefined);
    if (one?.trouble === 'CERT_HAS_EXPIRED')
      return ` The certificate that Caddy has for ${name} ended on ${day(one.to)}, and the clock of this host says ${new Date().toISOString()}. If the clock is wrong, set it: timedatectl set-ntp true`;
  }
  return '';
}

/** CA certificates that this run trusts and visitors do not; '' if there are none. */
export function trustedHere(env: NodeJS.ProcessEnv): string {
  const file = env['NODE_EXTRA_CA_CERTS'];
  return file ? `; this run also trusts ${file} (NODE_EXTRA_CA_CERTS), which visitors may not` : '';
}

async function reload({ runtime }: Ingress): Promise<void> {
  const { code, stderr } = await reloadCaddy(runtime);
  if (code !== 0)
    throw new Error(`Caddy rejects its configuration: ${stderr.trim().split('\n').at(-1) ?? ''}`);
}

/** The CA's error about one challenge, or about the whole order. */
interface Refusal {
  readonly challenge: string | undefined;
  /** Last part of the ACME error's URN; '' if there is none, as when the CA was not reached. */
  readonly type: string;
  readonly detail: string;
}

/** Caddy's last attempt to get a certificate for a name. */
export interface Attempt {
  readonly name: string;
  /** Time of its last log line, in milliseconds. */
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

/** Reads unfinished and failed attempts from Caddy's log (JSON lines; messages as of Caddy 2.11). */
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
    // A reload cancelled the attempts of the previous configuration.
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
        // `HTTP 400 urn:… - detail`
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

/** One line: what happened, what it means, what to do next. */
export function explain({ name, refusals }: Attempt): string {
  const tried = refusals.filter(({ challenge }) => challenge !== undefined);
  // If a challenge failed, the error of the whole order only repeats it.
  const causes = tried.length > 0 ? tried : refusals;
  // Caddy tries two CAs, which usually report the same: the first message is enough.
  const first = causes.filter(
    (one, i) => causes.findIndex(({ challenge }) => challenge === one.challenge) === i,
  );
  const reasons = first.map(({ challenge, detail }) =>
    challenge === undefined ? detail : `by ${CHALLENGES[challenge] ?? challenge}: ${detail}`,
  );
  const reached = first.some(({ type }) => type !== '');
  const what = reached
    ? `The CA issued no certificate for ${name}. It says: ${reasons.join('; ')}`
    : `Caddy got no certificate for ${name}, since it could not reach the CA: ${reasons.join('; ')}`;
  return `${what.replace(/[.\s]+$/, '')}. ${adviceFor(name, first)}`;
}

/** CAs classify the same problem differently, so the message text counts as well as the type. */
function adviceFor(name: string, refusals: readonly Refusal[]): string {
  const again = 'Then run `fedi-setup prove`: Caddy retries at once.';
  const has = (...types: string[]): boolean => refusals.some(({ type }) => types.includes(type));
  const says = (words: RegExp): boolean => refusals.some(({ detail }) => words.test(detail));
  if (refusals.every(({ type }) => type === '')) {
    if (says(/has expired or is not yet valid|not yet valid/))
      return `The certificate of the CA’s server seems to be out of date, which a wrong clock of this host causes too: it says ${new Date().toISOString()}. If that is wrong, set it: timedatectl set-ntp true. ${again}`;
    return says(/x509|unknown authority/)
      ? `It does not trust the certificate of the CA’s server. Put the root certificate into trust/custom, set trust.ca to its file name, and run \`fedi-setup apply\`.`
      : `Is tls.directory right, and can this host reach that address? ${again}`;
  }
  if (has('rateLimited'))
    return 'This is a rate limit; the message says until when. Wait until then: Caddy retries automatically.';
  if (has('rejectedIdentifier'))
    return `It never issues certificates for such a name. Use another CA (tls.mode, tls.directory) and run \`fedi-setup apply\`.`;
  if (has('caa'))
    return `A CAA record of ${name}, or of a parent domain, allows other CAs only: add this one, or remove the record. ${again}`;
  if (has('externalAccountRequired'))
    return 'It requires an account created on its website (external account binding), which fedi-setup does not support yet. Use another CA (tls.mode, tls.directory).';
  if (has('dns') || says(/no such host|NXDOMAIN|SERVFAIL/i))
    return `Give ${name} an A record (and an AAAA record, if this host has IPv6) with the address of this host. New records can take some minutes to spread. ${again}`;
  if (has('connection') || says(/refused|timeout|timed out|failed to connect|no route/i))
    return `So it cannot reach this host. Do the A and AAAA records of ${name} point to this host, and are ports 80 and 443 open in its firewall, at the provider and in the router? ${again}`;
  if (has('unauthorized', 'incorrectResponse', 'tls'))
    return `So another server answers for ${name}. Its A and AAAA records must point to this host only, without a proxy or CDN in between. ${again}`;
  return `Look at \`docker compose logs caddy\`. ${again}`;
}
