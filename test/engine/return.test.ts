/** Later runs: a changed answer, a rollback, and a reset. */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { docker, testSite, tool } from '../support/site.ts';
import type { Run, RunOptions } from '../support/site.ts';

const site = testSite('return', 33);
afterAll(() => site.remove());

/** Images are answers of this test machine; after the first run they are in fedi.yaml. */
const run = (argv: readonly string[], options: RunOptions = {}): Promise<Run> =>
  tool([...argv, '--dir', site.folder], { env: quiet, ...options });
const quiet = Object.fromEntries(Object.entries(site.env).filter(([name]) => !name.startsWith('FEDI_')));

const volumes = (): string[] =>
  docker('volume', 'ls', '--quiet', '--filter', `label=com.docker.compose.project=${site.name}`)
    .split('\n')
    .filter(Boolean)
    .toSorted();
const generation = (): number =>
  (JSON.parse(site.read('.fedi/manifest.json')) as { generation: number }).generation;

beforeAll(async () => {
  const first = await site.apply();
  expect(first.code, first.stderr).toBe(0);
});

describe.sequential('an answer changed later', () => {
  test('mail: the plan names files, keys and containers, and changes nothing', async () => {
    const before = site.containers();
    const plan = await run(['plan', '--diff', '--mail-mode', 'catcher', '--email', 'berta@fedi.test']);
    expect(plan.code).toBe(0);
    expect(plan.stdout).toMatch(/env\/snac\.env:\n(?: {2}[+~-] \w+.*\n)* {2}~ SNAC_SMTP_URL \(hidden\)/);
    expect(plan.stdout).toMatch(/^Create +mail$/m);
    expect(plan.stdout).toMatch(/^Recreate +snac \(\d+ s last time\)$/m);
    expect(plan.stdout).not.toMatch(/^Caddy /m);
    expect(plan.stdout).toContain('Dry run: nothing was changed.');
    expect([site.containers(), generation()]).toEqual([before, 1]);
  });

  test('mail: works as in a first run', async () => {
    const changed = await run(['apply', '--mail-mode', 'catcher', '--json']);
    expect(changed.code, changed.stderr).toBe(0);
    expect(Object.keys(site.containers()).toSorted()).toEqual(['caddy', 'mail', 'snac']);
    expect(generation()).toBe(2);
  });
});

describe.sequential('rollback', () => {
  test('lists the generations, newest first', async () => {
    const list = await run(['rollback']);
    expect(list.code).toBe(0);
    expect(list.stdout).toMatch(/^ +2 .*mail\.mode catcher\n +1 .*the first version\n$/);
    const json = await run(['rollback', '--json']);
    expect(json.events).toMatchObject([
      { event: 'generation', number: 2, changed: ['mail.mode'] },
      { event: 'generation', number: 1, changed: [] },
    ]);
  });

  test('shows its plan', async () => {
    const [before, yaml] = [site.containers(), site.read('fedi.yaml')];
    const plan = await run(['rollback', '1', '--dry-run', '--diff']);
    expect(plan.code, plan.stderr).toBe(0);
    expect(plan.stdout).toMatch(/^- +mode: catcher$/m);
    expect(plan.stdout).toMatch(/^Remove +mail$/m);
    expect([site.containers(), site.read('fedi.yaml')]).toEqual([before, yaml]);
  });

  test('restores answers, files and containers; keeps account and data', async () => {
    const before = site.containers();
    const yaml = readFileSync(join(site.folder, '.fedi/generations/0001/fedi.yaml'), 'utf8');
    docker('exec', before['snac'] as string, 'snac', 'note', '/data', 'anna', 'kept during the rollback');
    const back = await run(['rollback', '1']);
    expect(back.code, back.stderr).toBe(0);
    expect(site.read('fedi.yaml')).toBe(yaml);
    for (const path of ['compose.yaml', 'caddy/Caddyfile', 'images.lock.yaml'])
      expect(site.read(path)).toBe(readFileSync(join(site.folder, '.fedi/generations/0001', path), 'utf8'));
    expect(Object.keys(site.containers()).toSorted()).toEqual(['caddy', 'snac']);
    expect(site.containers()['caddy']).toBe(before['caddy']);
    expect(generation()).toBe(3);
    expect(
      docker('exec', site.containers()['snac'] as string, 'sh', '-c', 'cat /data/user/anna/public/*.json'),
    ).toContain('kept during the rollback');
    const again = await run(['rollback', '1']);
    expect([again.code, again.stderr]).toEqual([0, 'Nothing to change.\n']);
  });

  test('reports an unknown generation', async () => {
    for (const word of ['9', '0', '-1', 'one', '1.0', '01']) {
      const wrong = await run(['rollback', word]);
      expect(wrong.code).toBe(2);
    }
    const wrong = await run(['rollback', '9']);
    expect(wrong.stderr).toContain('There is no generation 9.');
    expect(wrong.stderr).toContain('There are: 1, 2, 3.');
  });
});

