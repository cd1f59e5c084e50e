/** What `plan` shows of a file, and what it never shows. */
import { expect, test } from 'vitest';
import { patch } from '../../../wizard/plan/diff.ts';
import type { Change } from '../../../wizard/plan/diff.ts';

const removed = (path: string, before: string): Change => ({
  path,
  kind: 'remove',
  edited: false,
  before,
  found: 'hash',
  file: undefined,
});

test('the text of a file that goes is never shown: nothing says any more whether it is secret', async () => {
  const key = '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----\n';
  expect(await patch(removed('caddy/pki/root.key', key))).toBe('- caddy/pki/root.key');
  expect(await patch(removed('caddy/sites/snac.caddy', 'respond hello\n'))).toBe('- caddy/sites/snac.caddy');
});

test('of an env file that goes, only the names are shown', async () => {
  expect(await patch(removed('env/snac.env', 'SNAC_SMTP_PASSWORD=hush\n'))).toBe(
    'env/snac.env:\n  - SNAC_SMTP_PASSWORD',
  );
});
