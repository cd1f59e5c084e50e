/** Mastodon from an empty directory to the receipt, all kinds of later runs, and its own tool, on the real engine. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, inject, test } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import { leftovers, secretsOf, snapshot } from '../support/faults.ts';
import { accountsIn, mastodonLogsIn, mastodonSite, openProofs, sqlIn } from '../support/mastodon-site.ts';
import { expectPolicy } from '../support/policy.ts';
import { docker, environment, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

/** A start of the real Rails takes a minute on a small machine, and some changes start it twice. */
const PATIENCE_MS = 30 * 60_000;

const site = mastodonSite('mastodon', 71);
afterAll(() => site.remove());

/** As an administrator runs it on an existing site: with the directory only. */
const again = (...words: string[]): Promise<Run> =>
  tool(['apply', '--dir', site.folder, '--json', ...words], { env: environment() });
const prove = (): Promise<Run> => tool(['prove', '--dir', site.folder, '--json'], { env: environment() });
const inSite = (path: string): string => join(site.folder, path);
const compose = (...argv: string[]): void =>
  void execFileSync('docker', ['compose', ...argv], { cwd: site.folder, stdio: 'ignore' });

function expectProven(run: Run): void {
  expect(run.stderr).toBe('');
  expect(openProofs(run)).toEqual([]);
  expect(run.code).toBe(0);
}
const expectUnchanged = (run: Run): void =>
  expect([run.stderr, run.events.map(({ event }) => event)]).toEqual(['', ['begin', 'unchanged', 'end']]);

/** Expects a refusal that says what to do, and unchanged files and containers. */
async function expectRefused(run: () => Promise<Run>, code: number, ...words: RegExp[]): Promise<void> {
  const before = [snapshot(site.folder), site.containers()];
  const { code: found, stderr } = await run();
  for (const word of [...words, /Next: /]) expect(stderr).toMatch(word);
  expect(stderr).not.toMatch(/Internal error in fedi-setup|\n {4}at /);
  expect(found).toBe(code);
  expect([snapshot(site.folder), site.containers()]).toEqual(before);
}

async function withFile(path: string, text: string | undefined, work: () => Promise<void>): Promise<void> {
  const [before, mode] = [readFileSync(inSite(path)), statSync(inSite(path)).mode];
  if (text === undefined) rmSync(inSite(path));
  else writeFileSync(inSite(path), text);
  try {
    await work();
  } finally {
    writeFileSync(inSite(path), before);
    chmodSync(inSite(path), mode);
  }
}

