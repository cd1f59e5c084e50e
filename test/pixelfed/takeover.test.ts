/** A site of all apps that an earlier version of the tool set up: one `apply` of this one takes it over, and nothing is lost. */
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseYaml } from '../../wizard/yaml.ts';
import { STORE_FILE } from '../../wizard/secrets/store.ts';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';
import { tempFolder } from '../support/temp.ts';

const FIXTURES = resolve('test/fixtures');
const APPS = ['snac', 'mastodon', 'pixelfed'];
const ADDRESS = 105;

interface Yaml {
  readonly images?: object;
}

const unpack = (tarball: string): string => {
  const folder = tempFolder();
  execFileSync('tar', ['--extract', '--file', join(FIXTURES, tarball), '--directory', folder]);
  const program = join(folder, 'package/dist/fedi-setup.js');
  execFileSync('chmod', ['+x', program]);
  return program;
};

describe.sequential.each(readdirSync(FIXTURES).filter((name) => name.endsWith('.tgz')))(
  'a site of %s',
  { timeout: 30 * 60_000 },
  (tarball) => {
    const site = testSite('taken', ADDRESS, 'snac.taken.test');
    afterAll(() => site.remove());
    const { FEDI_APPS: _mastodon, ...mastodon } = mastodonAnswers('social.taken.test');
    const { FEDI_APPS: _pixelfed, ...pixelfed } = pixelfedAnswers('pix.taken.test');
    // The earlier version knows no backups and no nginx.
    const {
      FEDI_IMAGES_RESTIC: _restic,
      FEDI_IMAGES_NGINX: nginx,
      ...known
    } = {
      ...site.env,
      ...mastodon,
      ...pixelfed,
    } as NodeJS.ProcessEnv;
    const images = ['--images-nginx', String(nginx)];
    const env = {
      ...known,
      FEDI_APPS: APPS.join(','),
      FEDI_MAIL_MODE: 'catcher',
    };
    /** Without answers: they are saved. */
    const now = (...words: string[]): Promise<Run> =>
      tool([...words, '--dir', site.folder, '--json'], {
        env: Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('FEDI_'))),
      });
    const secrets = (): Record<string, unknown> =>
      JSON.parse(site.read(STORE_FILE)) as Record<string, unknown>;
    /** Volume → when its directory was created. Docker's `CreatedAt` is when that directory last changed. */
    const volumes = (): Record<string, number> => {
      const names = docker(
        'volume',
        'ls',
        '--quiet',
        '--filter',
        `label=com.docker.compose.project=${site.name}`,
      ).split('\n');
      const all = JSON.parse(docker('volume', 'inspect', ...names)) as { Name: string; Mountpoint: string }[];
      return Object.fromEntries(all.map(({ Name, Mountpoint }) => [Name, statSync(Mountpoint).birthtimeMs]));
    };
    let before: { secrets: Record<string, unknown>; volumes: Record<string, number>; yaml: Yaml };
    let services: string[];

    test('is set up by that version', async () => {
      const run = await tool(['apply', '--dir', site.folder, '--json'], { env, program: unpack(tarball) });
      expect(run.stderr).toBe('');
      expect(run.code).toBe(0);
      expect(run.events.filter(({ event }) => event === 'admin').map(({ app }) => app)).toEqual(APPS);
      before = { secrets: secrets(), volumes: volumes(), yaml: parseYaml(site.read('fedi.yaml')) as Yaml };
      services = Object.keys(site.containers());
    });

    test('the plan recreates containers and keeps every secret', async () => {
      const plan = (await now('plan', ...images)).events.find(({ event }) => event === 'plan');
      expect(plan).toMatchObject({ secrets: { rotate: [] }, passwords: [], containers: { remove: [] } });
      const { containers } = plan as unknown as { containers: { recreate: string[] } };
      expect(services).toEqual(expect.arrayContaining(containers.recreate));
    });

    test('one `apply` takes it over', async () => {
      const run = await now('apply', ...images);
      expect(run.stderr).toBe('');
      expect(run.code).toBe(0);
      const proofs = run.events.filter(({ event }) => event === 'proof');
      expect(proofs.filter(({ ok }) => ok !== true)).toEqual([]);
      // The accounts are those from before: log-in is proven with their passwords, and none is created or shown.
      expect(proofs.filter(({ id }) => id === 'login').map(({ app }) => app)).toEqual(APPS);
      expect(run.events.filter(({ event }) => event === 'admin')).toEqual([]);
      expect(secrets()).toMatchObject(before.secrets);
      expect(volumes()).toMatchObject(before.volumes);
      expect(parseYaml(site.read('fedi.yaml'))).toEqual({
        ...before.yaml,
        images: { ...before.yaml.images, nginx },
      });
    });

    test('the next run has nothing to do', async () => {
      const containers = site.containers();
      expect((await now('plan', '--check')).code).toBe(0);
      expect((await now('apply')).events.map(({ event }) => event)).toEqual(['begin', 'unchanged', 'end']);
      expect(site.containers()).toEqual(containers);
    });
  },
);
