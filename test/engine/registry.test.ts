/** Images from a real registry: pulled, locked by digest, and unchanged when their tags move. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fetchImages, lockOf } from '../../wizard/apply/images.ts';
import { connect } from '../../wizard/docker/docker.ts';
import type { Engine } from '../../wizard/docker/engine.ts';
import { pullReference } from '../../wizard/plan/lock.ts';
import type { Lock, WantedImage } from '../../wizard/plan/lock.ts';
import { jsonProgress } from '../../wizard/progress.ts';
import { newestPatch } from '../../wizard/upgrade/versions.ts';
import { attempt, needImages } from '../support/acme.ts';
import { contextOf, runCheck } from '../support/checks.ts';
import { publish, publishChanged, removeRegistry, startRegistry } from '../support/registry.ts';
import { IMAGES, docker, testSite } from '../support/site.ts';

const REGISTRY = 'test-registry';
const REGISTRY_ADDRESS = '127.0.0.1:5057';
const CADDY = `${REGISTRY_ADDRESS}/fedi/caddy:1.0`;

const site = testSite('registry', 97);
const env: NodeJS.ProcessEnv = { ...site.env, FEDI_IMAGES_CADDY: CADDY };
afterAll(() => {
  site.remove();
  removeRegistry(REGISTRY, REGISTRY_ADDRESS);
});

const locked = (): string => /digest: "?(sha256:[0-9a-f]{64})/.exec(site.read('images.lock.yaml'))?.[1] ?? '';
const runs = (): string => docker('inspect', '--format', '{{.Image}}', site.containers()['caddy'] ?? '');
const idOf = (image: string): string => docker('image', 'inspect', '--format', '{{.Id}}', image);

beforeAll(async () => {
  needImages('nginx');
  await startRegistry(REGISTRY, REGISTRY_ADDRESS);
  publish(IMAGES.FEDI_IMAGES_CADDY, CADDY);
});

test('the newest patch release, from a registry that never lists its tags', async () => {
  const engine = await connect();
  const reference = (version: string): string => `${REGISTRY_ADDRESS}/fedi/app:${version}`;
  const released = ['v1.0.1', 'v1.0.3', 'v1.1.0'];
  for (const version of released) {
    docker('tag', 'fedi-setup/debian:trixie', reference(version));
    docker('push', '--quiet', reference(version));
    docker('rmi', reference(version));
  }
  expect(await newestPatch(engine, 'v1.0.0', reference)).toBe('v1.0.3');
  expect(await newestPatch(engine, 'v1.0.3', reference)).toBeUndefined();
  // Not "there is none".
  const silent = newestPatch(engine, 'v1.0.0', (version) => `127.0.0.1:9/fedi/app:${version}`);
  await expect(silent).rejects.toThrow(/refused/);
});

/** Like the image of an app whose digest is known. */
describe.sequential('an image with a known digest', () => {
  const NAME = `${REGISTRY_ADDRESS}/fedi/known:1.0`;
  const OLD = 'fedi-setup/nginx:trixie';
  const NEW = 'fedi-setup/debian:trixie';
  let digest = '';
  let engine: Engine;
  const put = (image: string): void => {
    docker('tag', image, NAME);
    docker('push', '--quiet', NAME);
    digest ||= docker('image', 'inspect', '--format', '{{index .RepoDigests 0}}', NAME).replace(/^.*@/, '');
    docker('rmi', NAME);
  };
  const wanted = (known = digest): Record<string, WantedImage> => ({
    known: { reference: NAME, digest: known },
  });
  const fetch = async (spec = wanted()): Promise<Lock> => {
    const { missing } = await lockOf(engine, spec, {});
    await fetchImages(engine, spec, {}, missing, jsonProgress());
    return (await lockOf(engine, spec, {})).lock;
  };
  const forget = (): void => void attempt('rmi', `${REGISTRY_ADDRESS}/fedi/known@${digest}`);
  const check = (known = digest) =>
    runCheck('registry', contextOf({}, { engine, pulls: Object.values(wanted(known)).map(pullReference) }));

  beforeAll(async () => {
    engine = await connect();
    put(OLD);
  });

  test('is pulled by its digest', async () => {
    expect(await check()).toEqual({ seen: `${REGISTRY_ADDRESS} answers`, found: [] });
    expect(await fetch()).toEqual({ known: { tag: NAME, digest } });
    expect(idOf(`${NAME}@${digest}`)).toBe(idOf(OLD));
  });

  test('and stays when the registry has another image under its tag, with a notice', async () => {
    forget();
    put(NEW);
    expect((await check())?.found).toMatchObject([
      { level: 'warning', what: expect.stringContaining(`now has another image under the name ${NAME}.`) },
    ]);
    expect(await fetch()).toEqual({ known: { tag: NAME, digest } });
    expect(idOf(`${NAME}@${digest}`)).toBe(idOf(OLD));
  });

  test('a digest that the registry no longer has is not replaced until the administrator removes it', async () => {
    forget();
    const gone = `sha256:${'0'.repeat(64)}`;
    const words = {
      message: expect.stringContaining(`${NAME}@${gone}`),
      next: expect.stringContaining(`docker pull ${NAME}`),
    };
    expect((await check(gone))?.found).toMatchObject([
      { level: 'blocker', what: words.message, next: words.next },
    ]);
    await expect(fetch(wanted(gone))).rejects.toMatchObject(words);
    docker('pull', '--quiet', NAME);
    const lock = await fetch(wanted(gone));
    expect(lock).toMatchObject({ known: { tag: NAME, digest: expect.stringMatching(/^sha256:/) } });
    expect(lock).not.toMatchObject({ known: { digest: gone } });
  });
});

describe.sequential('images of a registry', () => {
  test('the first run pulls them and locks their digest', async () => {
    const run = await site.apply([], { env });
    expect(run.code, run.stderr).toBe(0);
    expect(locked()).toMatch(/^sha256:/);
    expect(site.read('compose.yaml')).toContain(`image: ${CADDY}@${locked()}`);
    expect(runs()).toBe(idOf(IMAGES.FEDI_IMAGES_CADDY));
  });

  test('the tag moves to another image: the site keeps its own, also when it is pulled again', async () => {
    const digest = locked();
    publishChanged(IMAGES.FEDI_IMAGES_CADDY, CADDY, 'LABEL other=yes');
    expect(await site.apply([], { env })).toMatchObject({ code: 0, stderr: '' });
    docker('compose', '--project-directory', site.folder, 'down');
    docker('rmi', `${REGISTRY_ADDRESS}/fedi/caddy@${digest}`);
    const run = await site.apply([], { env });
    expect(run.code, run.stderr).toBe(0);
    expect(locked()).toBe(digest);
    expect(runs()).toBe(idOf(IMAGES.FEDI_IMAGES_CADDY));
  });

  test('a digest that the registry does not have: exit 4, and the site keeps running', async () => {
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

  test('the registry is down: a site with its images runs; a site without them reports it', async () => {
    docker('stop', REGISTRY);
    expect((await site.apply([], { env })).code).toBe(0);
    const other = testSite('registry-other', 98);
    try {
      const run = await other.apply([], {
        env: { ...other.env, FEDI_IMAGES_CADDY: `${REGISTRY_ADDRESS}/fedi/caddy:2.0` },
      });
      expect(run.code).toBe(4);
      expect(run.stderr).toContain(`${REGISTRY_ADDRESS}/fedi/caddy:2.0`);
      expect(() => other.read('secrets.json')).toThrow();
    } finally {
      other.remove();
    }
  });
});