describe.sequential('a site with Mastodon', { timeout: PATIENCE_MS }, () => {
  let password = '';

  test('the first run ends with a receipt, and shows the password once', async () => {
    const run = await site.apply();
    expectProven(run);
    expect(run.events.at(-1)).toMatchObject({ event: 'end', proven: true });
    const proofs = run.events.filter(({ event }) => event === 'proof');
    expect(proofs.map(({ id }) => id)).toEqual([
      'https',
      'webfinger',
      'nodeinfo',
      'actor',
      'instance',
      'login',
      'upload',
      'streaming',
      'tidy',
    ]);
    // Before any other log-in: the receipt must have left nothing.
    for (const what of [
      'statuses where deleted_at is null',
      'session_activations',
      'oauth_access_tokens where revoked_at is null',
    ])
      expect([what, sqlIn(site, `select count(*) from ${what}`)]).toEqual([what, '0']);
    const admin = run.events.find(({ event }) => event === 'admin');
    expect(admin).toMatchObject({ user: 'anna', url: `https://${site.domain}` });
    password = String(admin?.['password']);
    expect(password).toMatch(/^[0-9a-f]{32}$/);
    expect(await mastodonLogsIn(site, password)).toBe(true);
    expect(await mastodonLogsIn(site, 'another one')).toBe(false);
    // This is the only secret that is printed.
    const printed = `${run.stdout}${run.stderr}`;
    for (const [name, { value }] of Object.entries(secretsOf(site.folder)))
      if (name !== 'mastodon.admin') expect([name, printed.includes(value)]).toEqual([name, false]);
    expect(leftovers(site.folder)).toEqual([]);
  });

  test('its containers follow the policy', () => expectPolicy(site));

  test('the owner has the role, confirmed and approved; the settings are saved', () => {
    expect(accountsIn(site)).toEqual(['anna']);
    expect(
      sqlIn(
        site,
        'select r.name, u.approved, u.confirmed_at is not null from users u join user_roles r on r.id = u.role_id',
      ),
    ).toBe('Owner|t|t');
    expect(
      sqlIn(
        site,
        "select count(*) from settings where var = 'media_cache_retention_period' and value ~ '14'",
      ),
    ).toBe('1');
  });

  test('the second run does nothing', async () => {
    const before = [snapshot(site.folder), site.containers()];
    expectUnchanged(await site.apply());
    expectUnchanged(await again());
    expect([snapshot(site.folder), site.containers()]).toEqual(before);
    const plan = await tool(['plan', '--check', '--dir', site.folder], { env: environment() });
    expect([plan.code, plan.stdout]).toEqual([0, 'Nothing to change.\n']);
  });

  test('no process has a password in its arguments, and only Caddy listens on this host', () => {
    const secrets = Object.values(secretsOf(site.folder)).map(({ value }) => value);
    for (const [service, id] of Object.entries(site.containers())) {
      const [running = '', ports = ''] = docker(
        'inspect',
        '--format',
        '{{.State.Running}};{{json .HostConfig.PortBindings}}',
        id,
      ).split(';');
      expect([service, ports.includes('HostPort')]).toEqual([service, service === 'caddy']);
      if (running !== 'true') continue;
      const top = docker('top', id, '-eo', 'pid,args');
      for (const value of secrets) expect([service, top.includes(value)]).toEqual([service, false]);
    }
  });

  test('database and Valkey reach no network, and require a password', () => {
    const network = docker('network', 'inspect', '--format', '{{.Internal}}', `${site.name}_mastodon_data`);
    expect(network).toBe('true');
    const networks = (service: string): string =>
      docker(
        'inspect',
        '--format',
        '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}',
        site.containers()[service] ?? '',
      );
    for (const service of ['mastodon_db', 'mastodon_valkey'])
      expect(networks(service).trim()).toBe(`${site.name}_mastodon_data`);
    const from = (service: string, script: string): string =>
      docker('exec', site.containers()[service] ?? '', 'sh', '-c', `${script} 2>&1 || true`);
    expect(from('mastodon_valkey', 'valkey-cli ping')).toContain('NOAUTH');
    expect(
      from(
        'mastodon_db',
        'PGPASSWORD=wrong psql -h $(hostname -i | cut -d " " -f 1) -U mastodon -d mastodon -c "select 1"',
      ),
    ).toContain('password authentication failed');
  });

  test('internal paths are not reachable from outside', async () => {
    const http = client(site.bind, site.read('trust/root.crt'));
    for (const path of ['/health', '/metrics', '/api/v1/streaming/health', '/system/', '/packs/'])
      expect([path, (await http(`https://${site.domain}${path}`)).status]).toEqual([path, 404]);
  });

  test('every process ends on SIGTERM, before Docker kills it', () => {
    compose('stop');
    for (const [service, id] of Object.entries(site.containers()))
      expect([service, docker('inspect', '--format', '{{.State.ExitCode}}', id)]).not.toEqual([
        service,
        '137',
      ]);
  });

  test('`docker compose` works without fedi-setup', async () => {
    compose('down');
    expect(site.containers()).toEqual({});
    compose('up', '--detach', '--wait', '--quiet-pull');
    expectProven(await prove());
    // The owner's password is unchanged.
    expect(await mastodonLogsIn(site, password)).toBe(true);
    expectUnchanged(await again());
  });
});

