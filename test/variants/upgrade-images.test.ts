/** `upgrade --images`: newer builds under the same tags of a real registry, and what happens if one does not work. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needImages } from '../support/acme.ts';
import { publish, publishChanged, removeRegistry, startRegistry } from '../support/registry.ts';
import { IMAGES, docker, environment, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const REGISTRY = 'test-images-registry';
const REGISTRY_ADDRESS = '127.0.0.1:5058';
const CADDY = `${REGISTRY_ADDRESS}/images/caddy:1.0`;

needImages('restic');
const site = testSite('upgrade-images', 119);
const repository = join(site.folder, '..', 'repository');
const env: NodeJS.ProcessEnv = { ...site.env, FEDI_IMAGES_CADDY: CADDY, FEDI_BACKUP_TO: repository };
afterAll(() => {
  site.remove();
  removeRegistry(REGISTRY, REGISTRY_ADDRESS);
});

const run = (...argv: readonly string[]): Promise<Run> =>
  tool([...argv, '--dir', site.folder], { env: environment() });
const locked = (): string => /digest: "?(sha256:[0-9a-f]{64})/.exec(site.read('images.lock.yaml'))?.[1] ?? '';
/** Image of a container. */
const runs = (service: string): string =>
  docker('inspect', '--format', '{{.Image}}', site.containers()[service] ?? '');
beforeAll(async () => {
  await startRegistry(REGISTRY, REGISTRY_ADDRESS);
  publish(IMAGES.FEDI_IMAGES_CADDY, CADDY);
  const first = await site.apply([], { env });
  expect(first.code, first.stderr).toBe(0);
});

describe.sequential('newer builds', () => {
  test('none: says so', async () => {
    const none = await run('upgrade', '--images');
    expect([none.code, none.stdout.split('\n')[0]]).toEqual([0, 'There are no newer builds of the images.']);
    // The other images have no registry.
    expect(none.stdout).toMatch(/Loaded on this host, .*\bsnac\b/);
  });

  test('--check names it and changes nothing', async () => {
    const [before, lock] = [site.containers(), site.read('images.lock.yaml')];
    publishChanged(
      IMAGES.FEDI_IMAGES_CADDY,
      CADDY,
      'LABEL build=second',
      'ENTRYPOINT ["caddy"]',
      'CMD ["run", "--config", "/etc/caddy/Caddyfile"]',
    );
    const checked = await run('upgrade', '--images', '--check');
    expect([checked.code, checked.stdout]).toEqual([
      0,
      expect.stringContaining(`caddy: ${CADDY}, a newer build\n`),
    ]);
    expect([site.containers(), site.read('images.lock.yaml')]).toEqual([before, lock]);
  });

  test('--app and --to are refused', async () => {
    const refused = await run('upgrade', '--images', '--app', 'snac');
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('all images of the site')]);
  });

  test('is installed after a backup, and proven', async () => {
    const [digest, snac] = [locked(), site.containers()['snac']];
    const upgraded = await run('upgrade', '--images');
    expect(upgraded.code, upgraded.stderr).toBe(0);
    expect(upgraded.stdout + upgraded.stderr).toContain('The site with the new images is proven');
    expect(locked()).not.toBe(digest);
    expect(docker('inspect', '--format', '{{.Config.Labels.build}}', site.containers()['caddy'] ?? '')).toBe(
      'second',
    );
    // Other images stay, and their containers too.
    expect(site.containers()['snac']).toBe(snac);
    const list = await run('backup', 'list', '--json');
    expect(list.events.filter(({ event }) => event === 'snapshot')).toHaveLength(1);
    const plan = await run('plan', '--check');
    expect(plan.code, plan.stdout).toBe(0);
  });

  test('one that does not start: the previous images run again', async () => {
    const [digest, image] = [locked(), runs('caddy')];
    publishChanged(IMAGES.FEDI_IMAGES_CADDY, CADDY, 'ENTRYPOINT ["false"]', 'CMD []');
    const failed = await run('upgrade', '--images');
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain('The site with the previous images runs again and is proven.');
    expect([locked(), runs('caddy')]).toEqual([digest, image]);
    expect((await run('status')).stdout).toContain('all proofs succeeded');
    const plan = await run('plan', '--check');
    expect(plan.code, plan.stdout).toBe(0);
  });

  test('killed while the new images start: the next run restores the previous ones', async () => {
    const [digest, image] = [locked(), runs('caddy')];
    const killed = await tool(['upgrade', '--images', '--json', '--dir', site.folder], {
      env: environment(),
      onEvent: (event, child) => {
        if (event['id'] === 'up' && event['state'] === 'start' && locked() !== digest) child.kill('SIGKILL');
      },
    });
    expect(killed.signal).toBe('SIGKILL');
    expect((await run('apply')).code).toBe(3);
    const again = await run('upgrade');
    expect(again.code, again.stderr).toBe(0);
    expect([locked(), runs('caddy')]).toEqual([digest, image]);
  });
});
