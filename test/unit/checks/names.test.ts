/** A, AAAA and CAA records from a real DNS server. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isPublic, isReserved } from '../../../wizard/config/addresses.ts';
import { dnsAt } from '../../../wizard/checks/host.ts';
import type { Answers } from '../../../wizard/config/question.ts';
import { contextOf, runCheck } from '../../support/checks.ts';
import { dnsServer } from '../../support/dns.ts';
import type { Dns, Zone } from '../../support/dns.ts';

const NAME = 'social.example.org';
let dns: Dns;
beforeAll(async () => {
  dns = await dnsServer('127.0.0.1');
});
afterAll(() => dns.close());

const OUTER = ['192.0.2.7', '2001:db8::7'];

/** Levels and messages of the findings with these records, on a host with these addresses. */
async function find(
  id: 'dns' | 'caa',
  zone: Zone,
  own: readonly string[] = OUTER,
  answers: Answers = { bind: '::' },
): Promise<{ levels: string[]; words: string; asked: string[] }> {
  dns.zone = zone;
  dns.asked.length = 0;
  const result = await runCheck(
    id,
    contextOf(answers, { host: { addresses: () => [...own], ...dnsAt([dns.server]) } }),
  );
  const found = result?.found ?? [];
  return {
    levels: found.map(({ level }) => level),
    words: `${found.map(({ what, means, next }) => `${what} ${means} ${next}`).join(' ')} (${result?.seen})`,
    asked: [...dns.asked],
  };
}

const here = { A: ['192.0.2.7'], AAAA: ['2001:db8::7'] };

describe('A and AAAA', () => {
  // prettier-ignore
  const rows: [wrong: string, zone: Zone, own: string[] | undefined, levels: string[], words: RegExp][] = [
    ['both point here', { [NAME]: here }, undefined, [], /A 192\.0\.2\.7, AAAA 2001:db8::7; this host has 192\.0\.2\.7, 2001:db8::7/],
    ['another spelling of the address', { [NAME]: { AAAA: ['2001:db8:0:0::7'] } }, undefined, [], /A none, AAAA 2001:db8::7/],
    ['A alone', { [NAME]: { A: ['192.0.2.7'] } }, undefined, [], /AAAA none/],
    ['by a CNAME', { [NAME]: { CNAME: ['host.example.net'] }, 'host.example.net': here }, undefined, [], /A 192\.0\.2\.7/],
    ['no such name', {}, undefined, ['blocker'], /has no address in the DNS.*A record.*\(192\.0\.2\.7, 2001:db8::7\)/],
    ['a name without addresses', { [NAME]: { CAA: ['0 issue x'] } }, undefined, ['blocker'], /has no address/],
    ['A elsewhere', { [NAME]: { ...here, A: ['198.51.100.1'] } }, undefined, ['blocker'], /A record of social\.example\.org points elsewhere: 198\.51\.100\.1/],
    ['A here and elsewhere', { [NAME]: { A: ['192.0.2.7', '198.51.100.1'] } }, undefined, ['warning'], /also points elsewhere: 198\.51\.100\.1/],
    ['AAAA elsewhere', { [NAME]: { ...here, AAAA: ['2001:db8::9'] } }, undefined, ['blocker'], /AAAA record of social\.example\.org points elsewhere.*IPv6 first.*or remove it/],
    ['AAAA, and no IPv6 here', { [NAME]: here }, ['192.0.2.7'], ['blocker'], /AAAA record .* points elsewhere/],
    ['AAAA, and private IPv6 here', { [NAME]: here }, ['192.0.2.7', 'fd00::7'], ['blocker'], /AAAA record .* points elsewhere/],
    ['behind NAT', { [NAME]: { A: ['192.0.2.7'] } }, ['10.0.0.7', '172.17.0.1'], ['warning'], /192\.0\.2\.7; this host has only private addresses \(10\.0\.0\.7, 172\.17\.0\.1\)\. Behind NAT\?/],
    ['behind NAT, and AAAA elsewhere', { [NAME]: here }, ['10.0.0.7'], ['warning', 'blocker'], /Behind NAT\?.*AAAA record/],
    ['a private address in DNS', { [NAME]: { A: ['10.0.0.7'] } }, ['10.0.0.7'], ['blocker'], /10\.0\.0\.7, a private address\./],
    ['failing name servers', { [NAME]: 'SERVFAIL' }, undefined, ['warning'], /could not be looked up: the DNS did not answer \(ESERVFAIL\)/],
  ];
  test.each(rows)('%s', async (_, zone, own, levels, words) => {
    const found = await find('dns', zone, own);
    expect(found.levels).toEqual(levels);
    expect(found.words).toMatch(words);
  });

  test('an AAAA record, and a site that listens only on IPv4', async () => {
    const found = await find('dns', { [NAME]: here }, OUTER, { bind: '0.0.0.0' });
    expect(found.levels).toEqual(['warning']);
    expect(found.words).toMatch(/listens only on IPv4.*--bind ::/);
  });

  test('only an AAAA record, and a site that listens only on IPv4', async () => {
    const found = await find('dns', { [NAME]: { AAAA: here.AAAA } }, OUTER, { bind: '0.0.0.0' });
    expect(found.levels).toEqual(['blocker']);
    expect(found.words).toMatch(/has only an AAAA record.*Nobody reaches it.*--bind ::/);
    expect((await find('dns', { [NAME]: { AAAA: here.AAAA } })).levels).toEqual([]);
  });

  test('a domain of handles whose website lives elsewhere: the advice keeps the website', async () => {
    const APEX = 'example.org';
    const answers = {
      bind: '::',
      apps: 'mastodon',
      'apps.mastodon.domain': APEX,
      'apps.mastodon.web-domain': NAME,
      'apps.mastodon.admin': 'anna',
      'apps.mastodon.email': 'anna@example.org',
    };
    const zone = { [APEX]: { A: ['198.51.100.1'] }, [NAME]: here };
    const found = await find('dns', zone, OUTER, answers);
    expect(found.levels).toEqual(['blocker']);
    expect(found.words).toMatch(
      /If a website lives there, leave the record as it is and use --mastodon-handles elsewhere/,
    );
    const settled = await find('dns', zone, OUTER, { ...answers, 'apps.mastodon.handles': 'elsewhere' });
    expect(settled.levels).toEqual([]);
    expect(settled.asked.some((name) => name.startsWith(APEX))).toBe(false);
  });

  test('compares with the address that the site listens on', async () => {
    const own = ['192.0.2.7', '192.0.2.8'];
    const found = await find('dns', { [NAME]: { A: ['192.0.2.8'] } }, own, { bind: '192.0.2.7' });
    expect(found.levels).toEqual(['blocker']);
  });

  test('a custom CA may resolve names differently: warnings', async () => {
    const answers = { 'tls.mode': 'directory', 'tls.directory': 'https://ca.example.net/dir' };
    expect((await find('dns', {}, OUTER, answers)).levels).toEqual(['warning']);
  });

  test('an unreachable DNS server', async () => {
    const host = dnsAt(['127.0.0.1:1']);
    const result = await runCheck('dns', contextOf({}, { host }));
    expect(result?.found).toMatchObject([
      { level: 'warning', what: expect.stringMatching(/ECONNREFUSED|ETIMEOUT/) },
    ]);
  });
});

