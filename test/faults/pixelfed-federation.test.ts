/**
 * Pixelfed and snac on one host, each under its domain: follows, posts and pictures in both directions, although Pixelfed
 * refuses servers at private addresses.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { php } from '../../wizard/apps/pixelfed/php.ts';
import { secretsOf } from '../support/faults.ts';
import { Owners, snacToken, until } from '../support/federation.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';
import { tempFolder } from '../support/temp.ts';

const START_MS = 15 * 60_000;
const DELIVERY_MS = 3 * 60_000;
const PHOTOS = 'pix.fedi.test';
const SMALL = 'small.fedi.test';

const site = testSite('pictures', 93, SMALL);
const env: NodeJS.ProcessEnv = { ...site.env, ...pixelfedAnswers(PHOTOS), FEDI_APPS: 'snac,pixelfed' };
const owners = new Owners(site, DELIVERY_MS);
afterAll(() => site.remove());

const inPixelfed = (script: string, values: Record<string, string> = {}): string => {
  const { argv, stdin } = php(script, values);
  const { stdout, stderr } = spawnSync(
    'docker',
    ['exec', '--interactive', `${site.name}-pixelfed_web-1`, ...argv],
    { input: stdin ?? '', encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  return stdout.trim().split('\n').at(-1) ?? '';
};
const neighbours = (run: Run): Record<string, unknown> =>
  Object.fromEntries(
    run.events
      .filter(({ event, id }) => event === 'proof' && id === 'neighbours')
      .map(({ app, ok, seen }) => [app, [ok, seen]]),
  );

/** A directory with a `docker` that, before the first `up`, creates a network with the addresses of the site's network. */
function racing(): string {
  const folder = tempFolder();
  const real = execFileSync('which', ['docker'], { encoding: 'utf8' }).trim();
  writeFileSync(
    join(folder, 'docker'),
    `#!/bin/sh
case " $* " in
  *" up "*)
    mkdir "${folder}/once" 2>/dev/null &&
      "${real}" network create --label com.docker.compose.project=${site.name} --label com.docker.compose.network=race \\
        --subnet "$(sed -n 's/.*subnet: *//p' compose.yaml)" ${site.name}_race >/dev/null ;;
esac
exec "${real}" "$@"
`,
    { mode: 0o755 },
  );
  return folder;
}

describe.sequential('snac and Pixelfed on one host', () => {
  test('without free addresses the run ends before any change', { timeout: START_MS }, async () => {
    const other = `${site.name}_other`;
    docker('network', 'create', '--subnet', '192.88.99.0/24', other);
    try {
      const run = await site.apply([], { env });
      expect(run.code).toBe(4);
      expect(run.stderr).toMatch(/No addresses of 192\.88\.99\.0\/24 are free.*They are .*_other\./s);
    } finally {
      docker('network', 'rm', other);
    }
  });

  test('both are proven, and find each other', { timeout: START_MS }, async () => {
    const run = await site.apply([], { env: { ...env, PATH: `${racing()}:${String(process.env['PATH'])}` } });
    expect(run.stderr).toBe('');
    const networks = docker('network', 'ls', '--format', '{{.Name}}').split('\n');
    for (const name of [`${site.name}_race`, `${site.name}_pixelfed_front_lab`])
      expect(networks).toContain(name);
    expect(run.events.filter(({ event, ok }) => event === 'proof' && ok !== true)).toEqual([]);
    expect(run.code).toBe(0);
    expect(neighbours(run)).toEqual({
      snac: [true, expect.stringMatching(`^${PHOTOS} at \\d`)],
      pixelfed: [
        true,
        expect.stringMatching(`^${PHOTOS} at 192\\.88\\.99\\.\\d+; ${SMALL} at 192\\.88\\.99\\.`),
      ],
    });
    owners.tokens.set(SMALL, await snacToken(site, secretsOf(site.folder)['snac.admin']?.value ?? ''));
    owners.tokens.set(
      PHOTOS,
      inPixelfed(
        `$model = $app['config']['auth.providers.users.model'];
$user = $model::where('username', $values['name'])->firstOrFail();
echo $user->createToken('test', ['read', 'write', 'follow'])->accessToken, PHP_EOL;`,
        { name: 'anna' },
      ),
    );
  });

  test('snac follows the owner of Pixelfed', { timeout: DELIVERY_MS }, async () => {
    const run = await tool(['--dir', site.folder, 'snac', 'follow', 'anna', `@anna@${PHOTOS}`], { env });
    expect(run.code, run.stderr).toBe(0);
    const me = (await owners.api(PHOTOS, 'v1/accounts/verify_credentials')).json<{ id: string }>();
    await until(
      'the follow',
      async () =>
        (await owners.api(PHOTOS, `v1/accounts/${me.id}/followers`))
          .json<{ acct: string }[]>()
          .find(({ acct }) => acct === `anna@${SMALL}`),
      DELIVERY_MS,
    );
  });

  test('and receives a photo', { timeout: 2 * DELIVERY_MS }, async () => {
    await owners.post(PHOTOS, 'from the photos');
    const arrived = await owners.arrives(SMALL, 'from the photos');
    expect(arrived.account.acct).toBe(`anna@${PHOTOS}`);
    await owners.expectPicture(arrived);
  });

  test('the owner of Pixelfed finds and follows the owner of snac', { timeout: DELIVERY_MS }, () =>
    owners.follow(PHOTOS, `@anna@${SMALL}`),
  );

  test('and receives a post with its picture', { timeout: 2 * DELIVERY_MS }, async () => {
    await owners.post(SMALL, 'from the small one');
    const arrived = await owners.arrives(PHOTOS, 'from the small one');
    expect(arrived.account.acct).toBe(`anna@${SMALL}`);
    await owners.expectPicture(arrived);
  });

  test(
    'a peer at a private address is refused, and the receipt reports it',
    { timeout: DELIVERY_MS },
    async () => {
      const network = `${site.name}_inner`;
      docker('network', 'create', '--label', `com.docker.compose.project=${site.name}`, network);
      // Like DNS with internal addresses: the same names resolve to the same ingress on another network.
      const horizon = `${site.name}-pixelfed_horizon-1`;
      const caddy = `${site.name}-caddy-1`;
      const lab = `${site.name}_pixelfed_front_lab`;
      docker('network', 'disconnect', lab, horizon);
      docker('network', 'connect', network, horizon);
      docker('network', 'connect', '--alias', PHOTOS, '--alias', SMALL, network, caddy);
      const run = await tool(['prove', '--dir', site.folder, '--json'], { env });
      expect(run.code).toBe(5);
      expect(neighbours(run)['pixelfed']).toEqual([
        false,
        expect.stringMatching(
          `in the container ${PHOTOS} resolves to 1[\\d.]+, and Pixelfed rejects .*in the container ${SMALL} resolves to 1.*Give the containers DNS servers`,
        ),
      ]);
      docker('network', 'disconnect', network, horizon);
      docker('network', 'disconnect', network, caddy);
      docker('network', 'connect', lab, horizon);
      expect((await tool(['prove', '--dir', site.folder, '--json'], { env })).code).toBe(0);
    },
  );
});
