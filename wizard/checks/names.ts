/** The names of the site as the world finds them: A, AAAA and CAA records. */
import type { CaaRecord } from 'node:dns';
import { allNamesOf } from '../apps/index.ts';
import { codeOf, messageOf } from '../problem.ts';
import { isPublic, isReserved, spelled } from '../config/addresses.ts';
import type { CheckContext, Finding, Looked } from './check.ts';

const list = (addresses: readonly string[]): string => addresses.join(', ') || 'none';

/** ` (192.0.2.7)`, as far as this host has any. */
const hint = (own: readonly string[]): string => {
  const outer = own.filter(isPublic);
  return outer.length > 0 ? ` (${list(outer)})` : '';
};

/** Addresses of this host that a visitor may come in by. */
function ownAddresses({ config, host }: CheckContext): string[] {
  const all = host.addresses().map(spelled);
  return all.includes(config.bind) ? [config.bind] : all;
}

/** Only where a CA looks the names up: an internal one and a proxy in front have their own ideas of them. */
export async function checkDns(context: CheckContext): Promise<Looked | undefined> {
  const { config, host } = context;
  const { mode } = config.tls;
  if (mode !== 'acme' && mode !== 'directory') return undefined;
  // A CA of one's own may see other addresses than the world does.
  const level = mode === 'acme' ? 'blocker' : 'warning';
  const own = ownAddresses(context);
  const found: Finding[] = [];
  const seen: string[] = [];
  for (const name of allNamesOf(config)) {
    if (isReserved(name)) {
      seen.push(`${name} is not looked up: such names are for use inside`);
      if (mode === 'acme') {
        found.push({
          level,
          what: `${name} is no name that the world can find.`,
          means: 'Let’s Encrypt gives certificates for names in the public DNS only.',
          next: 'Take a domain of your own, or --tls-mode internal for trying out.',
        });
      }
      continue;
    }
    const types = ['A', 'AAAA'] as const;
    const asked = await Promise.allSettled(types.map((type) => host.addressRecords(name, type)));
    const lost = asked.find((one) => one.status === 'rejected');
    if (lost !== undefined) {
      const why = codeOf(lost.reason) ?? messageOf(lost.reason);
      seen.push(`${name}: no answer (${why})`);
      found.push({
        level: 'warning',
        what: `${name} could not be looked up: the DNS gave no answer (${why}).`,
        means: 'Nobody knows yet whether it leads here; without that there are no certificates.',
        next: `Try \`getent hosts ${name}\`. If other names work, its DNS servers have trouble.`,
      });
      continue;
    }
    const records = types.map((type, i) => ({
      type,
      addresses: (asked[i] as PromiseFulfilledResult<string[]>).value.map(spelled),
    }));
    seen.push(`${name}: ${records.map(({ type, addresses }) => `${type} ${list(addresses)}`).join(', ')}`);
    if (records.every(({ addresses }) => addresses.length === 0)) {
      found.push({
        level,
        what: `${name} has no address in the DNS.`,
        means: 'The CA looks there and gives no certificate.',
        next: `Give it an A record with the address that the world has for this host${hint(own)}, and wait until it is seen.`,
      });
    }
    for (const { type, addresses } of records) {
      const finding = compare(name, type, addresses, own, config.bind);
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
): Finding | undefined {
  const own = all.filter((address) => address.includes(':') === (type === 'AAAA'));
  const strangers = addresses.filter((address) => !own.includes(address));
  const inner = addresses.filter((address) => !isPublic(address));
  if (inner.length > 0) {
    return {
      level: 'blocker',
      what: `The ${type} record of ${name} is ${list(inner)}, an address inside a network.`,
      means: 'Let’s Encrypt and other servers do not get there from outside.',
      next: 'Set it to the address that the world has for this host.',
    };
  }
  if (strangers.length === 0)
    return type === 'AAAA' && addresses.length > 0 && bind === '0.0.0.0'
      ? {
          level: 'warning',
          what: `${name} has an AAAA record, and the site listens on IPv4 only.`,
          means: 'Visitors and other servers try IPv6 first and are turned away before they try again.',
          next: 'Listen on both with --bind ::, or remove the AAAA record.',
        }
      : undefined;
  if (type === 'A' && !own.some(isPublic)) {
    return {
      level: 'warning',
      what: `${name} is ${list(strangers)}; this host has only inner addresses (${list(own)}). Behind NAT?`,
      means: `Then all is well if ports 80 and 443 of ${strangers[0] ?? ''} lead here; that cannot be seen from here.`,
      next: 'Look at the port forwarding of the router, or at the address the provider gave to this machine.',
    };
  }
  const some = strangers.length < addresses.length;
  return {
    level: some ? 'warning' : 'blocker',
    what: `The ${type} record of ${name} ${some ? 'also points' : 'points'} elsewhere: ${list(strangers)}.`,
    means:
      type === 'AAAA'
        ? 'Let’s Encrypt and most visitors try IPv6 first and get to another machine: no certificate.'
        : 'Let’s Encrypt and visitors get to another machine: no certificate.',
    next: `Set it to an address of this host${hint(own)}${type === 'AAAA' ? ' or remove it' : ''}. If a CDN or load balancer stands there on purpose, --skip-check dns.`,
  };
}

/** Let's Encrypt, and the CA behind ZeroSSL, which Caddy turns to next. */
const OURS = 'letsencrypt.org';
const SECOND = 'sectigo.com';
/** What Caddy proves a name by. */
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

/** The CAA records that count for a name: the first set on the way up (RFC 8659, section 3). */
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

export async function checkCaa({ config, host }: CheckContext): Promise<Looked | undefined> {
  if (config.tls.mode !== 'acme') return undefined;
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
        means: 'A CA that cannot look them up either gives no certificate.',
        next: 'If the DNS works otherwise, ask whoever runs the name servers of the domain.',
      });
      continue;
    }
    if (relevant === undefined) {
      seen.push(`${name}: none up to the top`);
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
        means: `It gives no certificate for ${name} then.`,
        next: `Add \`${at}. CAA 0 issue "${OURS}"\` to the DNS, or remove the records.`,
      });
    }
  }
  return seen.length === 0 ? undefined : { seen: seen.join('; '), found };
}

/** Undefined: Let's Encrypt may. */
function judge(records: readonly CaaRecord[]): Finding['level'] | undefined {
  // What a CA must understand and does not.
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
  // An account that is named there is hardly the one that Caddy makes.
  if (may.some(({ parameters }) => !parameters.has('accounturi'))) return undefined;
  return may.length > 0 || issues.some(({ ca }) => ca === SECOND) ? 'warning' : 'blocker';
}