describe('CAA', () => {
  const caa = (...records: string[]): Zone => ({ [NAME]: { ...here, CAA: records } });
  // prettier-ignore
  const rows: [zone: Zone, levels: string[], words: RegExp][] = [
    [{ [NAME]: here }, [], /none, nor for its parents/],
    [caa('0 issue letsencrypt.org'), [], /0 issue letsencrypt\.org/],
    [caa('0 issue LetsEncrypt.org; validationmethods=http-01,dns-01'), [], /validationmethods/],
    [caa('0 issue ca.example', '0 issue letsencrypt.org'), [], /issue ca\.example/],
    [caa('0 iodef mailto:x@example.org'), [], /iodef/],
    [caa('0 issuewild ;'), [], /issuewild/],
    [caa('0 issue ca.example'), ['blocker'], /CAA record of social\.example\.org forbids Let’s Encrypt: 0 issue ca\.example\..*Add `social\.example\.org\. CAA 0 issue "letsencrypt\.org"`/],
    [caa('0 issue ;'), ['blocker'], /forbids/],
    [caa('0 issue letsencrypt.org; validationmethods=dns-01'), ['blocker'], /forbids/],
    [caa('0 issue letsencrypt.org; accounturi=https://acme/1'), ['warning'], /may forbid/],
    [caa('0 issue sectigo.com'), ['warning'], /may forbid/],
    [caa('128 newtag x', '0 issue letsencrypt.org'), ['blocker'], /newtag/],
    [{ 'example.org': { CAA: ['0 issue ca.example'] }, [NAME]: here }, ['blocker'], /CAA record of example\.org forbids/],
    [{ org: { CAA: ['0 issue ca.example'] }, [NAME]: here }, ['blocker'], /CAA record of org forbids/],
    [{ 'example.org': { CAA: ['0 issue ca.example'] }, ...caa('0 issue letsencrypt.org') }, [], /letsencrypt/],
    [{ [NAME]: { CNAME: ['host.example.net'] }, 'host.example.net': { ...here, CAA: ['0 issue ca.example'] } }, ['blocker'], /forbids/],
    [{ [NAME]: here, 'example.org': 'SERVFAIL' }, ['warning'], /could not be looked up \(ESERVFAIL\)/],
  ];
  test.each(rows)('%j', async (zone, levels, words) => {
    const found = await find('caa', zone);
    expect(found.levels).toEqual(levels);
    expect(found.words).toMatch(words);
  });

  test('is looked up from the name upwards, and ends at the first record', async () => {
    expect((await find('caa', { [NAME]: here })).asked).toEqual([
      `CAA ${NAME}`,
      'CAA example.org',
      'CAA org',
    ]);
    expect((await find('caa', caa('0 issue letsencrypt.org'))).asked).toEqual([`CAA ${NAME}`]);
  });

  test('other CAs have their own rules', async () => {
    const answers = { 'tls.mode': 'directory', 'tls.directory': 'https://ca.example.net/dir' };
    expect((await find('caa', caa('0 issue ;'), OUTER, answers)).asked).toEqual([]);
  });
});

test('which addresses are public', () => {
  const inner = [
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '127.0.0.1',
    '169.254.1.1',
    '100.64.0.1',
    '::1',
    'fd12::1',
    'fe80::1',
  ];
  const outer = ['192.0.2.7', '172.32.0.1', '100.128.0.1', '8.8.8.8', '2001:db8::7', '2a00::1'];
  expect([...inner, ...outer].filter(isPublic)).toEqual(outer);
});

test('which names are reserved and never in DNS', () => {
  const reserved = [
    'test',
    'a.test',
    'x.localhost',
    'a.b.example',
    'nas.local',
    'x.internal',
    'x.onion',
    'x.home.arpa',
    'x.invalid',
  ];
  const real = ['example.org', 'test.org', 'latest', 'mylocal', 'social.example.net', 'x.arpa'];
  expect([...reserved, ...real].filter(isReserved)).toEqual(reserved);
});
