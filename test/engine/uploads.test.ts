/** `doctor --fix` on volumes of a real engine: what it finds, fixes and never touches. */
import { chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bindOptions } from '../../wizard/render/site.ts';
import type { CheckContext } from '../../wizard/checks/check.ts';
import { connect } from '../../wizard/docker/docker.ts';
import { attempt, needImages } from '../support/acme.ts';
import { contextOf, runCheck } from '../support/checks.ts';
import { docker, wipe } from '../support/site.ts';

needImages('pixelfed', 'mastodon');
const NAME = 'test-uploads';
const PIXELFED = 'fedi-setup/pixelfed:trixie';
const STORAGE = `${NAME}_pixelfed_storage`;
const disk = mkdtempSync(join(tmpdir(), 'fedi-uploads-'));

let engine: CheckContext['engine'];
beforeAll(async () => {
  wipe(NAME);
  engine = await connect();
});
afterAll(() => {
  attempt('rm', '--force', `${NAME}-web`);
  wipe(NAME);
  rmSync(disk, { recursive: true, force: true });
});

const siteOf = (app: string, image = `fedi-setup/${app}:trixie`): CheckContext =>
  contextOf(
    {
      name: NAME,
      apps: app,
      [`apps.${app}.domain`]: 'a.fedi.test',
      [`apps.${app}.admin`]: 'anna',
      [`apps.${app}.email`]: 'anna@fedi.test',
    },
    { engine, images: { [app]: image } },
  );
const pixelfed = (): CheckContext => siteOf('pixelfed');

/** As root, in the volume. */
const inVolume = (volume: string, script: string): string =>
  docker('run', '--rm', '--user', '0:0', '--network', 'none', '--volume', `${volume}:/v`, '--workdir', '/v', '--entrypoint', 'sh', PIXELFED, '-ec', script); // prettier-ignore
const modes = (volume: string, ...paths: string[]): string[] =>
  inVolume(volume, `stat -c '%n %u:%g %a' ${paths.join(' ')}`).split('\n');

const found = async (context: CheckContext): Promise<string[]> =>
  (await runCheck('uploads', context))?.found.map(({ level, what }) => `${level}: ${what}`) ?? ['no volume'];
const fix = async (context: CheckContext): Promise<string[]> => [
  ...new Set(
    await Promise.all(
      ((await runCheck('uploads', context))?.found ?? []).map((finding) => finding.fix?.() ?? 'cannot'),
    ),
  ),
];

