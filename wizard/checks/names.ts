/** DNS checks: A, AAAA and CAA records of the site's domains. */
import type { CaaRecord } from 'node:dns';
import { allNamesOf, appOf } from '../apps/index.ts';
import type { Config } from '../config/config.ts';
import { codeOf, messageOf } from '../problem.ts';
import { isPublic, isReserved, spelled } from '../config/addresses.ts';
import type { CheckContext, Finding, CheckResult } from './check.ts';

const list = (addresses: readonly string[]): string => addresses.join(', ') || 'none';

/** ` (192.0.2.7)`: the public addresses of this host, if any. */
const hint = (own: readonly string[]): string => {
  const outer = own.filter(isPublic);
  return outer.length > 0 ? ` (${list(outer)})` : '';
};

/** The flag for a domain of handles whose website stays elsewhere; undefined: it must point here. */
function elsewhereFor({ apps }: Config, name: string): string | undefined {
  const app = apps.find(({ domain }) => domain === name);
  return app && appOf(app.id).elsewhere?.(app);
}

/** Addresses of this host that the site listens on. */
function ownAddresses({ config, host }: CheckContext): string[] {
  const all = host.addresses().map(spelled);
  return all.includes(config.bind) ? [config.bind] : all;
}

/** Applies only if a CA looks the names up: not for internal certificates or behind another proxy. */
export async function checkDns(context: CheckContext): Promise<CheckResult | undefined> {
  const { config, host } = context;
  const { ca } = config.tls;
  if (ca === undefined) return undefined;
  // A private CA may see other addresses than the public DNS.
  const level = ca.isPublic ? 'blocker' : 'warning';
  const own = ownAddresses(context);
  const found: Finding[] = [];
  const seen: string[] = [];
  for (const name of allNamesOf(config)) {
    if (isReserved(name)) {
      seen.push(`${name} is not looked up: a reserved name`);
      if (ca.isPublic) {
        found.push({
          level,
          what: `${name} is a reserved name, which the public DNS does not have.`,
          means: 'Let’s Encrypt issues certificates only for names in the public DNS.',
          next: 'Use a registered domain, or --tls-mode internal for testing.',
        });
      }
      continue;
    }
    const types = ['A', 'AAAA'] as const;
    const answers = await Promise.allSettled(types.map((type) => host.addressRecords(name, type)));
    const lost = answers.find((one) => one.status === 'rejected');
    if (lost !== undefined) {
      const why = codeOf(lost.reason) ?? messageOf(lost.reason);
      seen.push(`${name}: no answer (${why})`);
      found.push({
        level: 'warning',
        what: `${name} could not be looked up: the DNS did not answer (${why}).`,
        means: 'If it does not point to this host, the CA issues no certificate.',
        next: `Try \`getent hosts ${name}\`. If other names work, the name servers of the domain have a problem.`,
      });
      continue;
    }
    const records = types.map((type, i) => ({
      type,
      addresses: (answers[i] as PromiseFulfilledResult<string[]>).value.map(spelled),
    }));
    seen.push(`${name}: ${records.map(({ type, addresses }) => `${type} ${list(addresses)}`).join(', ')}`);
    if (records.every(({ addresses }) => addresses.length === 0)) {
      found.push({
        level,
        what: `${name} has no address in the DNS.`,
        means: 'Without one, the CA issues no certificate.',
        next: `Add an A record with the public address of this host${hint(own)}, and wait until it resolves.`,
      });
    }
    const hasA = records.some(({ type, addresses }) => type === 'A' && addresses.length > 0);
    for (const { type, addresses } of records) {
      const finding = compare(name, type, addresses, own, config.bind, hasA, elsewhereFor(config, name));
      if (finding !== undefined)
        found.push({ ...finding, level: finding.level === 'blocker' ? level : 'warning' });
    }
  }
  return { seen: `${seen.join('; ')}; this host has ${list(own)}`, found };
}

function compare(
  name: string,
  type: 'A' | 'AAAA',
  addresses: readonly string[],
  all: readonly string[],
  bind: string,
  hasA: boolean,
  elsewhere: string | undefined,
): Finding | undefined {
  const own = all.filter((address) => address.includes(':') === (type === 'AAAA'));
  const foreign = addresses.filter((address) => !own.includes(address));
  const inner = addresses.filter((address) => !isPublic(address));
  if (inner.length > 0) {
    return {
      level: 'blocker',
      what: `The ${type} record of ${name} is ${list(inner)}, a private address.`,
      means: 'Let’s Encrypt and other servers cannot reach it from outside.',
      next: 'Set it to the public address of this host. If only your local DNS answers so, set another one for containers in /etc/docker/daemon.json, such as {"dns": ["9.9.9.9"]}, since some apps refuse servers at private addresses; then use --skip-check dns.',
    };
  }
  if (foreign.length === 0) {
    if (type === 'A' || addresses.length === 0 || bind !== '0.0.0.0') return undefined;
    return hasA
      ? {
          level: 'warning',
          what: `${name} has an AAAA record, but the site listens only on IPv4.`,
          means: 'Visitors and other servers try IPv6 first, and that fails.',
          next: 'Listen on both with --bind ::, or remove the AAAA record.',
        }
      : {
          level: 'blocker',
          what: `${name} has only an AAAA record, but the site listens only on IPv4.`,
          means: 'Nobody reaches it, and the CA issues no certificate.',
          next: 'Listen on IPv6 too with --bind ::, or add an A record if this host has a public IPv4 address.',
        };
  }
  if (type === 'A' && !own.some(isPublic)) {
    return {
      level: 'warning',
      what: `${name} is ${list(foreign)}; this host has only private addresses (${list(own)}). Behind NAT?`,
      means: `Then ports 80 and 443 of ${foreign[0] ?? ''} must be forwarded to this host, which cannot be checked from here.`,
      next: 'Check the port forwarding of the router, or the address that the provider assigned to this machine.',
    };
  }
  const some = foreign.length < addresses.length;
  return {
    level: some ? 'warning' : 'blocker',
    what: `The ${type} record of ${name} ${some ? 'also points' : 'points'} elsewhere: ${list(foreign)}.`,
    means:
      type === 'AAAA'
        ? 'Let’s Encrypt and most visitors try IPv6 first and reach another machine: no certificate.'
        : 'Let’s Encrypt and visitors reach another machine: no certificate.',
    next: `${elsewhere === undefined ? 'Set' : `If a website lives there, leave the record as it is and use ${elsewhere}. Otherwise set`} it to an address of this host${hint(own)}${type === 'AAAA' ? ' or remove it' : ''}. If it is the address of your CDN or load balancer, use --skip-check dns.`,
  };
}

