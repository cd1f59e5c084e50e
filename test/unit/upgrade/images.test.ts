/** Which images have a newer build, and names that return to the old image. */
import { describe, expect, test } from 'vitest';
import type { Engine } from '../../../wizard/docker/engine.ts';
import type { Lock, WantedImage } from '../../../wizard/plan/lock.ts';
import { EXIT, Problem } from '../../../wizard/problem.ts';
import { copiesFor } from '../../../wizard/upgrade/copies.ts';
import {
  changesData,
  imageText,
  isUnknown,
  newImages,
  newerBuilds,
  openBuilds,
  restoreTags,
} from '../../../wizard/upgrade/images.ts';
import type { ComposeFile } from '../../../wizard/stack/compose.ts';
import { configOf } from '../../../wizard/answers/config.ts';
import { resolve } from '../../../wizard/answers/resolve.ts';

const registry = (digests: Readonly<Record<string, string>>): Engine =>
  ({
    findInRegistry: async (reference: string) => {
      const digest = digests[reference];
      if (digest === undefined) throw new Problem(EXIT.PREFLIGHT, `${reference}: no answer`);
      return { digest, platforms: [] };
    },
  }) as unknown as Engine;

const RUNNING: Lock = {
  caddy: { tag: 'caddy:2', digest: 'sha256:a' },
  mail: { tag: 'mail:1', id: 'sha256:m', source: 'loaded' },
  snac: { tag: 'snac:1', id: 'sha256:s', source: 'built' },
};
const WANTED: Readonly<Record<string, WantedImage>> = {
  caddy: { reference: 'caddy:2' },
  mail: { reference: 'mail:1' },
  snac: { reference: 'snac:1', build: 'snac' },
};

test('another digest in the registry, and what is built here; loaded images stay', async () => {
  const found = await newImages(registry({ 'caddy:2': 'sha256:b' }), WANTED, RUNNING);
  expect(found.map(({ name }) => name)).toEqual(['caddy', 'snac']);
  expect(found.map(imageText)).toEqual([
    'caddy:2, a newer build',
    'snac:1, built here again with current packages',
  ]);
});

test('the same digest is no newer build', async () => {
  expect(
    (await newImages(registry({ 'caddy:2': 'sha256:a' }), { caddy: { reference: 'caddy:2' } }, RUNNING))
      .length,
  ).toBe(0);
});

test('another reference needs no question to the registry', async () => {
  const [found] = await newImages(registry({}), { caddy: { reference: 'caddy:3' } }, RUNNING);
  expect(imageText(found as NonNullable<typeof found>)).toBe('caddy:2 → caddy:3');
});

test('an image with a known digest, and one that never ran, are left out', async () => {
  const wanted = { caddy: { reference: 'caddy:2', digest: 'sha256:a' }, rclone: { reference: 'rclone:1' } };
  expect(await newImages(registry({}), wanted, RUNNING)).toEqual([]);
});

test('a registry that does not answer: its error', async () => {
  await expect(newImages(registry({}), WANTED, RUNNING)).rejects.toThrow('caddy:2: no answer');
});

test('a tag returns to the locked image, if that is still there', async () => {
  const calls: string[] = [];
  const images: Record<string, string> = {
    'snac:1': 'sha256:new',
    'sha256:s': 'sha256:s',
    'mail:1': 'sha256:m',
    'sha256:m': 'sha256:m',
  };
  const engine = {
    image: async (reference: string) =>
      images[reference] === undefined ? undefined : { id: images[reference] },
    tag: async (id: string, reference: string) => calls.push(`${id} ${reference}`),
  } as unknown as Engine;
  await restoreTags(engine, { ...RUNNING, gone: { tag: 'gone:1', id: 'sha256:g', source: 'built' } });
  expect(calls).toEqual(['sha256:s snac:1']);
});

describe('what a new image means for the data', () => {
  const site = async () => {
    const texts = Object.entries({
      apps: 'snac,mastodon,pixelfed',
      ...Object.fromEntries(
        ['snac', 'mastodon', 'pixelfed'].flatMap((id) => [
          [`apps.${id}.domain`, `${id}.example.org`],
          [`apps.${id}.admin`, 'anna'],
          [`apps.${id}.email`, 'anna@example.org'],
        ]),
      ),
    });
    const from = 'the test';
    return configOf((await resolve([new Map(texts.map(([key, text]) => [key, { text, from }]))])).answers);
  };

  test.each([
    ['a build of packages', { name: 'snac', reference: 'fedi-setup/snac:2.96-1', build: 'snac' }, true],
    ['a newer Valkey', { name: 'valkey', reference: 'a/valkey:9', before: 'a/valkey:8.1' }, true],
    ['a newer build of Valkey 8', { name: 'valkey', reference: 'a/valkey:8.1' }, false],
    [
      'another minor version of Valkey 8',
      { name: 'valkey', reference: 'a/valkey:8.2', before: 'a/valkey:8.1' },
      false,
    ],
    ['a tag without a number', { name: 'valkey', reference: 'a/valkey:latest' }, true],
    ['a newer MariaDB', { name: 'mariadb', reference: 'a/mariadb:11.9', before: 'a/mariadb:11.8' }, true],
    ['a newer build of PostgreSQL', { name: 'postgres', reference: 'a/postgres:17-trixie' }, false],
    ['Caddy', { name: 'caddy', reference: 'a/caddy:3', before: 'a/caddy:2' }, false],
    ['a newer build of an app', { name: 'mastodon', reference: 'a/mastodon:v4.7.6' }, false],
  ])('%s', async (_what, image, changes) => {
    expect(changesData(await site(), image)).toBe(changes);
    expect(isUnknown(await site(), image)).toBe(false);
  });

  test('an app whose tag does not name its version', async () => {
    expect(isUnknown(await site(), { name: 'mastodon', reference: 'mine/mastodon:nightly' })).toBe(true);
  });

  test('newer builds that `maintain` reports: without new versions, builds of packages and unknown versions', async () => {
    const config = await site();
    const running: Lock = {
      caddy: { tag: config.images['caddy'] ?? '', digest: 'sha256:a' },
      valkey: { tag: config.images['valkey'] ?? '', digest: 'sha256:v' },
      postgres: { tag: 'docker.io/library/postgres:16', digest: 'sha256:p' },
      snac: { tag: 'fedi-setup/snac:2.96-1', id: 'sha256:s', source: 'built' },
    };
    const published = {
      [config.images['caddy'] ?? '']: 'sha256:b',
      [config.images['valkey'] ?? '']: 'sha256:v',
      'docker.io/library/postgres:16': 'sha256:q',
    };
    const builds = await newerBuilds(registry(published), config, running);
    expect(builds).toEqual({ caddy: 'sha256:b', postgres: 'sha256:q' });
    expect(openBuilds(builds, running)).toEqual(['caddy', 'postgres']);
    const installed: Lock = { ...running, caddy: { tag: 'caddy:2', digest: 'sha256:b' } };
    expect(openBuilds(builds, installed)).toEqual(['postgres']);
    expect(openBuilds(undefined, running)).toEqual([]);
  });

  test('volumes that the services write to', () => {
    const compose = {
      name: 'fedi',
      services: {
        web: { volumes: ['data:/data', './trust:/trust:ro', 'shared:/shared:ro'] },
        other: { volumes: ['other:/data'] },
      },
      volumes: {
        data: { name: 'fedi_data' },
        shared: { name: 'fedi_shared' },
        other: { name: 'fedi_other' },
      },
    } as unknown as ComposeFile;
    expect(copiesFor(compose, ['web', 'none'])).toEqual({ data: 'fedi_undo_data' });
  });
});
