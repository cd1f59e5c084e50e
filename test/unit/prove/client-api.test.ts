/** Responses of servers to a revoked token. */
import { expect, test } from 'vitest';
import { refusal } from '../../../wizard/apps/pixelfed/proofs.ts';
import { ClientApi } from '../../../wizard/prove/client-api.ts';
import type { Client } from '../../../wizard/prove/http.ts';

function revoked(status: number, body: string, how?: typeof refusal): Promise<string> {
  const api = new ClientApi((async () => ({ status, text: () => body })) as unknown as Client, 'https://a');
  api.token = 'token';
  return api.expectRevoked(how);
}
const NOBODY = '{"error":"Unauthenticated."}';

test('recognises a rejected token by the status code of each server', async () => {
  expect(await revoked(401, '')).toBe('the old token is refused (401)');
  expect(await revoked(422, '')).toBe('the old token is refused (422)');
  expect(await revoked(401, NOBODY, refusal)).toBe('the old token is refused (401)');
  expect(await revoked(500, NOBODY, refusal)).toBe(
    'the old token is refused (500, as this Pixelfed reports it)',
  );
});

test.each([
  ['it still works', 200, '{}', refusal, 'the revoked token still works'],
  ['a fault', 500, '{"error":"Server Error"}', refusal, 'answers 500'],
  ['a fault of another server', 500, NOBODY, undefined, 'answers 500'],
  ['an ingress that is closed', 502, '', undefined, 'answers 502'],
] as const)('%s fails', async (_, status, body, how, expected) => {
  await expect(revoked(status, body, how)).rejects.toThrow(expected);
});
