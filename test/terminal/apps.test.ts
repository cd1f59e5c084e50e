/** A second app added and removed in the review of a running site. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { pixelfedImages } from '../support/pixelfed-images.ts';
import { docker, tool } from '../support/site.ts';
import { asked, closeTerminals, terminal } from '../support/terminal.ts';
import type { Terminal } from '../support/terminal.ts';
import { place } from './place.ts';

const START_MS = 10 * 60_000;
const DOMAIN = 'pix.fedi.test';
const site = place('apps', 48);
// Only settings of the test host; the rest is typed.
const env = { ...site.env, ...pixelfedImages() };

const wizard = (): Terminal => terminal([], { cwd: site.cwd, env, rows: 60, cols: 160 });
const read = (): string => readFileSync(join(site.folder, 'fedi.yaml'), 'utf8');
const services = (): string[] =>
  docker(
    'ps',
    '--all',
    '--filter',
    `label=com.docker.compose.project=${site.name}`,
    '--format',
    '{{.Label "com.docker.compose.service"}}',
  )
    .split('\n')
    .toSorted();
const snac = (): string => docker('ps', '--quiet', '--no-trunc', '--filter', `name=${site.name}-snac-1`);

beforeAll(async () => {
  const run = await tool(['apply'], {
    cwd: site.cwd,
    env: {
      ...env,
      FEDI_APPS: 'snac',
      FEDI_SNAC_DOMAIN: 'term.fedi.test',
      FEDI_SNAC_ADMIN: 'anna',
      FEDI_SNAC_EMAIL: 'anna@fedi.test',
      FEDI_TLS_MODE: 'internal',
    },
  });
  expect(run.code, run.stderr).toBe(0);
});
afterEach(closeTerminals);
afterAll(() => site.remove());

describe.sequential('from the review', { timeout: START_MS }, () => {
  test('adds Pixelfed: asks only its questions, shows the sum, and does not change snac', async () => {
    const before = snac();
    const run = wizard();
    await run.choose('What now?', 'Change: Apps to install');
    await run.check('Apps to install', ['snac:', 'Pixelfed:']);
    await run.until('✔ Apps to install snac, pixelfed');
    await run.answer('Domain of Pixelfed', DOMAIN);
    await run.answer('Your user name on Pixelfed', 'anna');
    await run.answer('Your e-mail address', 'anna@fedi.test');
    await run.until(
      /^ {2}snac 256 MB, Pixelfed [\d.]+ GB: together [\d.]+ GB, at most \d+ busy processes\.$/m,
    );
    expect(run.screen()).not.toContain('✔ Domain of snac');
    for (const name of ['snac', 'Pixelfed'])
      expect(run.screen()).toMatch(new RegExp(`^  Your e-mail address \\(${name}\\) +anna@fedi\\.test`, 'm'));
    await run.choose('What now?', 'Go');
    await run.until(asked('Apply this'));
    expect(run.screen()).toMatch(/^Create .*(?:\n .*)*pixelfed_web/m);
    run.key('enter');
    expect(await run.exit).toEqual({ code: 0, signal: 0 });
    expect(run.screen()).toMatch(/Pixelfed: https:\/\/pix\.fedi\.test/);
    expect(services()).toContain('pixelfed_web');
    expect(snac()).toBe(before);
    expect(read()).toContain(`domain: ${DOMAIN}`);
  });

  test('removes it: the plan says what is removed and what stays; it stays removed', async () => {
    const before = snac();
    const run = wizard();
    await run.choose('What now?', 'Change: Apps to install');
    await run.check('Apps to install', ['snac:']);
    await run.choose('What now?', 'Go');
    await run.until(asked('Apply this'));
    expect(run.screen()).toMatch(/^Remove .*(?:\n .*)*pixelfed_web/m);
    expect(run.screen()).toMatch(/^Note +Pixelfed will be removed\. Its data stay until/m);
    run.key('enter');
    await run.answer('Type pixelfed to continue', 'pixelfed');
    expect(await run.exit).toEqual({ code: 0, signal: 0 });
    expect(services()).toEqual(['caddy', 'snac']);
    expect(snac()).toBe(before);
    expect(read()).toContain(`#     domain: ${DOMAIN}`);
    expect(docker('volume', 'ls', '--quiet')).toContain(`${site.name}_pixelfed_db`);
    const again = await tool(['apply'], { cwd: site.cwd, env });
    expect([again.code, again.stderr]).toEqual([0, 'Nothing to change.\n']);
  });
});
