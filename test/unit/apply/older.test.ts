/** Refuses an older image for data that a newer version has changed. */
import { beforeEach, describe, expect, test } from 'vitest';
import { imagesFor } from '../../../wizard/apply/older.ts';
import { configOf } from '../../../wizard/answers/config.ts';
import type { Lock } from '../../../wizard/plan/lock.ts';
import type { Config } from '../../../wizard/config/config.ts';
import type { Engine } from '../../../wizard/docker/engine.ts';
import { resolve } from '../../../wizard/answers/resolve.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

const IMAGES = {
  pixelfed: 'ghcr.io/pixelfed/pixelfed:v0.14.4',
  mariadb: 'docker.io/library/mariadb:11.8',
  valkey: 'docker.io/valkey/valkey:8.1-trixie',
  snac: 'fedi-setup/snac:2.96',
  caddy: 'docker.io/library/caddy:2.11.4',
};
let folder = '';

/** A generation with these images. */
function ran(number: number, images: Readonly<Record<string, string>>): void {
  const lock = Object.entries(images).map(
    ([name, tag]) => `${name}: { tag: "${tag}", digest: "sha256:1" }\n`,
  );
  writeTree(folder, {
    [`.fedi/generations/000${number}/fedi.yaml`]: 'version: 1\n',
    [`.fedi/generations/000${number}/images.lock.yaml`]: lock.join(''),
    '.fedi/manifest.json': JSON.stringify({ generation: number, files: {} }),
  });
}

async function site(images: Readonly<Record<string, string>>, apps = 'pixelfed'): Promise<Config> {
  const texts = Object.entries({
    apps,
    ...Object.fromEntries(
      apps.split(',').flatMap((id) => [
        [`apps.${id}.domain`, `${id}.example.org`],
        [`apps.${id}.admin`, 'anna'],
        [`apps.${id}.email`, 'anna@example.org'],
      ]),
    ),
    ...Object.fromEntries(Object.entries(images).map(([name, tag]) => [`images.${name}`, tag])),
  });
  const resolved = await resolve([new Map(texts.map(([key, text]) => [key, { text, from: 'the test' }]))]);
  return configOf(resolved.answers);
}

const engine = (volumes: 'there' | 'gone'): Engine =>
  ({ volume: async () => (volumes === 'there' ? { device: undefined } : undefined) }) as unknown as Engine;

const refusal = async (images: Readonly<Record<string, string>>, apps?: string): Promise<string> =>
  (await problemFrom(async () => imagesFor(folder, await site(images, apps), engine('there'), {}))).message;
const isFine = async (
  images: Readonly<Record<string, string>>,
  apps?: string,
  volumes: 'there' | 'gone' = 'there',
): Promise<void> => void (await imagesFor(folder, await site(images, apps), engine(volumes), {}));

beforeEach(() => {
  folder = tempFolder();
  ran(1, IMAGES);
});

describe('refused', () => {
  test.each([
    ['pixelfed', 'mirror.example.org/pixelfed:v0.12.10'],
    ['mariadb', 'docker.io/library/mariadb:11.4'],
    ['mariadb', 'docker.io/library/mariadb:10.11'],
    ['valkey', 'docker.io/valkey/valkey:7.2-trixie'],
  ])('%s → %s', async (name, tag) => {
    expect(await refusal({ [name]: tag })).toContain(`${tag} is older`);
  });
  test('snac', async () => {
    expect(await refusal({ snac: 'fedi-setup/snac:2.80' }, 'snac')).toContain('snac:2.80 is older');
  });
  test('earlier generations count too, also behind a tag without a number', async () => {
    ran(2, { ...IMAGES, pixelfed: 'mine/pixelfed:main' });
    expect(await refusal({ pixelfed: 'mine/pixelfed:v0.14.3' })).toContain('v0.14.4');
  });
  test('an app that was removed in between', async () => {
    ran(2, { snac: IMAGES.snac, caddy: IMAGES.caddy });
    expect(await refusal({ pixelfed: 'mine/pixelfed:v0.14.3' })).toContain('v0.14.4');
  });
  test('the first number of MariaDB changes by an upgrade only', async () => {
    ran(1, { ...IMAGES, mariadb: 'docker.io/library/mariadb:10.11' });
    expect(await refusal({ mariadb: 'mine/mariadb:11.8' })).toContain('cannot read them');
    await isFine({ mariadb: 'mine/mariadb:10.12' });
  });
  test('PostgreSQL reads only data of the same major version', async () => {
    ran(1, {
      mastodon: 'ghcr.io/mastodon/mastodon:v4.7.6',
      postgres: 'docker.io/library/postgres:17-trixie',
    });
    expect(await refusal({ postgres: 'docker.io/library/postgres:16' }, 'mastodon')).toContain('is older');
    expect(await refusal({ postgres: 'docker.io/library/postgres:18' }, 'mastodon')).toContain(
      'cannot read them',
    );
  });
});

