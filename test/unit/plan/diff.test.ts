/** What `plan` shows of a file, and what it never shows. */
import { expect, test } from 'vitest';
import { patch } from '../../../wizard/plan/diff.ts';
import type { Change } from '../../../wizard/plan/diff.ts';

const removed = (path: string, before: string): Change => ({
  path,
  kind: 'remove',
  edited: false,
  keepable: false,
  before,
  found: 'hash',
  file: undefined,
});

test('never shows the text of a removed file: whether it was secret is unknown', async () => {
  const key = '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----\n';
  expect(await patch(removed('caddy/pki/root.key', key))).toBe('- caddy/pki/root.key');
  expect(await patch(removed('caddy/sites/snac.caddy', 'respond hello\n'))).toBe('- caddy/sites/snac.caddy');
});

test('shows only the names in a removed env file', async () => {
  expect(await patch(removed('env/snac.env', 'SNAC_SMTP_PASSWORD=hush\n'))).toBe(
    'env/snac.env:\n  - SNAC_SMTP_PASSWORD',
  );
});
