/** snac from an empty directory to the receipt, and all kinds of later runs, on the real engine. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { expectPolicy, exploit } from '../support/policy.ts';
import { connect } from '../../wizard/docker/docker.ts';
import { docker, testSite, tool } from '../support/site.ts';

const site = testSite('snac', 11);
afterAll(() => site.remove());

describe.sequential('a site with snac', () => {
  test('the first run ends with a receipt', async () => {
    const run = await site.apply();
    expect(run.stderr).toBe('');
    expect(run.code).toBe(0);
    const proofs = run.events.filter(({ event }) => event === 'proof');
    expect(proofs.map(({ id }) => id)).toEqual([
      'https',
      'webfinger',
      'nodeinfo',
      'actor',
      'login',
      'upload',
      'post',
      'tidy',
    ]);
    expect(proofs.every(({ ok }) => ok === true)).toBe(true);
    expect(run.events.find(({ event }) => event === 'admin')).toMatchObject({
      user: 'anna',
      url: `https://${site.domain}`,
    });
  });

  test('its containers follow the policy', () => expectPolicy(site));

  test('the exploit that the policy prevents works without the policy', () =>
    expect(
      exploit(
        'run',
        '--rm',
        '--pull=never',
        '--cap-add=DAC_READ_SEARCH',
        site.env['FEDI_IMAGES_CADDY'] ?? '',
      ),
    ).toBe('opened'));

  test('the second run does nothing', async () => {
    const before = site.containers();
    const run = await site.apply();
    expect(run.code).toBe(0);
    expect(run.events.map(({ event }) => event)).toEqual(['begin', 'unchanged', 'end']);
    expect(site.containers()).toEqual(before);
  });

  test('stop, start, restart and logs pass services to Compose', async () => {
    const of = (...words: string[]) => tool([...words, '--dir', site.folder], { env: site.env });
    const running = (): string[] =>
      docker('ps', '--filter', `label=com.docker.compose.project=${site.name}`, '--format', '{{.Names}}')
        .split('\n')
        .toSorted();
    const all = running();
    const before = site.containers();
    expect((await of('stop', 'snac')).code).toBe(0);
    expect(running()).toEqual(all.filter((name) => name !== `${site.name}-snac-1`));
    expect((await of('start')).code).toBe(0);
    expect((await of('restart', 'caddy')).code).toBe(0);
    expect([running(), site.containers()]).toEqual([all, before]);
    const logs = await of('logs', 'caddy', '--tail', '1');
    expect([logs.code, logs.stdout]).toEqual([0, expect.stringMatching(/caddy-1 +\| \{/)]);
    const wrong = await of('logs', 'snak');
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('Did you mean snac?')]);
  });

  test('a plan shows changes of the administrator’s own files', async () => {
    const override = join(site.folder, 'compose.override.yaml');
    const plan = () => tool(['plan', '--check', '--dir', site.folder], { env: site.env });
    expect((await plan()).code).toBe(0);
    writeFileSync(override, 'services: { snac: { read_only: false } }\n');
    const changed = await plan();
    rmSync(override);
    expect([changed.code, changed.stdout]).toEqual([
      1,
      expect.stringMatching(/^Your files  compose\.override\.yaml/m),
    ]);
    expect((await plan()).code).toBe(0);
  });

  test('`docker compose` works without fedi-setup', async () => {
    execFileSync('docker', ['compose', 'down'], { cwd: site.folder, stdio: 'ignore' });
    expect(site.containers()).toEqual({});
    execFileSync('docker', ['compose', 'up', '--detach', '--wait'], { cwd: site.folder, stdio: 'ignore' });
    const run = await tool(['prove', '--dir', site.folder, '--json'], { env: site.env });
    expect(run.code).toBe(0);
  });

  test('its own tool gets arguments and standard input, and its exit code is returned', async () => {
    const good = await tool(['--dir', site.folder, 'snac', 'adduser', 'berta'], { env: site.env });
    expect(good.code).toBe(0);
    expect(good.stdout).toMatch(/User password is \S+/);
    const bad = await tool(['--dir', site.folder, 'snac', 'adduser', 'not valid'], { env: site.env });
    expect(bad.code).toBe(1);
    expect(`${bad.stdout}${bad.stderr}`).toMatch(/only alphanumeric/);
  });

  test('accounts: list, add, set a password; refuses what snac does not support', async () => {
    const user = (words: readonly string[], stdin = '') =>
      tool(['user', ...words, '--dir', site.folder, '--json'], { env: site.env, stdin });
    const opens = (name: string, password: unknown): boolean => {
      const file = docker('exec', site.containers()['snac'] ?? 'none', 'cat', `/data/user/${name}/user.json`);
      const [nonce = '', hash] = (JSON.parse(file) as { passwd: string }).passwd.split(':');
      return (
        hash ===
        createHash('sha1')
          .update(`${nonce}:${name}:${String(password)}`)
          .digest('hex')
      );
    };
    const shown = (run: Awaited<ReturnType<typeof user>>): unknown =>
      run.events.find(({ event }) => event === 'password')?.['password'];

    const added = await user(['add', 'carla', '--email', 'carla@fedi.test']);
    expect([added.code, added.stderr]).toEqual([0, '']);
    expect(opens('carla', shown(added))).toBe(true);
    const twice = await user(['add', 'Carla']);
    expect([twice.code, twice.stderr]).toEqual([2, expect.stringContaining('has an account carla already')]);

    const chosen = await user(['password', 'carla', '--password-file', '-'], 'it\'s "my" $own\n');
    expect([chosen.code, chosen.stderr, shown(chosen)]).toEqual([0, '', undefined]);
    expect(opens('carla', 'it\'s "my" $own')).toBe(true);
    const another = await user(['password', 'snac', 'carla']);
    expect(opens('carla', shown(another))).toBe(true);

    const listed = await user(['list']);
    expect(listed.events.map(({ name, email, role, state }) => [name, email, role, state])).toEqual([
      ['anna', 'anna@fedi.test', 'user', 'active'],
      ['berta', undefined, 'user', 'active'],
      ['carla', 'carla@fedi.test', 'user', 'active'],
    ]);
    for (const words of [
      ['disable', 'carla'],
      ['role', 'carla', 'admin'],
    ]) {
      const refused = await user(words);
      expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('Nothing was changed.')]);
    }

    // The next receipt uses the owner's new password.
    const owner = await user(['password', 'anna']);
    expect(opens('anna', shown(owner))).toBe(true);
    const proven = await tool(['prove', '--dir', site.folder, '--json'], { env: site.env });
    expect(proven.code).toBe(0);
  });

  test('a changed answer recreates only what depends on it', async () => {
    const before = site.containers();
    const run = await site.apply([], { env: { ...site.env, FEDI_MAIL_MODE: 'catcher' } });
    expect(run.code).toBe(0);
    const after = site.containers();
    expect(after['caddy']).toBe(before['caddy']);
    expect(after['snac']).not.toBe(before['snac']);
    expect(after['mail']).toBeDefined();
    // The password was shown by the first run and is not shown again.
    expect(run.events.some(({ event }) => event === 'admin')).toBe(false);
  });

  test('refuses another domain for the same data', async () => {
    const before = site.containers();
    const yaml = site.read('fedi.yaml');
    const run = await site.apply([], { env: { ...site.env, FEDI_SNAC_DOMAIN: 'other.fedi.test' } });
    expect(run.code).toBe(3);
    expect(run.stderr).toContain(`This site uses ${site.domain}; the answers now say other.fedi.test`);
    expect(site.read('fedi.yaml')).toBe(yaml);
    expect(site.containers()).toEqual(before);
  });

  test('uninstall asks for the name and keeps the data; apply restores the site', async () => {
    const refused = await tool(['uninstall', '--dir', site.folder], { env: site.env });
    expect(refused.code).toBe(3);
    // Compose could not read the site.
    rmSync(join(site.folder, 'env/snac.env'));
    const run = await tool(['uninstall', '--dir', site.folder, '--confirm', site.name], { env: site.env });
    expect([run.code, site.containers()]).toEqual([0, {}]);
    expect(docker('volume', 'ls', '--quiet', '--filter', `name=${site.name}_snac_data`)).toBe(
      `${site.name}_snac_data`,
    );
    const back = await site.apply();
    expect(back.code).toBe(0);
    expect(back.events.find(({ event, id }) => event === 'proof' && id === 'login')).toMatchObject({
      ok: true,
    });
  });

  test('a command in a container has a deadline, and a limit for its output', async () => {
    const engine = await connect();
    const id = site.containers()['snac'] ?? '';
    await expect(engine.exec(id, { argv: ['sleep', '600'] }, { timeoutMs: 300 })).rejects.toThrow(
      '`sleep 600` did not end within 0.3 seconds.',
    );
    const { code, stdout } = await engine.exec(id, {
      argv: ['sh', '-c', 'echo first; head -c 40000000 /dev/zero; echo last; exit 3'],
    });
    expect([code, stdout.slice(0, 6), stdout.slice(-5)]).toEqual([3, 'first\n', 'last\n']);
    expect(stdout.length).toBeLessThan(17 * 1024 ** 2);
    await expect(
      engine.exec(id, { argv: ['sleep', '600'] }, { signal: AbortSignal.timeout(300) }),
    ).rejects.toThrow(/timeout/);
  });

  test.each([
    ['a time limit', () => ({ timeoutMs: 2000 }), /did not end within 2 seconds/],
    ['a signal', () => ({ signal: AbortSignal.timeout(2000) }), /timeout/],
  ])('a one-shot container is removed after %s', async (_, call, words) => {
    const engine = await connect();
    const [image = ''] = docker(
      'inspect',
      '--format',
      '{{.Config.Image}}',
      site.containers()['snac'] ?? '',
    ).split('\n');
    // Other tests run one-shot containers at the same time.
    const seconds = String(600 + process.pid);
    const name = `test-one-shot-${seconds}`;
    // It ignores SIGTERM, as process 1 does.
    const ended = engine.run({ name, image, argv: ['sleep', seconds] }, call());
    ended.catch(() => undefined);
    const volume = await vi.waitFor(
      () => docker('inspect', '--format', '{{range .Mounts}}{{.Name}}{{end}}', name),
      { timeout: 2000, interval: 50 },
    );
    await expect(ended).rejects.toThrow(words);
    const commands = docker('ps', '--all', '--no-trunc', '--format', '{{.Command}}');
    expect(commands).not.toContain(`sleep ${seconds}`);
    // The image declares one.
    expect(volume).toMatch(/^[0-9a-f]{64}$/);
    expect(docker('volume', 'ls', '--quiet')).not.toContain(volume);
  });

  test('an edited file that a change needs in a new version is not kept; replace also replaces a kept one', async () => {
    const text = site.read('compose.yaml');
    const edit = (): void => appendFileSync(join(site.folder, 'compose.yaml'), '# mine\n');
    const env = { ...site.env, FEDI_MAIL_MODE: 'catcher' };
    edit();
    const half = await site.apply(['--edited', 'keep'], { env });
    expect([half.code, half.stderr]).toEqual([
      3,
      expect.stringContaining('needs new versions of files that you edited'),
    ]);
    expect(half.stderr).toContain('compose.yaml');
    expect(site.read('fedi.yaml')).not.toContain('catcher');
    expect((await site.apply(['--edited', 'keep'])).code).toBe(0);
    expect(site.read('compose.yaml')).toBe(`${text}# mine\n`);
    expect((await site.apply(['--edited', 'replace'])).code).toBe(0);
    expect(site.read('compose.yaml')).toBe(text);
  });

  test('uninstall --data leaves nothing, even without the Compose file', async () => {
    rmSync(join(site.folder, 'compose.yaml'));
    const run = await tool(['uninstall', '--dir', site.folder, '--confirm', site.name, '--data'], {
      env: site.env,
    });
    expect(run.code).toBe(0);
    expect(
      docker('volume', 'ls', '--quiet', '--filter', `label=com.docker.compose.project=${site.name}`),
    ).toBe('');
    expect(() => site.read('secrets.json')).toThrow();
  });
});