describe('a database keeps the major version of its data', () => {
  const MASTODON = { mastodon: 'ghcr.io/mastodon/mastodon:v4.7.6' };
  const OLD = 'docker.io/library/postgres:15-bookworm';
  const DEFAULT = 'docker.io/library/postgres:17-trixie';
  const entry = (tag: string): Lock => ({ postgres: { tag, digest: 'sha256:1' } });
  const wanted = async (
    lock: Lock,
    images: Readonly<Record<string, string>> = {},
    volumes: 'there' | 'gone' = 'there',
    ...more: [moved?: readonly string[], keepsAll?: boolean]
  ): Promise<string | undefined> =>
    (await imagesFor(folder, await site(images, 'mastodon'), engine(volumes), lock, ...more))['postgres']
      ?.reference;

  test('a newer default, and an older one', async () => {
    ran(1, { ...MASTODON, postgres: OLD });
    expect(await wanted(entry(OLD))).toBe(OLD);
    ran(1, { ...MASTODON, postgres: 'docker.io/library/postgres:18' });
    expect(await wanted({})).toBe('docker.io/library/postgres:18');
  });
  test('the image lock was lost or edited: what ran counts', async () => {
    ran(1, { ...MASTODON, postgres: OLD });
    expect([await wanted({}), await wanted(entry(DEFAULT))]).toEqual([OLD, OLD]);
  });
  test('the lock counts if there are no generations', async () => {
    folder = tempFolder();
    expect(await wanted(entry(OLD))).toBe(OLD);
  });
  test('not within a major version, and not without data', async () => {
    ran(1, { ...MASTODON, postgres: 'docker.io/library/postgres:17.1' });
    expect(await wanted({})).toBe(DEFAULT);
    ran(1, { ...MASTODON, postgres: OLD });
    expect(await wanted({}, {}, 'gone')).toBe(DEFAULT);
  });
  test('an upgrade moves it; afterwards the new version counts', async () => {
    ran(1, { ...MASTODON, postgres: OLD });
    expect(await wanted({}, {}, 'there', ['postgres'])).toBe(DEFAULT);
    expect(await wanted({}, { postgres: 'mine/postgres:17.9' }, 'there', ['postgres'])).toBe(
      'mine/postgres:17.9',
    );
    ran(2, { ...MASTODON, postgres: DEFAULT });
    expect(await wanted({})).toBe(DEFAULT);
    expect(await refusal({ postgres: OLD }, 'mastodon')).toContain('is older');
  });
  test('an undo keeps it although another image is chosen', async () => {
    ran(1, { ...MASTODON, postgres: OLD });
    const chosen = { postgres: 'mine/postgres:17.9' };
    expect(await wanted({}, chosen, 'there', [], true)).toBe(OLD);
    expect(await refusal(chosen, 'mastodon')).toContain('cannot read them');
  });
  test('a restore of an older site', async () => {
    ran(1, { ...MASTODON, postgres: OLD });
    ran(2, { ...MASTODON, postgres: DEFAULT });
    ran(3, { ...MASTODON, postgres: OLD });
    expect(await wanted({})).toBe(OLD);
    // The version in between ran on other data.
    await isFine({ postgres: 'mine/postgres:15.9' }, 'mastodon');
  });
});

