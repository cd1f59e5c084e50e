/**
 * Mastodon and snac on one host, each under its domain: follows, posts and pictures in both directions. The stand-in of
 * Mastodon sends and receives no posts, so this needs the original.
 */
import { spawnSync } from 'node:child_process';
import { afterAll, describe, expect, test } from 'vitest';
import { runner } from '../../wizard/apps/mastodon/runner.ts';
import { secretsOf } from '../support/faults.ts';
import { Owners, snacToken, until } from '../support/federation.ts';
import { isOfficial, mastodonAnswers } from '../support/mastodon-images.ts';
import { openProofs } from '../support/mastodon-site.ts';
import { testSite, tool } from '../support/site.ts';

/** Mastodon takes minutes to start on a busy machine. */
const START_MS = 30 * 60_000;
const DELIVERY_MS = 3 * 60_000;
const BIG = 'big.fedi.test';
const SMALL = 'small.fedi.test';

const site = testSite('both', 74, SMALL);
const env: NodeJS.ProcessEnv = { ...site.env, ...mastodonAnswers(BIG), FEDI_APPS: 'snac,mastodon' };
afterAll(() => site.remove());

const owners = new Owners(site, DELIVERY_MS);

describe.skipIf(!isOfficial).sequential('snac and the original Mastodon on one host', () => {
  test('both are proven', { timeout: START_MS }, async () => {
    const run = await site.apply([], { env });
    expect(openProofs(run)).toEqual([]);
    expect(run.code).toBe(0);
    owners.tokens.set(SMALL, await snacToken(site, secretsOf(site.folder)['snac.admin']?.value ?? ''));
    const { argv, stdin } = runner(
      `app = Doorkeeper::Application.create!(name: 'test', redirect_uri: 'urn:ietf:wg:oauth:2.0:oob', scopes: 'read write')
puts "token " + Doorkeeper::AccessToken.create!(application: app, resource_owner_id: Account.find_local!(values['name']).user.id, scopes: 'read write').token`,
      { name: 'anna' },
    );
    const { stdout, stderr } = spawnSync(
      'docker',
      ['exec', '--interactive', `${site.name}-mastodon_web-1`, ...argv],
      { input: stdin, encoding: 'utf8' },
    );
    const token = /^token (\S+)$/m.exec(stdout)?.[1];
    expect(token, stderr).toBeDefined();
    owners.tokens.set(BIG, token ?? '');
  });

  test('snac follows the owner of Mastodon', { timeout: DELIVERY_MS }, async () => {
    const run = await tool(['--dir', site.folder, 'snac', 'follow', 'anna', `@anna@${BIG}`], { env });
    expect(run.code, run.stderr).toBe(0);
    const follow = await until(
      'the follow',
      async () =>
        (await owners.api(BIG, 'v1/notifications'))
          .json<{ type: string; account: { acct: string } }[]>()
          .find(({ type }) => type === 'follow'),
      DELIVERY_MS,
    );
    expect(follow.account.acct).toBe(`anna@${SMALL}`);
  });

  test('and receives a post with a picture', { timeout: 2 * DELIVERY_MS }, async () => {
    await owners.post(BIG, 'from the big one');
    const arrived = await owners.arrives(SMALL, 'from the big one');
    expect(arrived.account.acct).toBe(`anna@${BIG}`);
    await owners.expectPicture(arrived);
  });

  test('the owner of Mastodon finds and follows the owner of snac', { timeout: DELIVERY_MS }, async () => {
    await owners.follow(BIG, `@anna@${SMALL}`);
  });

  test('and receives a post, with a copy of its picture', { timeout: 2 * DELIVERY_MS }, async () => {
    await owners.post(SMALL, 'from the small one');
    const arrived = await owners.arrives(BIG, 'from the small one');
    expect(arrived.account.acct).toBe(`anna@${SMALL}`);
    expect(new URL(arrived.media_attachments[0]?.url ?? '').host).toBe(BIG);
    await owners.expectPicture(arrived);
  });
});
