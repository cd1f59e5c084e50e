/** Splits a domain by the Public Suffix List. The only importer of tldts. */
import { parse } from 'tldts';

export interface Parts {
  /** `co.uk`, `org`, `duckdns.org`: anyone can register a name under it. Undefined: not on the list (`test`, `localhost`). */
  readonly suffix: string | undefined;
  /** The registered domain, such as `example.co.uk`; undefined if the name is itself a suffix. */
  readonly registered: string | undefined;
}

/** @param domain in lower case, IDN as punycode */
export function partsOf(domain: string): Parts {
  const {
    publicSuffix,
    isIcann,
    isPrivate,
    domain: registered,
  } = parse(domain, { allowPrivateDomains: true });
  const listed = isIcann === true || isPrivate === true;
  return { suffix: listed ? (publicSuffix ?? undefined) : undefined, registered: registered ?? undefined };
}
