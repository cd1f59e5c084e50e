/** SPF, DKIM and DMARC of a sender's domain: what the DNS has, and the records to set. */
import { isReserved } from '../config/addresses.ts';
import type { MailProvider } from '../config/mail-providers.ts';
import { partsOf } from '../config/suffix.ts';
import { codeOf, messageOf } from '../problem.ts';
import { quoted } from '../visible.ts';

/** What is known about one kind of record. */
export interface RecordAdvice {
  readonly kind: 'SPF' | 'DKIM' | 'DMARC';
  readonly isFine: boolean;
  /** What was found. */
  readonly seen: string;
  /** The record to set, or where to find it; absent: nothing to do. */
  readonly next?: string;
}

/** Texts of the TXT records of a name; empty: none. Rejects if the DNS does not answer. */
export type TextRecords = (name: string) => Promise<string[]>;

/** @returns empty for a domain that the public DNS cannot have */
export async function readRecords(
  domain: string,
  provider: MailProvider | undefined,
  texts: TextRecords,
): Promise<RecordAdvice[]> {
  if (isReserved(domain) || !domain.includes('.')) return [];
  const all = [
    ['SPF', spf],
    ['DKIM', dkim],
    ['DMARC', dmarc],
  ] as const;
  return Promise.all(
    all.map(async ([kind, read]) => {
      try {
        return { kind, ...(await read(domain, provider, texts)) };
      } catch (error) {
        return {
          kind,
          isFine: false,
          seen: `the DNS did not answer (${codeOf(error) ?? messageOf(error)})`,
          next: 'Try again later.',
        };
      }
    }),
  );
}

type Found = Omit<RecordAdvice, 'kind'>;
type Read = (domain: string, provider: MailProvider | undefined, texts: TextRecords) => Promise<Found>;

const record = (name: string, text: string): string => `Set a TXT record for ${name}: "${text}"`;

/** RFC 7208. */
const spf: Read = async (domain, provider, texts) => {
  const found = (await texts(domain)).filter((text) => /^v=spf1( |$)/i.test(text));
  const [first = ''] = found;
  const include = provider?.spf;
  if (found.length > 1)
    return {
      isFine: false,
      seen: `${domain} has ${found.length} SPF records, which receivers treat as an error`,
      next: 'Merge them into one record.',
    };
  if (/(^| )\+?all\b/i.test(first))
    return {
      isFine: false,
      seen: `${quoted(first)} allows every server to send as ${domain}`,
      next: 'Replace its last word with ~all.',
    };
  if (include === 'own')
    return {
      isFine: true,
      seen: `${first === '' ? 'none' : quoted(first)}; ${provider?.name} uses its own domain in the envelope, so it needs none here`,
    };
  if (found.length === 0)
    return {
      isFine: false,
      seen: `${domain} has no SPF record`,
      next:
        include === undefined
          ? 'Your mail provider shows the record to set.'
          : `${record(domain, `v=spf1 include:${include} ~all`)}.`,
    };
  if (include !== undefined && !first.toLowerCase().includes(`include:${include.toLowerCase()}`))
    return {
      isFine: false,
      seen: `${quoted(first)} does not name ${provider?.name}`,
      next: `Put include:${include} into it, before the word that ends with “all”.`,
    };
  return { isFine: true, seen: quoted(first) };
};

/** RFC 6376. A key without a value after `p=` is withdrawn. */
const dkim: Read = async (domain, provider, texts) => {
  const selectors = provider?.dkim;
  if (selectors === undefined)
    return {
      isFine: true,
      seen: 'not looked up: its selector is not known',
      next: `Set the DKIM record that your mail provider shows for ${domain}.`,
    };
  const found: string[] = [];
  for (const selector of selectors) {
    const [text = ''] = await texts(`${selector}._domainkey.${domain}`);
    if (/(^|;)\s*p=\s*[^;\s]/.test(text)) found.push(selector);
  }
  return found.length > 0
    ? { isFine: true, seen: `${found.join(', ')} of ${domain}` }
    : {
        isFine: false,
        seen: `${domain} has no key under ${selectors.map((one) => `${one}._domainkey`).join(', ')}`,
        next: `Set the DKIM records that ${provider?.name} shows for ${domain}.`,
      };
};

/** RFC 7489: of the domain, or else of the registered domain above it. */
const dmarc: Read = async (domain, _provider, texts) => {
  const { registered = domain } = partsOf(domain);
  for (const name of new Set([domain, registered])) {
    const text = (await texts(`_dmarc.${name}`)).find((one) => /^v=DMARC1\s*(;|$)/.test(one));
    if (text !== undefined) return { isFine: true, seen: `${quoted(text)} (_dmarc.${name})` };
  }
  return {
    isFine: false,
    seen:
      registered === domain
        ? `${domain} has no DMARC record`
        : `neither ${domain} nor ${registered} has a DMARC record`,
    next: `${record(`_dmarc.${registered}`, 'v=DMARC1; p=none')}. Receivers such as Gmail expect one.`,
  };
};
