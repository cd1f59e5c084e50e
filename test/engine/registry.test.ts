/** Images from a real registry: pulled, locked by digest, and the same ones again whatever happens to their tags. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { attempt, needImages, until } from '../support/acme.ts';
import { IMAGES, docker, testSite } from '../support/site.ts';

const REGISTRY = 'test-registry';
/** Docker takes a registry on the loopback without TLS. */
const DOOR = '127.0.0.1:5057';
const CADDY = `${DOOR}/fedi/caddy:1.0`;

const site = testSite('registry', 97);
const env: NodeJS.ProcessEnv = { ...site.env, FEDI_IMAGES_CADDY: CADDY };
const remove = (): void => {
  attempt('rm', '--force', '--volumes', REGISTRY);
  // By name: the same image has others, which stay.
  const names = docker(
    'image',
    'ls',
    '--digests',
    '--format',
    '{{.Repository}}:{{.Tag}}@{{.Digest}}',
    `${DOOR}/fedi/*`,
  );
  for (const name of names.split('\n').filter(Boolean)) {
    const [, repository = '', tag = '', digest = ''] = /^(.+):([^:@]+)@(.+)$/.exec(name) ?? [];
    attempt('rmi', tag === '<none>' ? `${repository}@${digest}` : `${repository}:${tag}`);
  }
};
afterAll(() => {
  site.remove();
  remove();
});

const push = (image: string): void => {
  docker('tag', image, CADDY);
  docker('push', '--quiet', CADDY);
  docker('rmi', CADDY);
};
const locked = (): string => /digest: "?(sha256:[0-9a-f]{64})/.exec(site.read('images.lock.yaml'))?.[1] ?? '';
const runs = (): string => docker('inspect', '--format', '{{.Image}}', site.containers()['caddy'] ?? '');
const idOf = (image: string): string => docker('image', 'inspect', '--format', '{{.Id}}', image);

beforeAll(async () => {
  needImages('registry');
  remove();
  docker('run', '--detach', '--name', REGISTRY, '--publish', `${DOOR}:5000`, 'fedi-setup/registry:trixie');
  await until('the registry', () => attempt('exec', REGISTRY, 'curl', '-sf', 'http://127.0.0.1:5000/v2/'));
  push(IMAGES.FEDI_IMAGES_CADDY);
});

describe.sequential('images of a registry', () => {
  test('the first run pulls them and locks their digest', async () => {
    const run = await site.apply([], { env });
    expect(run.code, run.stderr).toBe(0);
    expect(locked()).toMatch(/^sha256:/);
    expect(site.read('compose.yaml')).toContain(`image: ${CADDY}@${locked()}`);
    expect(runs()).toBe(idOf(IMAGES.FEDI_IMAGES_CADDY));
  });

  test('the tag moves to another image: the site stays, also when its own is fetched anew', async () => {
    const digest = locked();
    docker('run', '--name', `${REGISTRY}-other`, IMAGES.FEDI_IMAGES_CADDY, 'true');
    docker('commit', '--change', 'LABEL other=yes', `${REGISTRY}-other`, CADDY);
    docker('rm', `${REGISTRY}-other`);
    docker('push', '--quiet', CADDY);
    docker('rmi', CADDY);
    expect(await site.apply([], { env })).toMatchObject({ code: 0, stderr: '' });
    docker('compose', '--project-directory', site.folder, 'down');
    docker('rmi', `${DOOR}/fedi/caddy@${digest}`);
    const run = await site.apply([], { env });
    expect(run.code, run.stderr).toBe(0);
    expect(locked()).toBe(digest);
    expect(runs()).toBe(idOf(IMAGES.FEDI_IMAGES_CADDY));
  });

  test('a digest that the registry does not have: exit 4, and the site goes on', async () => {
    const before = site.containers();
    const lock = join(site.folder, 'images.lock.yaml');
    const text = site.read('images.lock.yaml');
    writeFileSync(lock, text.replace(locked(), `sha256:${'0'.repeat(64)}`));
    const run = await site.apply([], { env });
    expect(run.code).toBe(4);
    expect(run.stderr).toContain(CADDY);
    expect(site.containers()).toEqual(before);
    writeFileSync(lock, text);
  });

  test('the registry is down: a site whose images are here needs none; one without them says so', async () => {
    docker('stop', REGISTRY);
    expect((await site.apply([], { env })).code).toBe(0);
    const other = testSite('registry-other', 98);
    try {
      const run = await other.apply([], {
        env: { ...other.env, FEDI_IMAGES_CADDY: `${DOOR}/fedi/caddy:2.0` },
      });
      expect(run.code).toBe(4);
      expect(run.stderr).toContain(`${DOOR}/fedi/caddy:2.0`);
      expect(() => other.read('secrets.json')).toThrow();
    } finally {
      other.remove();
    }
  });
});
