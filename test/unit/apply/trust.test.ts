/** CA certificates of the administrator's for external databases: checked before anything is written, mounted everywhere. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { trustMounts, trustProblems } from '../../../wizard/apply/trust.ts';
import { CUSTOM_TRUST } from '../../../wizard/layout.ts';
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

describe('the file', () => {
  const { cert } = certificate('ca.example.org');
  test.each<[string, string | undefined, number, RegExp | undefined]>([
    ['a certificate', cert, 0o644, undefined],
    ['missing', undefined, 0o644, /trust\/custom\/db\.pem is not a CA certificate.*no such file/],
    ['something else', 'hello', 0o644, /is not a CA certificate in PEM/],
    ['only for its owner', cert, 0o600, /Containers cannot read .*chmod 644/],
  ])('%s', async (_, text, mode, problem) => {
    const found = await trustProblems(site(text, mode), config);
    expect(found).toEqual(problem === undefined ? [] : [expect.stringMatching(problem)]);
  });

  test('is mounted in one-shot containers where the site has it', async () => {
    const folder = site(cert);
    expect(await trustMounts(folder)).toEqual([`${folder}/trust/custom:/etc/fedi/trust/custom:ro`]);
    expect(await trustMounts(tempFolder())).toEqual([]);
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