describe.sequential('uploads', () => {
  test('a site without a volume: checks nothing and creates none', async () => {
    expect(await found(pixelfed())).toEqual(['no volume']);
    expect(docker('volume', 'ls', '--quiet', '--filter', `name=${STORAGE}`)).toBe('');
  });

  test('as the image created it: no finding', async () => {
    await engine.createVolume(STORAGE, NAME, 'pixelfed_storage');
    docker(
      'run',
      '--rm',
      '--network',
      'none',
      '--volume',
      `${STORAGE}:/var/www/html/storage`,
      PIXELFED,
      'true',
    );
    // Like directories and files that the app creates.
    inVolume(STORAGE, 'install -d -o 33 -g 33 -m 711 app/public/m/_v2; echo a | install -o 33 -g 33 -m 644 /dev/stdin app/public/m/_v2/open.png'); // prettier-ignore
    expect(await found(pixelfed())).toEqual([]);
  });

  test('closed files, files of root and missing pictures: reported and fixed; no secret becomes readable', async () => {
    inVolume(
      STORAGE,
      `cd app/public
mkdir -m 700 m/old m/rooted; echo b >m/old/closed.png; echo c >m/rooted/r.png
chown -R 33:33 m/old; chmod 600 m/old/closed.png m/rooted/r.png
ln -s ../../oauth-private.key m/link
rm no-preview.png; : >headers/default.jpg
ln -sf /nowhere avatars/default.jpg; chown -h 33:33 avatars/default.jpg
cd ../..; echo key >oauth-private.key; chmod 600 oauth-private.key
install -o 33 -g 33 -m 600 /dev/null framework/sessions/one
install -o 33 -g 33 -m 640 /dev/null logs/laravel.log`,
    );
    expect(await found(pixelfed())).toEqual([
      expect.stringMatching(
        /^blocker: Files in test-uploads_pixelfed_storage do not belong to 33:33: 4 \(app\/.* and others\)\.$/,
      ),
      expect.stringMatching(
        /^warning: Files in app\/public of .* are not readable for everyone: 4 .*m\/(old|rooted)/,
      ),
      expect.stringMatching(/^warning: Default images are missing in .*: 3 \(avatars\/default\.jpg, headers\/default\.jpg, no-preview\.png\)\.$/), // prettier-ignore
    ]);
    const [printed, ...others] = await fix(pixelfed());
    expect(others).toEqual([]);
    expect(printed).toMatch(/^owner set to 33:33: 4 .*; made readable: 4 .*; restored: 3 \(avatars\/default\.jpg, headers\/default\.jpg, no-preview\.png\)$/); // prettier-ignore
    expect(
      modes(STORAGE, 'app/public/m/old', 'app/public/m/old/closed.png', 'app/public/m/rooted', 'app/public/m/rooted/r.png', 'app/public/avatars/default.jpg', 'oauth-private.key', 'framework/sessions/one', 'logs/laravel.log', 'app/public/m/_v2'), // prettier-ignore
    ).toEqual([
      'app/public/m/old 33:33 755',
      'app/public/m/old/closed.png 33:33 644',
      'app/public/m/rooted 33:33 755',
      'app/public/m/rooted/r.png 33:33 644',
      'app/public/avatars/default.jpg 33:33 644',
      'oauth-private.key 33:33 600',
      'framework/sessions/one 33:33 600',
      'logs/laravel.log 33:33 640',
      'app/public/m/_v2 33:33 711',
    ]);
    // The image's own file, not any picture.
    const sum = (line: string): string => line.split(' ')[0] ?? '';
    const file = 'app/public/avatars/default.jpg';
    expect(sum(inVolume(STORAGE, `sha256sum ${file}`))).toBe(
      sum(docker('run', '--rm', '--entrypoint', 'sha256sum', PIXELFED, `/var/www/html/storage/${file}`)),
    );
    expect(await found(pixelfed())).toEqual([]);
  });

  test('escape codes in a file name are not printed', async () => {
    inVolume(STORAGE, 'touch app/public/m/"$(printf "red\\033[31m\\nmissing x")"');
    const [printed = '', ...more] = await found(pixelfed());
    expect(printed).toContain('app/public/m/red?[31m');
    expect(more).toEqual([]);
    await fix(pixelfed());
    expect(await found(pixelfed())).toEqual([]);
  });

  test('the app creates a picture that the image lacks', async () => {
    inVolume(STORAGE, 'rm app/public/headers/default.jpg');
    const bare = siteOf('pixelfed', 'fedi-setup/debian:trixie');
    expect(await fix(bare)).toEqual(['nothing could be changed']);
    expect(await found(bare)).toHaveLength(1);
    docker('run', '--detach', '--name', `${NAME}-web`, '--label', `com.docker.compose.project=${NAME}`, '--label', 'com.docker.compose.service=pixelfed_web', '--volume', `${STORAGE}:/var/www/html/storage`, PIXELFED, 'sleep', 'infinity'); // prettier-ignore
    expect(await fix(bare)).toEqual(['restored: 1 (headers/default.jpg)']);
    expect(await found(bare)).toEqual([]);
  });

  test('a data directory that was copied as root, and Mastodon’s volume', async () => {
    mkdirSync(join(disk, 'accounts'), { mode: 0o700 });
    writeFileSync(join(disk, 'accounts/a.png'), 'a', { mode: 0o600 });
    mkdirSync(join(disk, 'lost+found'), { mode: 0o700 });
    await engine.createVolume(`${NAME}_mastodon_system`, NAME, 'mastodon_system', bindOptions(disk));
    expect(await found(siteOf('mastodon'))).toEqual([
      expect.stringMatching(/^blocker: .* do not belong to 991:991: 3 \(\., accounts/),
      expect.stringMatching(
        /^warning: Files in test-uploads_mastodon_system are not readable for everyone: 3 \(\., accounts, accounts\/a/,
      ),
    ]);
    expect(await fix(siteOf('mastodon'))).toEqual([expect.stringMatching(/^owner set to 991:991: 3 /)]);
    const of = (path: string): string => {
      const { uid, gid, mode } = statSync(join(disk, path));
      return `${uid}:${gid} ${(mode & 0o777).toString(8)}`;
    };
    expect(['.', 'accounts', 'accounts/a.png', 'lost+found'].map(of)).toEqual(['991:991 755', '991:991 755', '991:991 644', '0:0 700']); // prettier-ignore
    expect(await found(siteOf('mastodon'))).toEqual([]);
  });

  test('names files of other users in a data directory, and changes neither owner nor mode', async () => {
    mkdirSync(join(disk, 'private'), { mode: 0o700 });
    writeFileSync(join(disk, 'private/key'), 'k', { mode: 0o600 });
    for (const path of ['private', 'private/key']) chownSync(join(disk, path), 1000, 1000);
    writeFileSync(join(disk, 'accounts/b.png'), 'b', { mode: 0o600 });
    const others = `blocker: Files in ${disk} belong to other users (1000), not to Mastodon: 2 (private, private/key).`;
    expect(await found(siteOf('mastodon'))).toEqual([
      expect.stringMatching(/^blocker: .* do not belong to 991:991: 1 \(accounts\/b/),
      expect.stringMatching(/^warning: .* are not readable for everyone: 1 \(accounts\/b/),
      others,
    ]);
    const all = (await runCheck('uploads', siteOf('mastodon')))?.found ?? [];
    expect(all.at(-1)).toMatchObject({
      next: `If they are Mastodon’s: \`sudo chown -hR --from=1000 991:991 ${disk}\`; otherwise move them elsewhere.`,
    });
    expect(all.at(-1)?.fix).toBeUndefined();
    expect(await all[0]?.fix?.()).toMatch(/^owner set to 991:991: 1 .*; made readable: 1 /);
    const of = (path: string): unknown[] => {
      const { uid, mode } = statSync(join(disk, path));
      return [uid, (mode & 0o777).toString(8)];
    };
    expect(['private', 'private/key', 'accounts/b.png'].map(of)).toEqual([
      [1000, '700'],
      [1000, '600'],
      [991, '644'],
    ]);
    expect(await found(siteOf('mastodon'))).toEqual([others]);
  });

  test('reports a volume that cannot be changed', async () => {
    inVolume(STORAGE, 'echo x >app/public/m/x.png; chown 0:0 app/public/m/x.png');
    const context = pixelfed();
    const looked = await runCheck('uploads', {
      ...context,
      engine: {
        ...engine,
        // As on a disk that is mounted read-only.
        run: (shot) =>
          engine.run({ ...shot, mounts: (shot.mounts ?? []).map((one) => `${one.replace(/:ro$/, '')}:ro`) }),
      },
    });
    await expect(looked?.found[0]?.fix?.()).rejects.toMatchObject({
      message: `The volume ${STORAGE} could not be fixed.`,
      log: expect.stringContaining('Read-only file system'),
    });
  });
});
