/** The internal CA, made by openssl and looked at by Node. */
import { X509Certificate, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { makeKey, makeRoot, splitRoot } from '../../../wizard/secrets/openssl.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder } from '../../support/temp.ts';

let root = '';
beforeAll(async () => {
  root = await makeRoot('test internal CA');
});

const PATH = process.env['PATH'];
afterEach(() => {
  process.env['PATH'] = PATH;
});

const part = (pem: string, kind: string): string =>
  new RegExp(`-----BEGIN ${kind}-----[\\s\\S]+?-----END ${kind}-----`).exec(pem)?.[0] ?? '';

test('makeKey: P-256, PKCS#8', async () => {
  const pem = await makeKey();
  expect(pem).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
  expect(createPrivateKey(pem).asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
  expect(await makeKey()).not.toBe(pem);
});

test('makeRoot: a self-signed CA, valid for ten years', () => {
  const certificate = new X509Certificate(root);
  expect(certificate.ca).toBe(true);
  expect(certificate.subject).toBe('CN=test internal CA');
  expect(certificate.verify(createPublicKey(part(root, 'CERTIFICATE')))).toBe(true);
  expect(certificate.checkPrivateKey(createPrivateKey(part(root, 'PRIVATE KEY')))).toBe(true);
  const years =
    (Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)) / (365 * 24 * 3600 * 1000);
  expect(years).toBe(10);
});

test('removes the key’s directory afterwards', async () => {
  const left = (): string[] => readdirSync(tmpdir()).filter((name) => /^fedi-setup-\w{6}$/.test(name));
  const before = left();
  await makeRoot('x');
  expect(left().filter((name) => !before.includes(name))).toEqual([]);
});

describe('splitRoot', () => {
  test.each(['certificate first', 'key first', 'text around', 'CRLF'])('accepts %s', (how) => {
    const [certificate, key] = [part(root, 'CERTIFICATE'), part(root, 'PRIVATE KEY')];
    const text = {
      'certificate first': root,
      'key first': `${key}\n${certificate}\n`,
      'text around': `Bag\n${certificate}\nmore\n${key}\nend`,
      CRLF: root.replaceAll('\n', '\r\n'),
    }[how] as string;
    const parts = splitRoot(text);
    expect(parts).not.toHaveProperty('problem');
    expect(
      splitRoot(`${(parts as { certificate: string }).certificate}${(parts as { key: string }).key}`),
    ).toEqual(parts);
  });

  test.each([
    ['nothing', () => '', 'one PEM file'],
    ['words', () => 'hello', 'one PEM file'],
    ['the certificate alone', () => part(root, 'CERTIFICATE'), 'one PEM file'],
    ['the key alone', () => part(root, 'PRIVATE KEY'), 'one PEM file'],
    ['another key', async () => `${part(root, 'CERTIFICATE')}\n${await makeKey()}`, 'does not belong'],
    [
      'a key of another kind',
      () =>
        `${part(root, 'CERTIFICATE')}\n${generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()}`,
      'does not belong',
    ],
    ['a certificate that is not a CA’s', () => LEAF, 'not a CA certificate'],
    [
      'a broken certificate',
      () => root.replace(/(BEGIN CERTIFICATE-----\n.{10})..../, '$1!!!!'),
      'cannot be read',
    ],
    ['a broken key', () => root.replace(/(BEGIN PRIVATE KEY-----\n.{10})..../, '$1!!!!'), 'cannot be read'],
    [
      'an encrypted key',
      () =>
        `${part(root, 'CERTIFICATE')}\n${generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }).toString()}`,
      '',
    ],
    ['huge garbage', () => '-----BEGIN CERTIFICATE-----'.repeat(2000), 'one PEM file'],
  ])('refuses %s', async (_, make, says) => {
    const text = await make();
    const parts = splitRoot(text);
    expect(parts).toEqual({ problem: expect.stringContaining(says) });
    expect(JSON.stringify(parts)).not.toContain(part(text, 'PRIVATE KEY').slice(40, 80) || '\0');
  });
});

test('without openssl: an error with exit code 4, not a crash', async () => {
  process.env['PATH'] = tempFolder();
  for (const work of [makeKey, () => makeRoot('x')]) {
    const { exit, message, next } = await problemFrom(work);
    expect([exit, message, next]).toEqual([
      4,
      '`openssl` is not installed.',
      expect.stringContaining('Install'),
    ]);
  }
});

/** A certificate of a server with its key; valid until 2126, used by nobody. */
const LEAF = `-----BEGIN CERTIFICATE-----
MIIBcjCCARigAwIBAgIUfeFU1mgpbIwlqXuk8PftmZTf4RgwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEbGVhZjAgFw0yNjExMjIwMDU4MzFaGA8yMTI2MTAyOTAwNTgz
MVowDzENMAsGA1UEAwwEbGVhZjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFk+
yUsTnJGsts7JKVlMAD9f9UIOW/jDtzIuISE2+JsVR5kQebXH1QraMo1QMG9dj8Dj
FPygUs0yY5jQcsmkbaWjUDBOMB0GA1UdDgQWBBSq1fsIr6CacS+//dHJedONIIRH
9jAfBgNVHSMEGDAWgBSq1fsIr6CacS+//dHJedONIIRH9jAMBgNVHRMBAf8EAjAA
MAoGCCqGSM49BAMCA0gAMEUCIAl+wLDCLUhYm92aSJTxn3zPYxvh0uD2aqToNyS3
ZzQyAiEA09bXZycbcbo5aY5P1bHbyF0Js2je5TMmbqHfY0Higmk=
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQge8lNQoLYXP5VLf9H
Fm/4dIwh0Ok1oNcwXDwPCrg5sQ+hRANCAARZPslLE5yRrLbOySlZTAA/X/VCDlv4
w7cyLiEhNvibFUeZEHm1x9UK2jKNUDBvXY/A4xT8oFLNMmOY0HLJpG2l
-----END PRIVATE KEY-----`;
