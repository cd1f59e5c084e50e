/** CA certificates of the administrator's for own servers: checked before anything is written, mounted everywhere. */
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { trustMounts, trustProblems } from '../../../wizard/apply/trust.ts';
import { CUSTOM_TRUST } from '../../../wizard/layout.ts';
import { makeRoot, splitRoot } from '../../../wizard/secrets/openssl.ts';
import { readOwnCas } from '../../../wizard/trust.ts';
import { certificate } from '../../support/certificate.ts';
import { configWith } from '../../support/fediverse.ts';
import { render } from '../../support/render.ts';
import { tempFolder } from '../../support/temp.ts';

const config = configWith({ 'apps.pixelfed.database-ca': 'db.pem' });

function site(text: string | undefined, mode = 0o644): string {
  const folder = tempFolder();
  if (text === undefined) return folder;
  mkdirSync(join(folder, CUSTOM_TRUST), { recursive: true });
  const path = join(folder, CUSTOM_TRUST, 'db.pem');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return folder;
}

const NOW = new Date();

describe('the file of a database', () => {
  const { cert } = certificate('ca.example.org');
  test.each<[string, string | undefined, number, RegExp | undefined]>([
    ['a certificate', cert, 0o644, undefined],
    ['missing', undefined, 0o644, /trust\/custom\/db\.pem is not a CA certificate.*no such file/],
    ['something else', 'hello', 0o644, /is not a CA certificate in PEM/],
    ['only for its owner', cert, 0o600, /Containers cannot read .*chmod 644/],
  ])('%s', async (_, text, mode, problem) => {
    const found = await trustProblems(site(text, mode), config, NOW);
    expect(found).toEqual(problem === undefined ? [] : [expect.stringMatching(problem)]);
  });

  test('is mounted in one-shot containers where the site has it', async () => {
    const folder = site(cert);
    expect(await trustMounts(folder, config)).toEqual([`${folder}/trust/custom:/etc/fedi/trust/custom:ro`]);
    expect(await trustMounts(tempFolder(), config)).toEqual([]);
  });
});

const own = configWith({ 'trust.ca': 'db.pem' });

describe('the file of trust.ca', async () => {
  const one = await makeRoot('One CA');
  const parts = splitRoot(one);
  const ca = 'certificate' in parts ? parts.certificate : '';
  const { cert: leaf } = certificate('server.example.org');
  const later = new Date(NOW.getTime() + 100 * 365 * 24 * 3_600_000);

  test.each<[string, string | undefined, Date, RegExp | undefined]>([
    ['a CA', ca, NOW, undefined],
    ['two CAs, with other text', `One:\n${ca}Two:\r\n${ca.replaceAll('\n', '\r\n')}`, NOW, undefined],
    ['missing', undefined, NOW, /^There is no file .*trust\/custom\/db\.pem, which trust\.ca names\. Put/],
    ['not PEM', 'hello', NOW, /contains no certificate in PEM\. .*-inform DER/],
    ['empty', '', NOW, /contains no certificate in PEM/],
    ['with its key', one, NOW, /contains a private key/],
    ['damaged', ca.replace(/^M.{20}/m, 'MIIB'), NOW, /^The certificate in .* cannot be read: /],
    ['of a server', leaf, NOW, /\(CN=server\.example\.org\) is that of a server, not of a CA\. Give/],
    ['a CA, then a server', `${ca}${leaf}`, NOW, /^Certificate 2 in .* is that of a server/],
    ['expired', ca, later, /\(CN=One CA\) expired on \d{4}-\d\d-\d\d\. Give/],
  ])('%s', async (_, text, now, problem) => {
    const found = await trustProblems(site(text), own, now);
    expect(found).toEqual(problem === undefined ? [] : [expect.stringMatching(problem)]);
  });

  test('containers must be able to read it', async () => {
    expect(await trustProblems(site(ca, 0o600), own, NOW)).toEqual([
      expect.stringMatching(/Containers cannot read .*chmod 644/),
    ]);
  });

  test('one-shot containers have it where those of the site have it', async () => {
    const folder = site(ca);
    expect(await trustMounts(folder, own)).toEqual([
      `${folder}/trust/custom:/etc/fedi/trust/custom:ro`,
      `${folder}/trust/custom/db.pem:/etc/fedi/trust/ca.crt:ro`,
    ]);
  });

  test('is read without other text; once it is gone, what the containers trust counts', async () => {
    const folder = site(`One:\n${ca}rest\n`);
    expect(await readOwnCas(folder, own)).toBe(`${ca.trim()}\n`);
    rmSync(join(folder, CUSTOM_TRUST, 'db.pem'));
    expect(await readOwnCas(folder, own)).toBeUndefined();
    writeFileSync(join(folder, 'trust/ca.crt'), ca);
    expect(await readOwnCas(folder, own)).toBe(`${ca.trim()}\n`);
    expect(await trustProblems(folder, own, NOW)).toEqual([expect.stringMatching(/^There is no file/)]);
  });
});

test.each(['mastodon', 'pixelfed'])('%s: every service that connects to the database has it', async (app) => {
  const { compose } = await render({
    name: 'fedi',
    apps: app,
    'tls.mode': 'acme',
    'mail.mode': 'none',
    [`apps.${app}.domain`]: 'a.example.org',
    [`apps.${app}.admin`]: 'anna',
    [`apps.${app}.email`]: 'anna@example.org',
    [`apps.${app}.database`]: 'external',
    [`apps.${app}.database-ca`]: 'db.pem',
  });
  const connecting = Object.entries(compose.services)
    .filter(([, { env_file: files = [] }]) =>
      files.some((file) => /^env\/(mastodon|pixelfed)(-streaming|-gate)?\.env$/.test(String(file))),
    )
    .map(([name, { volumes = [] }]) => [name, volumes.includes('./trust:/etc/fedi/trust:ro')]);
  expect(connecting.length).toBeGreaterThan(3);
  expect(connecting.filter(([, mounted]) => mounted !== true)).toEqual([]);
});
