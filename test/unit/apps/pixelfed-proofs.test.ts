/** Proofs of Pixelfed with certain responses. */
import { expect, test } from 'vitest';
import { pixelfedProofs } from '../../../wizard/apps/pixelfed/proofs.ts';
import { pixelfedOptions } from '../../../wizard/apps/pixelfed/options.ts';
import type { PixelfedOptions } from '../../../wizard/apps/pixelfed/options.ts';
import type { AppConfig } from '../../../wizard/config/config.ts';
import type { ProofContext } from '../../../wizard/prove/proof.ts';

/** Deletes like Pixelfed: Horizon removes the post from the cache first and its row last; a read in between caches it again. */
function pixelfed() {
  let row = true;
  let cached = false;
  let looks = 0;
  const json = (status: number, value: object) => ({
    status,
    headers: { 'content-type': 'image/png' },
    body: Buffer.alloc(99),
    text: () => JSON.stringify(value),
    json: () => value,
  });
  const base = 'https://pix.x.org';
  const http = async (url: string, { method = 'GET' } = {}) => {
    const path = url.slice(base.length);
    if (path === '/api/v1/accounts/verify_credentials') return json(200, { acct: 'anna' });
    if (path === '/api/v2/media' || path === '/api/v1/media/7')
      return json(200, { id: '7', url: `${base}/a.png`, preview_url: `${base}/a_thumb.png` });
    if (method === 'POST') return json(200, { id: '5', url: `${base}/p/anna/5` });
    if (method === 'DELETE') return json(200, {});
    if (path.endsWith('/5')) {
      cached ||= row;
      return cached ? json(200, { attachment: [{ url: `${base}/a.png` }] }) : json(404, {});
    }
    return json(200, {});
  };
  const inside = async (_: string, { stdin = '' }) => {
    if (stdin.includes('createToken')) return { code: 0, stdout: '{"token":"t"}', stderr: '' };
    // At the first request the job is running; at the second it is done.
    if (looks++ === 0) cached = false;
    else row = false;
    return { code: 0, stdout: row ? '1' : '0', stderr: '' };
  };
  return { http, inside };
}

test('does not request a post before its deletion is complete', async () => {
  const proofs = pixelfedProofs(
    {
      ...pixelfed(),
      config: { apps: [], mail: { server: undefined, from: '' } },
      secret: () => undefined,
      first: false,
      mail: false,
    } as unknown as ProofContext,
    {
      id: 'pixelfed',
      admin: 'anna',
      domain: 'pix.x.org',
      pictures: {},
      options: pixelfedOptions({}),
    } as unknown as AppConfig<PixelfedOptions>,
  );
  const run = (id: string) => proofs.find((proof) => proof.id === id)?.run();
  await run('login');
  await run('upload');
  expect(await run('post')).toBe('/p/anna/5, deleted (404)');
});