/** Let's Encrypt, and the CA behind ZeroSSL, Caddy's fallback. */
const OURS = 'letsencrypt.org';
const SECOND = 'sectigo.com';
/** ACME challenges that Caddy uses. */
const METHODS = ['http-01', 'tls-alpn-01'];

interface Issue {
  readonly ca: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** `ca.example; validationmethods=dns-01` (RFC 8659, 8657). */
function parseIssue(value: string): Issue {
  const [ca = '', ...rest] = value.split(';').map((part) => part.trim().toLowerCase());
  return { ca, parameters: new Map(rest.map((part) => part.split('=', 2) as [string, string])) };
}

/** The CAA records that apply to a name: the first set found going up the tree (RFC 8659, section 3). */
async function relevantCaa(
  host: CheckContext['host'],
  name: string,
): Promise<{ at: string; records: readonly CaaRecord[] } | undefined> {
  const labels = name.split('.');
  for (let i = 0; i < labels.length; i++) {
    const at = labels.slice(i).join('.');
    const records = await host.caaRecords(at);
    if (records.length > 0) return { at, records };
  }
  return undefined;
}

const KNOWN = ['critical', 'issue', 'issuewild', 'iodef', 'issuemail', 'contactemail', 'contactphone'];

export async function checkCaa({ config, host }: CheckContext): Promise<CheckResult | undefined> {
  if (config.tls.ca?.isPublic !== true) return undefined;
  const names = allNamesOf(config).filter((name) => !isReserved(name));
  const found: Finding[] = [];
  const seen: string[] = [];
  for (const name of names) {
    let relevant: Awaited<ReturnType<typeof relevantCaa>>;
    try {
      relevant = await relevantCaa(host, name);
    } catch (error) {
      const why = codeOf(error) ?? messageOf(error);
      seen.push(`${name}: no answer (${why})`);
      found.push({
        level: 'warning',
        what: `The CAA records of ${name} could not be looked up (${why}).`,
        means: 'A CA that cannot look them up issues no certificate.',
        next: 'If other lookups work, contact the operator of the domain’s name servers.',
      });
      continue;
    }
    if (relevant === undefined) {
      seen.push(`${name}: none, nor for its parents`);
      continue;
    }
    const { at, records } = relevant;
    const shown = records.map(
      ({ critical, ...tags }) => `${critical} ${Object.entries(tags).flat().join(' ')}`,
    );
    seen.push(`${at}: ${shown.join(', ')}`);
    const verdict = judge(records);
    if (verdict !== undefined) {
      found.push({
        level: verdict,
        what: `A CAA record of ${at} ${verdict === 'blocker' ? 'forbids' : 'may forbid'} Let’s Encrypt: ${shown.join(', ')}.`,
        means: `If so, it issues no certificate for ${name}.`,
        next: `Add \`${at}. CAA 0 issue "${OURS}"\` to the DNS, or remove the records.`,
      });
    }
  }
  return seen.length === 0 ? undefined : { seen: seen.join('; '), found };
}

/** Undefined: Let's Encrypt is allowed. */
function judge(records: readonly CaaRecord[]): Finding['level'] | undefined {
  // A critical tag that a CA does not know forbids issuance.
  if (
    records.some(
      (record) => record.critical >= 128 && Object.keys(record).some((tag) => !KNOWN.includes(tag)),
    )
  )
    return 'blocker';
  const issues = records.flatMap(({ issue }) => (issue === undefined ? [] : [parseIssue(issue)]));
  if (issues.length === 0) return undefined;
  const may = issues.filter(({ ca, parameters }) => {
    const methods = parameters.get('validationmethods')?.split(',');
    return (
      ca === OURS && (methods === undefined || methods.some((method) => METHODS.includes(method.trim())))
    );
  });
  // An `accounturi` is unlikely to match the account that Caddy creates.
  if (may.some(({ parameters }) => !parameters.has('accounturi'))) return undefined;
  return may.length > 0 || issues.some(({ ca }) => ca === SECOND) ? 'warning' : 'blocker';
}