describe.sequential('fedi-setup tootctl …', { timeout: PATIENCE_MS }, () => {
  const tootctl = (words: readonly string[], stdin = ''): Promise<Run> =>
    tool(['--dir', site.folder, 'tootctl', ...words], { env: environment(), stdin });

  test('its output can be piped, and nothing else is printed', async () => {
    const { code, stdout, stderr } = await tootctl(['version']);
    expect([code, stdout.trim(), stderr]).toEqual([0, expect.stringMatching(/^4\.\d+\.\d+\S*$/), '']);
  });

  test('its exit code and standard error are passed on', async () => {
    const { code, stdout, stderr } = await tootctl(['accounts', 'modify', 'nobody', '--reset-password']);
    expect([code, stdout, stderr.trim()]).toEqual([1, '', 'No user with such username']);
  });

  const ODD = `it's "two" words, $HOME \`id\` $(id) \\ * ; & | < > é #`;
  test('quotes, spaces and dollars arrive unchanged', async () => {
    const { code, stderr } = await tootctl([ODD]);
    expect(code).toBe(1);
    // Thor prints the unknown word in Ruby's syntax.
    const [, quoted = ''] = /Could not find command (".*")\./.exec(stderr) ?? [];
    expect(quoted.replaceAll(/\\(.)/g, '$1')).toBe(`"${ODD}"`);
  });

  test('flags after its name are passed to it', async () => {
    expect((await tootctl(['--version'])).stdout).toMatch(/^4\.\d+\.\d+/);
    const { code, stdout } = await tootctl(['accounts', 'create', '--help']);
    expect([code, stdout]).toEqual([0, expect.stringContaining('accounts create')]);
  });

  test('standard input reaches it', async () => {
    const wrong = await tootctl(['self-destruct'], 'other.example\n');
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('Domains do not match.')]);
    const right = await tootctl(['self-destruct'], `${site.domain}\nno\n`);
    expect([right.code, right.stderr]).toEqual([1, expect.stringContaining('Operation cancelled.')]);
  });

  test('in the middle of a pipe', () => {
    const line = `printf 'other.example\\n' | "$TOOL" --dir "$DIR" tootctl self-destruct 2>&1 >/dev/null | grep -c 'Domains do not match'`;
    const printed = execFileSync('sh', ['-c', line], {
      env: { ...environment(), TOOL: inject('tool'), DIR: site.folder },
      encoding: 'utf8',
    });
    expect(printed).toBe('1\n');
  });

  test('also when web is down', async () => {
    compose('stop', 'mastodon_web');
    try {
      const ids = site.containers();
      const { code, stdout } = await tootctl(['version']);
      expect([code, stdout.trim()]).toEqual([0, expect.stringMatching(/^4\.\d+\.\d+\S*$/)]);
      const bad = await tootctl(['accounts', 'modify', 'nobody', '--approve']);
      expect([bad.code, bad.stdout, bad.stderr]).toEqual([
        1,
        '',
        expect.stringContaining('No user with such username'),
      ]);
      const piped = await tootctl(['self-destruct'], `${site.domain}\nno\n`);
      expect([piped.code, piped.stderr]).toEqual([1, expect.stringContaining('Operation cancelled.')]);
      // The one-shot container is removed again, and web is still stopped.
      expect(site.containers()).toEqual(ids);
      expect(docker('inspect', '--format', '{{.State.Running}}', ids['mastodon_web'] ?? '')).toBe('false');
    } finally {
      compose('start', 'mastodon_web');
    }
    expectProven(await again());
  });
});

