/**
 * Mastodon and snac on one host, each under its domain: follows, posts and pictures in both directions. The stand-in of
 * Mastodon fetches nothing and delivers nothing, so this needs the original.
 */
import { spawnSync } from 'node:child_process';
import { afterAll, describe, expect, test } from 'vitest';
import { runner } from '../../wizard/apps/mastodon/runner.ts';
import { png } from '../../wizard/prove/activitypub.ts';
import { multipartFile } from '../../wizard/prove/http.ts';
import type { Reply, RequestOptions } from '../../wizard/prove/http.ts';
import { secretsOf } from '../support/faults.ts';
import { snacToken, until, visitor } from '../support/federation.ts';
import { isOfficial, mastodonAnswers } from '../support/mastodon-images.ts';
import { openProofs } from '../support/mastodon-site.ts';
import { testSite, tool } from '../support/site.ts';

/** Mastodon starts for minutes on a busy machine. */
const START_MS = 30 * 60_000;
const DELIVERY_MS = 3 * 60_000;
const BIG = 'big.fedi.test';
const SMALL = 'small.fedi.test';

const site = testSite('both', 74, SMALL);
const env: NodeJS.ProcessEnv = { ...site.env, ...mastodonAnswers(BIG), FEDI_APPS: 'snac,mastodon' };
afterAll(() => site.remove());

interface Post {
  readonly content: string;
  readonly account: { readonly acct: string };
  readonly media_attachments: readonly { readonly url: string }[];
}

/** Domain → the owner's token there. */
const tokens = new Map<string, string>();

async function api(domain: string, path: string, options: RequestOptions = {}): Promise<Reply> {
  const headers = { ...options.headers, Authorization: `Bearer ${tokens.get(domain) ?? ''}` };
  const reply = await visitor(site)(`https://${domain}/api/${path}`, { ...options, headers });
  expect(reply.status, `${path}: ${reply.text().slice(0, 200)}`).toBe(200);
  return reply;
}

const form = (fields: Readonly<Record<string, string>>): RequestOptions => ({
  method: 'POST',
  headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
  body: new URLSearchParams(fields).toString(),
});

/** A post with a picture. */
async function post(domain: string, text: string): Promise<void> {
  const { headers, body } = multipartFile('file', 'red.png', 'image/png', png(64, [255, 0, 0]));
  const { id } = (await api(domain, 'v2/media', { method: 'POST', headers, body })).json<{ id: string }>();
  await api(domain, 'v1/statuses', form({ status: text, visibility: 'public', 'media_ids[]': id }));
}

const arrives = (domain: string, text: string): Promise<Post> =>
  until(
    `"${text}" at ${domain}`,
    async () =>
      (await api(domain, 'v1/timelines/home'))
        .json<Post[]>()
        .find(({ content, account }) => content.includes(text) && account.acct.includes('@')),
    DELIVERY_MS,
  );

async function expectPicture({ media_attachments: [picture] }: Post): Promise<void> {
  const reply = await visitor(site)(picture?.url ?? 'no picture');
  expect(reply.status).toBe(200);
  expect(String(reply.headers['content-type'])).toMatch(/^image\/png/);
}

describe.skipIf(!isOfficial).sequential('snac and the original Mastodon on one host', () => {
  test('both are proven', { timeout: START_MS }, async () => {
    const run = await site.apply([], { env });
    expect(openProofs(run)).toEqual([]);
    expect(run.code).toBe(0);
    tokens.set(SMALL, await snacToken(site, secretsOf(site.folder)['snac.admin']?.value ?? ''));
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
    tokens.set(BIG, token ?? '');
  });

  test('snac follows the owner of Mastodon', { timeout: DELIVERY_MS }, async () => {
    const run = await tool(['--dir', site.folder, 'snac', 'follow', 'anna', `@anna@${BIG}`], { env });
    expect(run.code, run.stderr).toBe(0);
    const follow = await until(
      'the follow',
      async () =>
        (await api(BIG, 'v1/notifications'))
          .json<{ type: string; account: { acct: string } }[]>()
          .find(({ type }) => type === 'follow'),
      DELIVERY_MS,
    );
    expect(follow.account.acct).toBe(`anna@${SMALL}`);
  });

  test('and gets a post with a picture', { timeout: 2 * DELIVERY_MS }, async () => {
    await post(BIG, 'from the big one');
    const arrived = await arrives(SMALL, 'from the big one');
    expect(arrived.account.acct).toBe(`anna@${BIG}`);
    await expectPicture(arrived);
  });

  test('the owner of Mastodon finds and follows the one of snac', { timeout: DELIVERY_MS }, async () => {
    const query = new URLSearchParams({ q: `@anna@${SMALL}`, type: 'accounts', resolve: 'true' });
    const { accounts } = (await api(BIG, `v2/search?${query}`)).json<{
      accounts: { id: string; acct: string }[];
    }>();
    expect(accounts.map(({ acct }) => acct)).toEqual([`anna@${SMALL}`]);
    const id = accounts[0]?.id ?? '';
    await api(BIG, `v1/accounts/${id}/follow`, form({}));
    // Not asked for only: snac has agreed.
    await until(
      'the agreement',
      async () =>
        (await api(BIG, `v1/accounts/relationships?id[]=${id}`))
          .json<{ following: boolean }[]>()
          .find(({ following }) => following),
      DELIVERY_MS,
    );
  });

  test('and gets a post, with a copy of its picture', { timeout: 2 * DELIVERY_MS }, async () => {
    await post(SMALL, 'from the small one');
    const arrived = await arrives(BIG, 'from the small one');
    expect(arrived.account.acct).toBe(`anna@${SMALL}`);
    expect(new URL(arrived.media_attachments[0]?.url ?? '').host).toBe(BIG);
    await expectPicture(arrived);
  });
});