describe.sequential('reset', () => {
  const FOLDER = (): string[] => readdirSync(site.folder).toSorted();

  test('asks for the name', async () => {
    const before = [site.containers(), volumes(), FOLDER()];
    const refused = await run(['reset']);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain(`--confirm ${site.name}`);
    expect([site.containers(), volumes(), FOLDER()]).toEqual(before);
  });

  test('is refused for a site that was live', async () => {
    // The record that a site with public certificates leaves.
    const yaml = site.read('.fedi/generations/0003/fedi.yaml');
    writeFileSync(
      join(site.folder, '.fedi/generations/0003/fedi.yaml'),
      yaml.replace('mode: internal', 'mode: acme'),
    );
    try {
      const before = [site.containers(), volumes(), FOLDER()];
      const refused = await run(['reset', '--confirm', site.name]);
      expect(refused.code).toBe(3);
      expect(refused.stderr).toContain('This site was live');
      expect(refused.stderr).toContain('reset --data');
      expect([site.containers(), volumes(), FOLDER()]).toEqual(before);
    } finally {
      writeFileSync(join(site.folder, '.fedi/generations/0003/fedi.yaml'), yaml);
    }
  });

  test('removes everything except the answers; the site can be created again, also with another domain', async () => {
    const yaml = site.read('fedi.yaml');
    const stored = site.read('secrets.json');
    writeFileSync(join(site.folder, 'compose.override.yaml'), '# mine\n');
    const reset = await run(['reset', '--confirm', site.name]);
    expect(reset.code, reset.stderr).toBe(0);
    expect(site.containers()).toEqual({});
    expect(volumes()).toEqual([]);
    expect(site.read('fedi.yaml')).toBe(yaml);
    // The internal CA is kept like an answer, so clients that trust it still do.
    expect(FOLDER()).toEqual(['compose.override.yaml', 'fedi.yaml', 'secrets.json']);
    expect(Object.keys((JSON.parse(site.read('secrets.json')) as { secrets: object }).secrets)).toEqual([
      'tls.root',
    ]);
    const again = await run(['apply', '--domain', 'other.fedi.test', '--json']);
    expect(again.code, again.stderr).toBe(0);
    expect(again.events.some(({ event }) => event === 'admin')).toBe(true);
    expect(site.read('secrets.json')).not.toBe(stored);
    expect(site.read('fedi.yaml')).toContain('other.fedi.test');
    expect(generation()).toBe(1);
    expect(existsSync(join(site.folder, '.fedi/generations/0002'))).toBe(false);
  });

  test('also after a first run that was killed before it wrote its files', async () => {
    const reset = await run(['reset', '--confirm', site.name]);
    expect(reset.code, reset.stderr).toBe(0);
    const killed = await site.apply([], {
      onEvent: ({ event, id, state }, child) => {
        if (event === 'step' && id === 'seal.snac' && state === 'done') child.kill('SIGKILL');
      },
    });
    expect(killed.signal).toBe('SIGKILL');
    expect(volumes().toSorted()).toEqual([`${site.name}_caddy_data`, `${site.name}_snac_data`]);
    expect((await run(['reset', '--confirm', site.name])).code).toBe(0);
    expect(volumes()).toEqual([]);
  });
});
