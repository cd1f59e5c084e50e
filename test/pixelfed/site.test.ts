/** Pixelfed from an empty directory to the receipt, and all kinds of later runs, on the real engine. */
import { execFileSync } from 'node:child_process';
import { afterAll, describe, expect, test } from 'vitest';
import { client, multipartFile } from '../../wizard/prove/http.ts';
import { isOfficial, pixelfedAnswers } from '../support/pixelfed-images.ts';
import { accountsIn, pixelfedLogsIn } from '../support/pixelfed-site.ts';
import { expectPolicy } from '../support/policy.ts';
import { composeUp, docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const site = testSite('pixelfed', 90);
const env = { ...site.env, ...pixelfedAnswers(site.domain), FEDI_MAIL_MODE: 'catcher' };
afterAll(() => site.remove());

const apply = (more: NodeJS.ProcessEnv = {}): Promise<Run> => site.apply([], { env: { ...env, ...more } });
const proofs = (run: Run): unknown[] =>
  run.events
    .filter(({ event }) => event === 'proof')
    .map(({ id, ok, seen }) => (ok === true ? id : [id, seen]));
const changed = (before: Record<string, string>): string[] =>
  Object.entries(site.containers())
    .filter(([name, id]) => before[name] !== id)
    .map(([name]) => name)
    .toSorted();
const sql = (query: string): string =>
  docker(
    'exec',
    site.containers()['pixelfed_db'] ?? 'none',
    'sh',
    '-c',
    'MYSQL_PWD="$MARIADB_PASSWORD" exec mariadb -h 127.0.0.1 -u "$MARIADB_USER" -NBe "$0" "$MARIADB_DATABASE"',
    query,
  );
const http = () => client(site.bind, site.read('trust/root.crt'));
const ALL_PROOFS = [
  'https',
  'webfinger',
  'nodeinfo',
  'actor',
  'neighbours',
  'server-actor',
  'instance',
  'pictures',
  'horizon',
  'login',
  'upload',
  'post',
  'tidy',
  'scheduler',
];

describe.sequential('a site with Pixelfed', () => {
  test('the first run ends with a receipt', async () => {
    const run = await apply();
    expect(run.stderr).toBe('');
    expect(proofs(run).toSorted()).toEqual([...ALL_PROOFS, 'mail'].toSorted());
    expect(run.code).toBe(0);
    expect(run.events.find(({ event }) => event === 'admin')).toMatchObject({
      user: 'anna',
      url: `https://${site.domain}`,
    });
    const mail = await tool(['mail', '--dir', site.folder, '--json'], { env });
    expect(mail.events.find(({ event }) => event === 'mail')).toMatchObject({ to: 'anna@fedi.test' });
  });

  test('its containers follow the policy', () => expectPolicy({ ...site, env }));

  test('the steps of the first run were done once and correctly', () => {
    expect(sql('select is_admin, email_verified_at is not null, username from users')).toBe('1\t1\tanna');
    expect(sql('select count(*) from instance_actors')).toBe('1');
    expect(sql('select count(*) from oauth_clients where personal_access_client')).toBe('1');
    // No id of an app may ever be the id of a user.
    expect(Number(sql('select min(id) from oauth_clients'))).toBeGreaterThanOrEqual(1_000_000_000);
    expect(Number(sql('select count(*) from places'))).toBeGreaterThan(1000);
    expect(sql('select @@collation_database')).toBe('utf8mb4_unicode_ci');
  });

  test('no container has a secret in its command line', () => {
    const secrets = Object.entries(
      (JSON.parse(site.read('secrets.json')) as { secrets: Record<string, { value: string }> }).secrets,
    ).filter(([name]) => name.startsWith('pixelfed.'));
    expect(secrets.length).toBeGreaterThan(6);
    const shown = Object.values(site.containers())
      .map((id) =>
        docker('inspect', '--format', '{{json .Args}} {{json .Config.Cmd}} {{.State.Running}}', id),
      )
      .join('\n');
    const running = docker('ps', '--quiet', '--filter', `label=com.docker.compose.project=${site.name}`);
    const processes = running
      .split('\n')
      .map((id) => docker('top', id, '-eo', 'pid,args'))
      .join('\n');
    for (const [, { value }] of secrets) expect(`${shown}\n${processes}`).not.toContain(value.slice(0, 40));
  });

  // Horizon starts the workers: the stand-in has none.
  test.runIf(isOfficial)('Horizon has the workers of its size, for any number of queues', () => {
    const processes = docker('top', `${site.name}-pixelfed_horizon-1`, '-eo', 'pid,args').split('\n');
    const workers = processes.filter((line) => line.includes('horizon:work')).length;
    expect(workers).toBeGreaterThan(0);
    expect(workers).toBeLessThanOrEqual(8);
  });

  test('the second run does nothing', async () => {
    const before = site.containers();
    const run = await apply();
    expect(run.events.map(({ event }) => event)).toEqual(['begin', 'unchanged', 'end']);
    expect(site.containers()).toEqual(before);
  });

  test('uploads are served from the volume; no file there is executed or listed', async () => {
    const ask = http();
    const put = (path: string, text: string): string =>
      docker(
        'exec',
        site.containers()['pixelfed_web'] ?? 'none',
        'sh',
        '-c',
        'mkdir -p "$(dirname "$0")" && printf %s "$1" >"$0"',
        `/var/www/html/storage/app/public/${path}`,
        text,
      );
    put('m/shown.png', 'a picture');
    put('m/run.php', '<?php echo 6 * 7;');
    put('m/run.PHP', '<?php echo 6 * 7;');
    put('m/.hidden', 'hidden');
    // An intruder in the app can create links; their targets are resolved in Caddy's or in the app's container.
    const links = ['/etc/caddy/sites', '/data/caddy', '../../../../data/caddy'];
    for (const [i, to] of links.entries())
      docker('exec', site.containers()['pixelfed_web'] ?? 'none', 'ln', '-sfn', to, `/var/www/html/storage/app/public/m/link${i}`); // prettier-ignore
    const shown = await ask(`https://${site.domain}/storage/m/shown.png`);
    expect([shown.status, shown.text()]).toEqual([200, 'a picture']);
    expect(shown.headers['x-content-type-options']).toBe('nosniff');
    expect(shown.headers['content-security-policy']).toContain("default-src 'none'");
    expect(shown.headers['cache-control']).toContain('immutable');
    const part = await ask(`https://${site.domain}/storage/m/shown.png`, { headers: { range: 'bytes=2-4' } });
    expect([part.status, part.text()]).toEqual([206, 'pic']);
    expect((await ask(`https://${site.domain}/storage/m/none.png`)).headers['cache-control']).toBeUndefined();
    for (const path of [
      'storage/m/link0/pixelfed.caddy',
      'storage/m/link1/instance.uuid',
      'storage/m/link2/instance.uuid',
      'storage/m/run.php',
      'storage/m/run.PHP',
      'storage/m/run.php/x',
      'storage/m/.hidden',
      'storage/m/',
      'storage/m/none.png',
      'storage/../oauth-private.key',
      'storage/%2e%2e/%2e%2e/logs/',
      'index.php',
    ])
      expect([path, (await ask(`https://${site.domain}/${path}`)).status]).toEqual([path, 404]);
  });

  test('doctor finds files of root and missing files, changes nothing, and repairs them with --fix', async () => {
    const doctor = (...argv: string[]): Promise<Run> =>
      tool(['doctor', '--dir', site.folder, '--json', '--skip-check', 'ports,dns', ...argv], { env });
    const uploads = (run: Run): unknown[] =>
      run.events.filter(({ event, id }) => event === 'finding' && id === 'uploads').map(({ level }) => level);
    // As root of the host: in our containers not even root may write the app’s files.
    const asRoot = (script: string): string =>
      docker('run', '--rm', '--user', '0:0', '--network', 'none', '--volume', `${site.name}_pixelfed_storage:/v`, '--workdir', '/v', '--entrypoint', 'sh', 'fedi-setup/debian:trixie', '-ec', script); // prettier-ignore
    const avatar = async (): Promise<number> =>
      (await http()(`https://${site.domain}/storage/avatars/default.jpg`)).status;
    expect(uploads(await doctor())).toEqual([]);

    asRoot(
      'rm app/public/avatars/default.jpg; mkdir -m 700 app/public/m/by-root; touch framework/views/by-root',
    );
    docker('exec', site.containers()['pixelfed_web'] ?? 'none', 'sh', '-c', 'printf x >storage/app/public/m/closed.png; chmod 600 storage/app/public/m/closed.png'); // prettier-ignore
    expect(await avatar()).toBe(404);
    // Our Caddy can read files that no other user can.
    expect((await http()(`https://${site.domain}/storage/m/closed.png`)).status).toBe(200);
    const before = await doctor();
    expect([before.code, uploads(before)]).toEqual([1, ['blocker', 'warning', 'warning']]);
    expect(before.stderr).toContain('fedi-setup doctor --fix');
    expect(await avatar()).toBe(404);

    const run = await doctor('--fix');
    expect([run.code, run.stderr]).toEqual([0, '']);
    const note = String(run.events.findLast(({ id }) => id === 'fix.uploads')?.['note']);
    expect(note).toMatch(/owner set to 33:33: 2 .*made readable: 2 .*restored: 1 \(avatars\/default\.jpg\)/);
    expect(await avatar()).toBe(200);
    expect(uploads(await doctor())).toEqual([]);
    asRoot('rmdir app/public/m/by-root; rm framework/views/by-root app/public/m/closed.png');
  });

  test('`docker compose` works without fedi-setup, and stops within a minute', async () => {
    execFileSync('docker', ['compose', 'down', '--timeout', '20'], { cwd: site.folder, stdio: 'ignore' });
    expect(site.containers()).toEqual({});
    await composeUp(site);
    const run = await tool(['prove', '--dir', site.folder, '--json'], { env });
    expect(proofs(run).toSorted()).toEqual(ALL_PROOFS.toSorted());
    expect(run.code).toBe(0);
  });

  test('artisan gets arguments and user, and its exit code is returned', async () => {
    const artisan = (...words: string[]): Promise<Run> =>
      tool(['--dir', site.folder, 'artisan', ...words], { env });
    const status = await artisan('migrate:status', '--pending');
    expect([status.code, status.stdout]).toEqual([0, expect.stringContaining('No pending migrations')]);
    expect((await artisan('no:such-command')).code).toBe(1);
    // The keys are in the environment; this creates a file whose owner shows the user.
    expect((await artisan('passport:keys')).code).toBe(0);
    const owner = docker(
      'exec',
      site.containers()['pixelfed_web'] ?? 'none',
      'stat',
      '-c',
      '%u:%g %a',
      '/var/www/html/storage/oauth-private.key',
    );
    expect(owner).toBe('33:33 600');
    expect((await artisan('passport:keys')).code).toBe(1);
  });

  test('accounts: add, set a password, change a role, disable, enable, list', async () => {
    const user = (words: readonly string[], stdin = ''): Promise<Run> =>
      tool(['user', ...words, '--dir', site.folder, '--json'], { env, stdin });
    const shown = (run: Run): string =>
      String(run.events.find(({ event }) => event === 'password')?.['password']);
    const EMAIL = 'berta@fedi.test';
    const logsIn = (password: string): Promise<boolean> => pixelfedLogsIn(site, password, EMAIL);

    const added = await user(['add', 'berta', '--email', EMAIL]);
    expect([added.code, added.stderr]).toEqual([0, '']);
    expect(await logsIn(shown(added))).toBe(true);
    for (const [words, message] of [
      [['add', 'Berta', '--email', 'other@fedi.test'], 'has an account berta already'],
      [['add', 'carla', '--email', EMAIL], 'the name or the e-mail address is in use'],
      [['add', 'support', '--email', 'support@fedi.test'], 'Pixelfed reserves support'],
      [['role', 'berta', 'moderator'], 'no moderators'],
    ] as const) {
      const refused = await user(words);
      expect(refused.stderr).toContain(message);
      expect(refused.code).toBeGreaterThan(0);
    }
    expect(accountsIn(site)).toEqual(['anna', 'berta']);

    expect((await user(['password', 'berta', '--password-file', '-'], 'it\'s "my" $own\n')).code).toBe(0);
    expect(await logsIn('it\'s "my" $own')).toBe(true);
    expect(await logsIn(shown(await user(['password', 'pixelfed', 'berta'])))).toBe(true);

    const after = async (...words: string[]): Promise<unknown> => {
      const run = await user(words);
      expect([run.code, run.stderr]).toEqual([0, '']);
      const found = run.events.findLast(({ event, name }) => event === 'user' && name === 'berta');
      return [found?.['role'], found?.['state']];
    };
    expect(await after('role', 'berta', 'admin')).toEqual(['admin', 'active']);
    // The command of Pixelfed toggles.
    expect(await after('role', 'berta', 'admin')).toEqual(['admin', 'active']);
    expect(await after('role', 'berta', 'user')).toEqual(['user', 'active']);
    expect(await after('disable', 'berta')).toEqual(['user', 'disabled']);
    expect(sql("select status from profiles where username = 'berta'")).toBe('suspended');
    expect(await after('list')).toEqual(['user', 'disabled']);
    expect(await after('enable', 'berta')).toEqual(['user', 'active']);

    const owner = await user(['disable', 'anna']);
    expect([owner.code, owner.stderr]).toEqual([3, expect.stringContaining('anna owns this server')]);
    expect(await pixelfedLogsIn(site, shown(await user(['password', 'anna'])))).toBe(true);
    const proven = await tool(['prove', '--dir', site.folder, '--json'], { env });
    expect(proven.code).toBe(0);
  });

  test('a changed answer recreates only what depends on it', async () => {
    const before = site.containers();
    const run = await apply({ FEDI_PIXELFED_PHOTO_SIZE: '2', FEDI_PIXELFED_PHOTOS: '1' });
    expect(run.code).toBe(0);
    expect(changed(before)).toEqual(['pixelfed_horizon', 'pixelfed_scheduler', 'pixelfed_web']);
    expect(run.events.some(({ event }) => event === 'admin')).toBe(false);
    // Caddy 4 MiB, PHP 3 MiB, the app 2 MiB.
    const send = async (mib: number): Promise<number> => {
      const { headers, body } = multipartFile('file', 'x.png', 'image/png', Buffer.alloc(mib * 1024 ** 2));
      return http()(`https://${site.domain}/api/v2/media`, { method: 'POST', headers, body }).then(
        ({ status }) => status,
        (error: unknown) => {
          // Caddy refuses by the announced length, and with HTTP/1.1 closes the connection while the body is still being sent.
          if (/EPIPE|ECONNRESET|socket hang up/.test(String(error))) return 413;
          throw error;
        },
      );
    };
    expect(await send(5)).toBe(413);
    expect(await send(1)).not.toBe(413);
    const instance = await http()(`https://${site.domain}/api/v1/instance`);
    expect(instance.json<{ registrations: boolean }>().registrations).toBe(false);
    expect((await apply()).code).toBe(0);
  });

  test('the receipt reports a missing scheduler and a missing Horizon', async () => {
    // Both report earlier activity, which proves nothing.
    docker('stop', `${site.name}-pixelfed_horizon-1`, `${site.name}-pixelfed_scheduler-1`);
    const run = await tool(['prove', '--dir', site.folder, '--json'], { env });
    expect(run.code).toBe(5);
    const open = run.events.filter(({ event, ok }) => event === 'proof' && ok === false).map(({ id }) => id);
    expect(open).toContain('horizon');
    expect(open).toContain('upload');
    expect(open).toContain('scheduler');
    expect((await apply()).code).toBe(0);
  });

  test('refuses another domain for the same data', async () => {
    const before = site.containers();
    const run = await apply({ FEDI_PIXELFED_DOMAIN: 'other.fedi.test' });
    expect(run.code).toBe(3);
    expect(run.stderr).toContain(`This site uses ${site.domain}; the answers now say other.fedi.test`);
    expect(site.containers()).toEqual(before);
  });
});