describe.sequential('fedi-setup user', { timeout: PATIENCE_MS }, () => {
  const user = (words: readonly string[], stdin = ''): Promise<Run> =>
    tool(['user', ...words, '--dir', site.folder, '--json'], { env: environment(), stdin });
  const shown = (run: Run): string =>
    String(run.events.find(({ event }) => event === 'password')?.['password']);
  const EMAIL = 'berta@fedi.test';
  /** Role, disabled, approved, confirmed. */
  const berta = (): string =>
    sqlIn(
      site,
      `select coalesce(r.name, '-'), u.disabled, u.approved, u.confirmed_at is not null from users u left join user_roles r on r.id = u.role_id where u.email = '${EMAIL}'`,
    );

  test('adds an account that can log in, and explains a refusal', async () => {
    const run = await user(['add', 'berta', '--email', EMAIL, '--role', 'moderator']);
    expect([run.code, run.stderr]).toEqual([0, '']);
    expect(berta()).toBe('Moderator|f|t|t');
    expect(await mastodonLogsIn(site, shown(run), EMAIL)).toBe(true);
    for (const [words, message] of [
      [['add', 'Berta', '--email', 'other@fedi.test'], 'has an account berta already'],
      [['add', 'carla', '--email', EMAIL], 'the e-mail address is in use'],
      [['add', 'carla', '--email', 'carla@nowhere.invalid'], 'the domain of the e-mail address'],
    ] as const) {
      const refused = await user(words);
      expect(refused.stderr).toContain(message);
      expect(refused.code).toBeGreaterThan(0);
    }
    expect(accountsIn(site)).toEqual(['anna', 'berta']);
  });

  test('sets a password, chosen or generated', async () => {
    const chosen = await user(['password', 'berta', '--password-file', '-'], 'it\'s "my" $own\n');
    expect([chosen.code, chosen.stderr]).toEqual([0, '']);
    expect(await mastodonLogsIn(site, 'it\'s "my" $own', EMAIL)).toBe(true);
    const generated = await user(['password', 'berta']);
    expect(await mastodonLogsIn(site, shown(generated), EMAIL)).toBe(true);
    expect(await mastodonLogsIn(site, 'it\'s "my" $own', EMAIL)).toBe(false);
  });

  test('changes role and state, and lists them', async () => {
    const after = async (...words: string[]): Promise<unknown> => {
      const run = await user(words);
      expect([run.code, run.stderr]).toEqual([0, '']);
      const found = run.events.findLast(({ event, name }) => event === 'user' && name === 'berta');
      return [found?.['role'], found?.['state'], berta()];
    };
    expect(await after('role', 'berta', 'admin')).toEqual(['admin', 'active', 'Admin|f|t|t']);
    expect(await after('role', 'berta', 'user')).toEqual(['user', 'active', '-|f|t|t']);
    expect(await after('disable', 'berta')).toEqual(['user', 'disabled', '-|t|t|t']);
    expect(await after('list')).toEqual(['user', 'disabled', '-|t|t|t']);
    expect(await after('enable', 'berta')).toEqual(['user', 'active', '-|f|t|t']);
    const { events } = await user(['list']);
    expect(events.map(({ name, role }) => [name, role])).toEqual([
      ['anna', 'owner'],
      ['berta', 'user'],
    ]);
  });

  test('the owner keeps the role, and the receipt uses the new password', async () => {
    await expectRefused(() => user(['disable', 'anna']), 3, /anna owns this server/);
    const run = await user(['password', 'anna']);
    expect(await mastodonLogsIn(site, shown(run))).toBe(true);
    expectProven(await prove());
  });
});

