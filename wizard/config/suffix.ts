/** What of a name is anybody's and what is somebody's, by the Public Suffix List. The only importer of tldts. */
import { parse } from 'tldts';

export interface Parts {
  /** `co.uk`, `org`, `duckdns.org`: below it anybody can register a name. Undefined: not on the list (`test`, `localhost`). */
  readonly suffix: string | undefined;
  /** What somebody registered: `example.co.uk`; undefined when the name is a suffix itself. */
  readonly registered: string | undefined;
}

/** @param domain lower case, IDN as punycode. */
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
