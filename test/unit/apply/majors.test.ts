/** Refuses a database server that cannot read the data in its volume, whatever the image lock says. */
import { expect, test } from 'vitest';
import { refuseMajor } from '../../../wizard/apply/majors.ts';
import type { Prepared } from '../../../wizard/apply/prepare.ts';
import { configOf } from '../../../wizard/answers/config.ts';
import { resolve } from '../../../wizard/answers/resolve.ts';
import type { Engine } from '../../../wizard/docker/engine.ts';
import { problemFrom } from '../../support/problem.ts';

const IMAGE = 'docker.io/library/postgres:17-trixie';

/** Checks a site whose PostgreSQL starts. @param stdout versions of data and image; undefined: there is no volume */
async function check(stdout: string | undefined, starts = 'mastodon_db'): Promise<void> {
  const answers = {
    apps: 'mastodon',
    'apps.mastodon.domain': 'm.example.org',
    'apps.mastodon.admin': 'anna',
    'apps.mastodon.email': 'anna@example.org',
  };
  const given = Object.entries(answers).map(([key, text]) => [key, { text, from: 'the test' }] as const);
  const engine = {
    volume: async () => (stdout === undefined ? undefined : { device: undefined }),
    run: async () => ({ code: 0, stdout, stderr: '' }),
  };
  await refuseMajor(
    engine as unknown as Engine,
    {
      config: configOf((await resolve([new Map(given)])).answers),
      lock: { postgres: { tag: IMAGE, digest: 'sha256:1' } },
      site: { compose: { volumes: { mastodon_db: { name: 'fedi_mastodon_db' } } } },
      plan: { containers: { create: [starts], recreate: [], remove: [] } },
    } as unknown as Prepared,
  );
}

test('data of another major version', async () => {
  const { exit, message, next } = await problemFrom(() => check('15\n17.12\n'));
  expect([exit, message]).toEqual([
    3,
    `The data in the volume fedi_mastodon_db are from PostgreSQL 15; ${IMAGE} is PostgreSQL 17.`,
  ]);
  expect(next).toContain('Set images.postgres in fedi.yaml to an image of PostgreSQL 15');
  expect((await problemFrom(() => check('18\n17.12\n'))).exit).toBe(3);
});
test.each([
  ['the same', '17\n17.12\n', 'mastodon_db'],
  ['no data', '\n17.12\n', 'mastodon_db'],
  ['no volume', undefined, 'mastodon_db'],
  ['another container starts', '15\n17.12\n', 'caddy'],
])('fine: %s', async (_, stdout, starts) => check(stdout, starts));