describe.sequential('cleanup', { timeout: PATIENCE_MS }, () => {
  const inWeb = (script: string): string =>
    docker('exec', site.containers()['mastodon_web'] ?? '', 'sh', '-c', script);
  const ORPHAN = 'public/system/cache/media_attachments/files/111/111/111/111/111/111/original/a.png';
  /** Age in days of the media that still have a file; local ones are negative. */
  const kept = (): string =>
    sqlIn(
      site,
      "select string_agg(days::text, ' ' order by days) from (select case when remote_url = '' then -1 else 1 end * round(extract(epoch from now() at time zone 'utc' - created_at) / 86400) as days from media_attachments where file_file_name = 'cleanup.png') as ages",
    );

  test('removes old copies of remote media, and nothing else', async () => {
    const media = (remote: string, days: number): void =>
      void sqlIn(
        site,
        `insert into media_attachments (account_id, remote_url, file_file_name, file_content_type, file_file_size, type, created_at, updated_at) select id, '${remote}', 'cleanup.png', 'image/png', 1048576, 0, now() at time zone 'utc' - interval '${days} days', now() at time zone 'utc' - interval '${days} days' from accounts where username = 'anna' and domain is null`,
      );
    media('https://remote.example/1.png', 2);
    media('https://remote.example/2.png', 40);
    media('', 60);
    inWeb(`mkdir -p ${dirname(ORPHAN)} && echo x >${ORPHAN}`);
    const run = (...words: string[]): Promise<Run> =>
      tool(['cleanup', '--dir', site.folder, ...words], { env: environment() });

    const shown = await run('--dry-run');
    expect([shown.code, shown.stderr]).toEqual([
      0,
      expect.stringMatching(/older than 14 days: Removed 1 media attachments \(approx\. 1 MB\) \(DRY RUN\)/),
    ]);
    expect(kept()).toBe('-60 2 40');
    const cleaned = await run();
    expect([cleaned.code, cleaned.stderr]).toEqual([
      0,
      expect.stringMatching(/keeps copies of remote media for 14 days: 1 MB now, about 512 KB a day/),
    ]);
    expect(kept()).toBe('-60 2');
    expect(inWeb(`test -e ${ORPHAN} && echo there || echo gone`)).toBe('gone');
  });

  test('keeps them all if Mastodon has no limit', async () => {
    sqlIn(site, "update settings set value = '--- 0' where var = 'media_cache_retention_period'");
    const run = await tool(['cleanup', '--dry-run', '--dir', site.folder], { env: environment() });
    expect(run.stderr).toContain('keeps copies of remote media forever');
    expect(run.stderr).not.toContain('Remote media older');
    sqlIn(site, "update settings set value = '--- 14' where var = 'media_cache_retention_period'");
    sqlIn(site, "delete from media_attachments where file_file_name = 'cleanup.png'");
  });
});

describe.sequential('refusals', { timeout: PATIENCE_MS }, () => {
  test('another domain over the same data: exit 3', async () => {
    await expectRefused(
      () => site.apply([], { env: { ...site.env, FEDI_MASTODON_DOMAIN: 'other.fedi.test' } }),
      3,
      new RegExp(`This site uses ${site.domain}; the answers now say other\\.fedi\\.test`),
    );
  });

  test.each(['primary', 'deterministic', 'salt'])(
    'another %s key over the same data: exit 3, and what to do',
    async (key) => {
      const { value } = secretsOf(site.folder)[`mastodon.encryption.${key}`] ?? { value: '' };
      const other = site.read('secrets.json').replace(value, 'x'.repeat(32));
      await withFile('secrets.json', other, () =>
        expectRefused(
          () => again(),
          3,
          /secrets\.json does not belong to the data in .*test-mastodon_mastodon_db/,
          /Restore the secrets\.json of this site from a backup/,
        ),
      );
    },
  );

  test('a lost secrets.json: exit 3, and what to do', async () => {
    await withFile('secrets.json', undefined, () =>
      expectRefused(() => again(), 3, /Restore the secrets\.json of this site from a backup/),
    );
    expectUnchanged(await again());
  });

  test('an image that is not the locked one: exit 3; an unavailable one: exit 4', async () => {
    const lock = site.read('images.lock.yaml');
    const entry = /^mastodon:\n(?: {2}.*\n)+/m.exec(lock)?.[0] ?? '';
    expect(entry).toMatch(/sha256:[0-9a-f]{64}/);
    await withFile(
      'images.lock.yaml',
      lock.replace(entry, entry.replace(/(id|digest): .*\n/, `id: sha256:${'0'.repeat(64)}\n`)),
      () =>
        expectRefused(
          () => again(),
          3,
          /now names another image than the one this site runs/,
          /remove the entry mastodon/,
        ),
    );
    const tag = /tag: (.*)\n/.exec(entry)?.[1] ?? '';
    await withFile(
      'images.lock.yaml',
      lock.replace(entry, `mastodon:\n  tag: ${tag}\n  digest: sha256:${'0'.repeat(64)}\n`),
      () => expectRefused(() => again(), 4, /could not be pulled/),
    );
    expectUnchanged(await again());
  });
});

