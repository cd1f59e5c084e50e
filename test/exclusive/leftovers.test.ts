/** A site that was changed several times and then removed leaves nothing on the engine, and names what it leaves elsewhere. */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { docker, testSite, tool } from '../support/site.ts';

const site = testSite('left', 35);
const disk = join(dirname(site.folder), 'disk');
afterAll(() => site.remove());

const listed = (): Record<string, string[]> => {
  const lines = (...words: string[]): string[] =>
    docker(...words)
      .split('\n')
      .filter(Boolean)
      .toSorted();
  return {
    containers: lines('container', 'ls', '--all', '--quiet', '--no-trunc'),
    volumes: lines('volume', 'ls', '--quiet'),
    networks: lines('network', 'ls', '--quiet', '--no-trunc'),
  };
};
const networks = (): string[] =>
  docker(
    'network',
    'ls',
    '--format',
    '{{.Name}}',
    '--filter',
    `label=com.docker.compose.project=${site.name}`,
  )
    .split('\n')
    .toSorted();

let before: Record<string, string[]> = {};
beforeAll(() => {
  before = listed();
});

test('a closed pipe does not stop a first run', async () => {
  const run = await site.apply(['--snac-data-dir', disk], {
    env: { ...site.env, FEDI_MAIL_MODE: 'catcher' },
    onEvent: ({ event }, child) => {
      if (event !== 'begin') return;
      child.stdout?.destroy();
      child.stderr?.destroy();
    },
  });
  expect(run.code).toBe(0);
  const [receipt = ''] = readdirSync(join(site.folder, '.fedi/receipts'));
  expect(JSON.parse(site.read(`.fedi/receipts/${receipt}`))).toMatchObject({ proven: true });
  expect(networks()).toContain(`${site.name}_snac_mail`);
});

test('removes networks that no setting needs; keeps those of an override', async () => {
  writeFileSync(
    join(site.folder, 'compose.override.yaml'),
    `services: { mine: { image: "${site.env['FEDI_IMAGES_CADDY']}", command: [sleep, inf], networks: [own], volumes: [/anonymous] } }\nnetworks: { own: {} }\n`,
  );
  const none = await site.apply(['--bind', site.bind]);
  expect(none.code, none.stderr).toBe(0);
  expect(networks()).toEqual(['edge', 'own', 'snac_front'].map((key) => `${site.name}_${key}`));
});

test('uninstall --data leaves nothing of ours, and names the administrator’s files that stay', async () => {
  mkdirSync(join(site.folder, 'caddy/custom'), { recursive: true });
  const run = await tool(['uninstall', '--data', '--dir', site.folder, '--confirm', site.name], {
    env: site.env,
  });
  expect(run.code, run.stderr).toBe(0);
  expect(listed()).toEqual(before);
  expect(run.stderr).toContain(`Data stay in ${disk}: sudo rm -r ${disk}`);
  expect(existsSync(join(disk, 'server.json'))).toBe(true);
  expect(run.stderr).toContain(`Your own files stay in ${site.folder}: caddy, compose.override.yaml`);
  expect(readFileSync(join(site.folder, 'compose.override.yaml'), 'utf8')).toContain('mine');
});
