/** `upgrade --images` with a new version of software that changes its data: copied before, restored if anything fails. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needImages } from '../support/acme.ts';
import { docker, environment, testSite, tool } from '../support/site.ts';
import type { Run, RunOptions } from '../support/site.ts';

const PATIENCE_MS = 20 * 60_000;
const IMAGE = 'fedi.test/upgrade-data';
/** Puts a shell program before the start of snac. */
const before = (script: string): string =>
  `RUN mv /usr/local/bin/snac-entrypoint /usr/local/bin/snac-entrypoint.real && printf '%s\\n' '#!/bin/sh' '${script}' 'exec snac-entrypoint.real "$@"' >/usr/local/bin/snac-entrypoint && chmod 0755 /usr/local/bin/snac-entrypoint`;
const MIGRATES = 'if [ $# = 0 ]; then echo 3 >/data/layout; fi';
const VERSIONS = {
  '2.96': '',
  // The old version cannot use what is left.
  '2.97': before('if [ $# = 0 ]; then rm -rf /data/user /data/server.json; exit 78; fi'),
  '2.98': before(MIGRATES),
};

needImages('restic');
const site = testSite('upgrade-data', 115);
const run = (argv: readonly string[], options: RunOptions = {}): Promise<Run> =>
  tool([...argv, '--dir', site.folder], { env: environment(), ...options });
/** Chooses an image of snac in fedi.yaml. */
const choose = (version: string): void =>
  writeFileSync(
    join(site.folder, 'fedi.yaml'),
    site.read('fedi.yaml').replace(/^ {2}snac: \S+$/m, `  snac: ${IMAGE}:${version}`),
  );
const inSnac = (script: string): string =>
  docker('exec', site.containers()['snac'] ?? '', 'sh', '-c', script);
const volumes = (): string =>
  docker('volume', 'ls', '--quiet', '--filter', `label=com.docker.compose.project=${site.name}`);
/** What an upgrade that fails must leave as it was. The proofs write and delete posts. */
const state = (): unknown[] => [
  inSnac('cat /data/kept; ls /data; jq .host /data/server.json; jq .uid /data/user/anna/user.json'),
  docker('inspect', '--format', '{{.Config.Image}}', site.containers()['snac'] ?? ''),
  volumes(),
  site.read('compose.yaml'),
  site.read('images.lock.yaml'),
];
/** The image of snac in fedi.yaml. */
const chosen = (file = 'fedi.yaml'): string | undefined => / snac: (\S+:\S+)/.exec(site.read(file))?.[1];

beforeAll(async () => {
  for (const [version, line] of Object.entries(VERSIONS)) {
    const { status, stderr } = spawnSync(
      'docker',
      ['build', '--quiet', '--tag', `${IMAGE}:${version}`, '-'],
      {
        input: `FROM fedi-setup/snac:trixie\nUSER root\n${line}\nUSER 990:990\n`,
        encoding: 'utf8',
      },
    );
    if (status !== 0) throw new Error(stderr);
  }
  const first = await site.apply(['--backup-to', join(site.folder, '..', 'repository')], {
    env: { ...site.env, FEDI_IMAGES_SNAC: `${IMAGE}:2.96` },
  });
  expect([first.stderr, first.code]).toEqual(['', 0]);
  inSnac('echo mine >/data/kept');
  // Makes the volume of its cache.
  expect((await run(['backup'])).code).toBe(0);
}, PATIENCE_MS);
afterAll(() => {
  site.remove();
  for (const version of Object.keys(VERSIONS)) spawnSync('docker', ['rmi', '--force', `${IMAGE}:${version}`]);
});

describe.sequential('a new version that changes the data', { timeout: PATIENCE_MS }, () => {
  test('--check names it, and the plan of `apply` says what it means', async () => {
    choose('2.98');
    const checked = await run(['upgrade', '--images', '--check']);
    expect([checked.code, checked.stdout]).toEqual([
      0,
      expect.stringContaining(`${IMAGE}:2.96 → ${IMAGE}:2.98`),
    ]);
    expect((await run(['plan'])).stdout).toMatch(/may change its data[\s\S]*`fedi-setup upgrade --images`/);
  });

  test('one that destroys the data and does not start: undone', async () => {
    const was = state();
    choose('2.97');
    const failed = await run(['upgrade', '--images']);
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain(
      'The site with the previous images runs again, with the data from before',
    );
    expect(state()).toEqual(was);
    // `apply` must not install it again.
    expect([chosen(), chosen('.fedi/fedi.yaml.edited')]).toEqual([`${IMAGE}:2.96`, `${IMAGE}:2.97`]);
    expect((await run(['plan'])).stdout).toContain('Nothing to change.');
  });

  test.each([
    ['old.snac_data', 'done'],
    ['up', 'done'],
    ['undo.snac_data', 'start'],
  ])('killed at %s (%s): the next run restores it', async (id, at) => {
    const was = state();
    choose(id.startsWith('undo') ? '2.97' : '2.98');
    const killed = await run(['upgrade', '--images', '--json'], {
      onEvent: (event, child) => {
        if (event['id'] === id && event['state'] === at) child.kill('SIGKILL');
      },
    });
    expect(killed.signal).toBe('SIGKILL');
    expect((await run(['apply'])).code).toBe(3);
    const again = await run(['upgrade']);
    expect([again.code, again.stderr]).toEqual([0, expect.stringContaining('with the data from before')]);
    expect(state()).toEqual(was);
  });

  test('one that works', async () => {
    const there = volumes();
    choose('2.98');
    const done = await run(['upgrade', '--images']);
    expect([done.code, done.stderr]).toEqual([
      0,
      expect.stringContaining('The site with the new images is proven'),
    ]);
    expect(inSnac('cat /data/kept /data/layout')).toBe('mine\n3');
    expect(volumes()).toBe(there);
    expect((await run(['plan'])).stdout).toContain('Nothing to change.');
  });

  test('an image for another processor is refused before anything changes', async () => {
    const was = state();
    // The same content; only its description differs.
    const folder = join(site.folder, '..', 'image');
    const script = `mkdir ${folder} && docker save ${IMAGE}:2.98 | tar -x -C ${folder} && cd ${folder} && config=$(jq -r '.[0].Config' manifest.json) && jq -c '.architecture = "riscv64"' "$config" >new && mv new new.json && jq -c '.[0].Config = "new.json" | .[0].RepoTags = ["${IMAGE}:2.99"]' manifest.json >m && mv m manifest.json && rm -f repositories && tar -c . | docker load`;
    const { status, stderr } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
    try {
      choose('2.99');
      for (const argv of [['upgrade', '--images'], ['apply']]) {
        const refused = await run(argv);
        expect([refused.code, refused.stderr]).toEqual([
          3,
          expect.stringContaining('is for riscv64, but this machine is'),
        ]);
      }
      expect(state()).toEqual(was);
    } finally {
      spawnSync('docker', ['rmi', '--force', `${IMAGE}:2.99`]);
    }
  });
});