describe.sequential('secrets', { timeout: PATIENCE_MS }, () => {
  test('export writes all secrets to one file, readable by its owner only, and overwrites none', async () => {
    const path = join(dirname(site.folder), 'recovery.json');
    const run = await tool(['secrets', 'export', path, '--dir', site.folder], { env: environment() });
    expect([run.code, run.stderr]).toEqual([0, expect.stringContaining('Only you can read it')]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { secrets } = JSON.parse(readFileSync(path, 'utf8')) as { secrets: Record<string, unknown> };
    expect(Object.keys(secrets)).toEqual(
      expect.arrayContaining([
        'mastodon.admin',
        'mastodon.db',
        'mastodon.encryption.deterministic',
        'mastodon.encryption.primary',
        'mastodon.encryption.salt',
        'mastodon.secret-key-base',
        'mastodon.valkey',
        'mastodon.vapid',
      ]),
    );
    for (const { value } of Object.values(secretsOf(site.folder)))
      expect(`${run.stdout}${run.stderr}`).not.toContain(value);
    const twice = await tool(['secrets', 'export', path, '--dir', site.folder], { env: environment() });
    expect([twice.code, twice.stderr]).toEqual([2, expect.stringContaining('already exists')]);

    // Restored: the site is the same.
    renameSync(inSite('secrets.json'), inSite('secrets.lost'));
    try {
      await expectRefused(() => again(), 3, /secrets\.json/);
      renameSync(path, inSite('secrets.json'));
      expectUnchanged(await again());
    } finally {
      if (!existsSync(inSite('secrets.json'))) renameSync(inSite('secrets.lost'), inSite('secrets.json'));
      rmSync(inSite('secrets.lost'), { force: true });
    }
  });
});

describe.sequential('Valkey’s data', { timeout: PATIENCE_MS }, () => {
  const volume = `${site.name}_mastodon_valkey`;

  test('emptied meanwhile: the next run proves the site', async () => {
    compose('kill', 'mastodon_valkey');
    docker(
      'run',
      '--rm',
      '--network=none',
      '--user=0',
      '--entrypoint=sh',
      `--volume=${volume}:/data`,
      'fedi-setup/valkey:trixie',
      '-c',
      'rm -rf /data/*',
    );
    expectProven(await again());
    expect(accountsIn(site)).toEqual(['anna', 'berta']);
  });

  test('the volume removed: Compose alone starts the site, and it is proven', async () => {
    const before = site.containers();
    compose('rm', '--stop', '--force', 'mastodon_valkey');
    docker('volume', 'rm', volume);
    compose('up', '--detach', '--wait');
    expectProven(await prove());
    // Only the container that lost its data was recreated.
    const after = site.containers();
    expect(after['mastodon_db']).toBe(before['mastodon_db']);
    expectUnchanged(await again());
  });
});

describe.sequential('uninstall', { timeout: PATIENCE_MS }, () => {
  test('uninstall --data leaves nothing', async () => {
    const gone = await tool(['uninstall', '--dir', site.folder, '--confirm', site.name, '--data'], {
      env: environment(),
    });
    expect(gone.code).toBe(0);
    for (const what of ['volume', 'network'])
      expect(docker(what, 'ls', '--quiet', '--filter', `label=com.docker.compose.project=${site.name}`)).toBe(
        '',
      );
    expect(existsSync(inSite('secrets.json'))).toBe(false);
  });
});
