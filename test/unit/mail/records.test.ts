/** SPF, DKIM and DMARC of a sender's domain: what is found, and the record to set. */
import { expect, test } from 'vitest';
import { MAIL_PROVIDERS } from '../../../wizard/config/mail-providers.ts';
import { readRecords } from '../../../wizard/mail/records.ts';

const DOMAIN = 'social.example.net';
const lines = async (
  provider: string | undefined,
  records: Readonly<Record<string, string[]>>,
): Promise<string[]> =>
  (
    await readRecords(
      DOMAIN,
      MAIL_PROVIDERS.find(({ id }) => id === provider),
      async (name) => records[name] ?? [],
    )
  ).map(({ kind, isFine, seen, next = '' }) => `${kind} ${isFine ? 'fine' : 'open'}: ${seen}. ${next}`);

test.each<[string, string | undefined, Record<string, string[]>, string]>([
  [
    'no SPF, provider known',
    'fastmail',
    {},
    `SPF open: ${DOMAIN} has no SPF record. Set a TXT record for ${DOMAIN}: "v=spf1 include:spf.messagingengine.com ~all".`,
  ],
  ['no SPF, provider unknown', undefined, {}, 'Your mail provider shows the record to set.'],
  [
    'SPF of another provider',
    'fastmail',
    { [DOMAIN]: ['v=spf1 include:mx.ovh.com -all'] },
    'does not name Fastmail. Put include:spf.messagingengine.com into it',
  ],
  [
    'SPF of this one',
    'fastmail',
    { [DOMAIN]: ['other', 'v=spf1 include:spf.messagingengine.com ~all'] },
    'SPF fine: v=spf1 include:spf.messagingengine.com ~all. ',
  ],
  [
    'two SPF records',
    'fastmail',
    { [DOMAIN]: ['v=spf1 -all', 'v=spf1 mx ~all'] },
    'SPF open: social.example.net has 2 SPF records, which receivers treat as an error. Merge them into one record.',
  ],
  [
    'SPF that allows everybody',
    undefined,
    { [DOMAIN]: ['v=spf1 +all'] },
    'allows every server to send as social.example.net. Replace',
  ],
  [
    'SPF with ~all is none of that',
    undefined,
    { [DOMAIN]: ['v=spf1 mx ~all'] },
    'SPF fine: v=spf1 mx ~all. ',
  ],
  [
    'a provider with its own envelope',
    'postmark',
    {},
    'SPF fine: none; Postmark uses its own domain in the envelope',
  ],
  [
    'no DKIM',
    'fastmail',
    {},
    'DKIM open: social.example.net has no key under fm1._domainkey, fm2._domainkey, fm3._domainkey. Set the DKIM records that Fastmail shows',
  ],
  [
    'DKIM',
    'fastmail',
    { [`fm2._domainkey.${DOMAIN}`]: ['v=DKIM1; k=rsa; p=MIGf'] },
    'DKIM fine: fm2 of social.example.net. ',
  ],
  ['DKIM that was withdrawn', 'fastmail', { [`fm2._domainkey.${DOMAIN}`]: ['v=DKIM1; p='] }, 'DKIM open'],
  [
    'DKIM of an unknown key',
    'brevo',
    {},
    'DKIM fine: not looked up: its selector is not known. Set the DKIM record that your mail provider shows',
  ],
  [
    'no DMARC',
    undefined,
    {},
    'DMARC open: neither social.example.net nor example.net has a DMARC record. Set a TXT record for _dmarc.example.net: "v=DMARC1; p=none".',
  ],
  [
    'DMARC of the registered domain',
    undefined,
    { '_dmarc.example.net': ['v=DMARC1; p=reject'] },
    'DMARC fine: v=DMARC1; p=reject (_dmarc.example.net). ',
  ],
  ['escape codes', undefined, { [DOMAIN]: ['v=spf1 \u001b[2J ~all'] }, 'v=spf1 \\x1b[2J ~all'],
])('%s', async (_, provider, records, words) => {
  expect((await lines(provider, records)).join('\n')).toContain(words);
});

test('a DNS that does not answer is no missing record', async () => {
  const all = await readRecords(DOMAIN, undefined, async () => {
    throw Object.assign(new Error('x'), { code: 'ESERVFAIL' });
  });
  expect(all.map(({ kind, seen }) => `${kind}: ${seen}`)).toContain(
    'SPF: the DNS did not answer (ESERVFAIL)',
  );
});

test.each(['fedi.test', 'mail.localhost', 'example'])('%s is not looked up', async (domain) => {
  const texts = async (): Promise<string[]> => {
    throw new Error('asked');
  };
  expect(await readRecords(domain, undefined, texts)).toEqual([]);
});
