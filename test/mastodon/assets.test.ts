/** The files copied from Mastodon's image for Caddy, whatever directories a version has. */
import { readFileSync } from 'node:fs';
import { execFileSync, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseCompose } from '../../wizard/stack/compose.ts';
import { attempt, needImages } from '../support/acme.ts';
import { docker } from '../support/site.ts';

const IMAGE = 'fedi-setup-test/mastodon:assets';
const VOLUME = 'test-mastodon-assets';

const values = new Proxy<Record<string, string>>({}, { get: () => 'x' });
const { mastodon_assets: service } = parseCompose(
  readFileSync('compose/mastodon.yaml', 'utf8'),
  values,
).services;
const [program = '', ...words] = (service?.['command'] ?? []) as string[];
const target = service?.volumes?.[0]?.split(':')[1] ?? '';

/** Runs the service as Compose does, in an image after these commands. */
function copied(prepared: string): number | null {
  const text = `FROM fedi-setup/mastodon:trixie\nUSER root\nRUN ${prepared}\nUSER mastodon\n`;
  execFileSync('docker', ['build', '--quiet', '--tag', IMAGE, '-'], {
    input: text,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  const run = ['run', '--rm', '--network', 'none', '--cap-drop', 'ALL', '--volume', `${VOLUME}:${target}`];
  return spawnSync('docker', [...run, '--entrypoint', program, IMAGE, ...words]).status;
}
const files = (): string[] =>
  docker('run', '--rm', '--volume', `${VOLUME}:/v`, '--entrypoint', 'find', IMAGE, '/v', '-printf', '%P %u\n')
    .split('\n')
    .toSorted();

const remove = (): void => {
  attempt('volume', 'rm', VOLUME);
  attempt('rmi', '--no-prune', IMAGE);
};
beforeAll(() => {
  needImages('mastodon');
  remove();
});
afterAll(remove);

test('copies all assets except source maps to an empty volume', () => {
  expect(copied('rm -r public/ocr && echo 1 >public/packs/a.js && echo 1 >public/packs/a.js.map')).toBe(0);
  const paths =
    'assets assets/stand-in.txt emoji emoji/stand-in.txt packs packs/a.js packs/stand-in.txt sounds';
  expect(files()).toEqual(
    [
      'mastodon',
      ...paths.split(' ').map((path) => `${path} mastodon`),
      'sounds/stand-in.txt mastodon',
    ].toSorted(),
  );
});

test('fails without packs: the pages need them', () => {
  expect(copied('rm -r public/packs')).not.toBe(0);
});