describe('software that changes its data keeps its version until `upgrade --images`', () => {
  const SNAC: Lock = { snac: { tag: 'fedi-setup/snac:2.94-1', id: 'sha256:s', source: 'built' } };
  const wanted = async (
    lock: Lock,
    name: string,
    images: Readonly<Record<string, string>>,
    here: boolean,
    moved: readonly string[] = [],
    volumes: 'there' | 'gone' = 'there',
  ): Promise<unknown> => {
    folder = tempFolder();
    const both = {
      ...engine(volumes),
      image: async () => (here ? { id: 'sha256:s', digests: [] } : undefined),
    };
    return (
      await imagesFor(folder, await site(images, name === 'snac' ? 'snac' : 'mastodon'), both, lock, moved)
    )[name];
  };

  test('a newer default: not silently', async () => {
    expect(await wanted(SNAC, 'snac', {}, true)).toEqual({ reference: 'fedi-setup/snac:2.94-1' });
    const valkey: Lock = { valkey: { tag: 'docker.io/valkey/valkey:7.2', digest: 'sha256:1' } };
    expect(await wanted(valkey, 'valkey', {}, true)).toEqual({ reference: 'docker.io/valkey/valkey:7.2' });
  });
  test('a new build of the same version, and without data: the default', async () => {
    const same: Lock = { snac: { tag: 'fedi-setup/snac:2.96-0', id: 'sha256:s', source: 'built' } };
    expect(await wanted(same, 'snac', {}, true)).toMatchObject({ reference: 'fedi-setup/snac:2.96-1' });
    expect(await wanted(SNAC, 'snac', {}, true, [], 'gone')).toMatchObject({ build: 'snac' });
  });
  test('an upgrade moves it', async () => {
    expect(await wanted(SNAC, 'snac', {}, true, ['snac'])).toMatchObject({ build: 'snac' });
  });
  test('an image that you chose', async () => {
    const tag = 'mine/snac:2.97';
    expect(await wanted(SNAC, 'snac', { snac: tag }, true)).toEqual({ reference: tag });
  });
  test('one that was built here and is gone cannot be built again', async () => {
    expect(await wanted(SNAC, 'snac', {}, false)).toMatchObject({ build: 'snac' });
  });
  test('an answer chooses the version of an app', async () => {
    const lock: Lock = { mastodon: { tag: 'ghcr.io/mastodon/mastodon:v4.6.1', digest: 'sha256:1' } };
    expect(await wanted(lock, 'mastodon', {}, true)).not.toMatchObject({
      reference: expect.stringContaining('4.6.1'),
    });
  });
});

describe('fine', () => {
  test.each([
    ['the same', {}],
    ['a newer one', { pixelfed: 'ghcr.io/pixelfed/pixelfed:v0.15.0' }],
    ['a mirror of the same', { mariadb: 'mirror.example.org/mariadb:11.8.1' }],
    ['a tag without a number', { pixelfed: 'mine/pixelfed:main' }],
    ['an older Caddy, whose data older versions can read', { caddy: 'mine/caddy:2.10.0' }],
  ])('%s', async (_, images) => isFine(images as Record<string, string>));
  test('no data exist any more', async () =>
    isFine({ pixelfed: 'mine/pixelfed:v0.12.10' }, 'pixelfed', 'gone'));
  test('no site yet', async () => {
    folder = tempFolder();
    await isFine({ pixelfed: 'mine/pixelfed:v0.12.10' });
  });
  test('PostgreSQL within its major version', async () => {
    ran(1, { mastodon: 'ghcr.io/mastodon/mastodon:v4.7.6', postgres: 'docker.io/library/postgres:17.6' });
    await isFine({ postgres: 'docker.io/library/postgres:17.2' }, 'mastodon');
  });
});
