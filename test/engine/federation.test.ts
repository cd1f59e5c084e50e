/** Two sites on one engine: a follow, a delivered post, and the notification mail. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needImages } from '../support/acme.ts';
import { snacToken, until, visitor } from '../support/federation.ts';
import { createNetwork, docker, environment, testSite, tool, wipe } from '../support/site.ts';
import type { TestSite } from '../support/site.ts';

needImages('restic');
const NETWORK = 'test-federation';

const a = testSite('fed-a', 21, 'a.fedi.test');
const b = testSite('fed-b', 22, 'b.fedi.test');

/** The internet of the two hosts: a test network on which each site's ingress has its public name. */
function connect(site: TestSite): void {
  mkdirSync(site.folder, { recursive: true });
  writeFileSync(
    join(site.folder, 'compose.override.yaml'),
    `services:
  caddy: { networks: { internet: { aliases: [${site.domain}] } } }
  snac: { networks: { internet: {} } }
networks:
  internet: { external: true, name: ${NETWORK} }
`,
  );
}

const passwordOf = (run: { events: readonly { event: string; [key: string]: unknown }[] }): string =>
  String(run.events.find(({ event }) => event === 'admin')?.['password']);

beforeAll(() => {
  createNetwork(NETWORK);
});
afterAll(() => {
  a.remove();
  b.remove();
  docker('network', 'rm', NETWORK);
});

describe.sequential('two sites', () => {
  let password = '';

  test('both are proven, the second one with the CA of the first', async () => {
    connect(a);
    const first = await a.apply();
    expect(first.code).toBe(0);
    password = passwordOf(first);

    const root =
      (JSON.parse(a.read('secrets.json')) as { secrets: Record<string, { value: string }> }).secrets[
        'tls.root'
      ]?.value ?? '';
    connect(b);
    const second = await b.apply(['--tls-root-file', '-', '--mail-mode', 'catcher'], { stdin: root });
    expect(second.code).toBe(0);
    expect(b.read('trust/root.crt')).toBe(a.read('trust/root.crt'));
  });

  test('a follow arrives', async () => {
    const run = await tool(['--dir', a.folder, 'snac', 'follow', 'anna', '@anna@b.fedi.test'], {
      env: a.env,
    });
    expect(run.code).toBe(0);
    const token = await snacToken(
      b,
      (JSON.parse(b.read('secrets.json')) as { secrets: Record<string, { value: string }> }).secrets[
        'snac.admin'
      ]?.value ?? '',
    );
    const followed = await until('the follow', async () => {
      const reply = await visitor(b)(`https://${b.domain}/api/v1/notifications?limit=40`, {
        headers: { Authorization: `Bearer ${token}` },
      });
      return reply
        .json<{ type: string; account: { acct: string } }[]>()
        .find(({ type }) => type === 'follow');
    });
    expect(followed.account.acct).toContain('a.fedi.test');
  });

  test('the followed account gets a mail', async () => {
    const mail = await until('the mail', async () => {
      const run = await tool(['mail', '--dir', b.folder, '--json'], { env: b.env });
      expect(run.code).toBe(0);
      return run.events.find(
        ({ event, subject }) => event === 'mail' && String(subject).startsWith('snac notify'),
      );
    });
    expect(mail['to']).toBe('anna@fedi.test');
    expect(mail['subject']).toContain('@anna@b.fedi.test');
    expect(mail['text']).toContain('https://a.fedi.test/anna');
  });

  /** A post of b that arrives at its follower on a. */
  const arrives = async (text: string): Promise<string> => {
    const run = await tool(['--dir', b.folder, 'snac', 'note', 'anna', text], { env: b.env });
    expect(run.code).toBe(0);
    const token = await snacToken(a, password);
    const post = await until('the post', async () => {
      const reply = await visitor(a)(`https://${a.domain}/api/v1/timelines/home`, {
        headers: { Authorization: `Bearer ${token}` },
      });
      return reply
        .json<{ content: string; account: { acct: string } }[]>()
        .find(({ content }) => content.includes(text));
    });
    return post.account.acct;
  };

  test('a post of the followed account is delivered', async () => {
    expect(await arrives(`hello across servers, ${process.pid}`)).toBe('anna@b.fedi.test');
  });

  test('it is delivered after the follower was lost and restored', async () => {
    const [repository, sheet] = ['repository', 'sheet.yaml'].map((name) => join(a.folder, '..', name));
    const onA = async (...argv: string[]): Promise<void> => {
      const run = await tool([...argv, '--dir', a.folder], {
        env: environment({ FEDI_IMAGES_RESTIC: a.env['FEDI_IMAGES_RESTIC'] }),
      });
      expect(run.code, run.stderr).toBe(0);
    };
    await onA('backup', '--to', String(repository));
    await onA('backup', 'sheet', String(sheet));
    wipe(a.name);
    rmSync(a.folder, { recursive: true });
    await onA('restore', '--password-file', String(sheet));
    expect(await arrives(`hello again, ${process.pid}`)).toBe('anna@b.fedi.test');
  });
});
