/** Tokens of the owner for proofs. That the database's token works is tested on the engine (test/mastodon). */
import { expect, test } from 'vitest';
import { mintInDatabase, mintInRails } from '../../../wizard/apps/mastodon/tokens.ts';
import type { Command, Output } from '../../../wizard/docker/engine.ts';

const app = { admin: "o'hara", options: { hasDatabase: true } } as never;
const minted = '{"token":"t","client":{"client_id":"i","client_secret":"s"}}';
const answering = (output: Partial<Output>, calls: Command[] = []): never =>
  ({
    inside: async (_service: string, command: Command) => {
      calls.push(command);
      return { code: 0, stdout: '', stderr: '', ...output };
    },
  }) as never;

test('the database prints the token and its client app; the name is a literal', async () => {
  const calls: Command[] = [];
  expect(await mintInDatabase(answering({ stdout: `${minted}\n` }, calls), app)).toEqual({
    token: 't',
    client: { client_id: 'i', client_secret: 's' },
  });
  expect(calls[0]?.argv.at(-1)).toContain("= 'o''hara'");
});

test.each([
  ['other tables', { code: 1, stderr: 'ERROR:  column "scopes" does not exist' }],
  ['no such account', { stdout: '' }],
])('%s: no token', async (_what, output) => {
  expect(await mintInDatabase(answering(output), app)).toBeUndefined();
});

test('Rails prints warnings before the token; without one its last error is shown', async () => {
  expect(await mintInRails(answering({ stdout: `warning: x\n${minted}\n` }), app)).toMatchObject({
    token: 't',
  });
  await expect(mintInRails(answering({ code: 1, stderr: 'a\nno database' }), app)).rejects.toThrow(
    'no token could be created: no database',
  );
});
