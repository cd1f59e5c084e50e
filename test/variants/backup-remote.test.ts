/** Backups on other machines: a real SFTP server and a real S3 server, and what happens when they refuse or do not answer. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needImages, until } from '../support/acme.ts';
import { bridgeAddress, docker, logsOf, testSite, tool, wipe } from '../support/site.ts';
import type { Run, RunOptions } from '../support/site.ts';

/** An error must come before a person gives up waiting. */
const PATIENCE_MS = 120_000;

const KEY = 'AKIDTEST';
const SECRET = 'bucket/Secret+of=tests';
const SERVERS = 'test-backup-servers';
const SFTP_PORT = 22_111;
const S3_PORT = 9111;

needImages('restic', 'sftp', 'radosgw');
const site = testSite('backup-remote', 111);
const parent = mkdtempSync(join(tmpdir(), 'fedi-backup-remote-'));
wipe(SERVERS);
afterAll(() => {
  site.remove();
  wipe(SERVERS);
  rmSync(parent, { recursive: true, force: true });
});

const host = bridgeAddress();
const sftp = `sftp://backup-user@${host}:${SFTP_PORT}/home/backup-user/backup/x`;
const s3 = (bucket: string): string => `s3:http://${host}:${S3_PORT}/${bucket}/x`;

const file = (name: string, text: string): string => {
  const path = join(parent, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};

function startServer(name: string, image: string, port: string, env: readonly string[]): void {
  docker(
    'run',
    '--detach',
    `--name=${SERVERS}-${name}`,
    `--label=com.docker.compose.project=${SERVERS}`,
    `--publish=${host}:${port}`,
    ...env.map((one) => `--env=${one}`),
    `fedi-setup/${image}:trixie`,
  );
}
const stopServer = (name: string): string => docker('stop', '--time=2', `${SERVERS}-${name}`);
const continueServer = (name: string): string => docker('start', `${SERVERS}-${name}`);
const inServer = (name: string, ...argv: string[]): string => docker('exec', `${SERVERS}-${name}`, ...argv);

/** Waits until the SSH server greets: the port is open before. */
const greets = (): Promise<true> =>
  until('the greeting of the SSH server', () => {
    const socket = connect(SFTP_PORT, host);
    return new Promise<true | undefined>((resolve) => {
      socket.once('data', (data) => resolve(data.toString().startsWith('SSH-') || undefined));
      for (const event of ['error', 'close']) socket.once(event, () => resolve(undefined));
    }).finally(() => socket.destroy());
  });
const answers = (): Promise<true> =>
  until('an answer of the S3 server', () =>
    fetch(`http://${host}:${S3_PORT}/`).then(
      () => true as const,
      () => undefined,
    ),
  );

/** Lets a key in. The image replaces the file when it starts. */
const allow = (line: string): void => {
  const { status } = spawnSync(
    'docker',
    ['exec', '--interactive', `${SERVERS}-sftp`, 'tee', '/home/backup-user/.ssh/authorized_keys'],
    { input: `${line}\n` },
  );
  expect(status).toBe(0);
};

const { FEDI_IMAGES_RESTIC } = site.env;
const quiet: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(site.env).filter(([name]) => !name.startsWith('FEDI_'))),
  // On an empty host there are no answers.
  FEDI_IMAGES_RESTIC,
};
const outputs: string[] = [];
async function run(argv: readonly string[], options: RunOptions = {}): Promise<Run> {
  const began = Date.now();
  const result = await tool([...argv, '--dir', site.folder], { env: quiet, ...options });
  outputs.push(result.stdout, result.stderr);
  if (process.env['SHOW'] !== undefined)
    console.log(
      `$ ${argv.join(' ')}\n${result.stdout}${result.stderr}exit ${result.code}, ${(Date.now() - began) / 1000} s`,
    );
  return result;
}
const set = async (...argv: readonly string[]): Promise<void> => {
  const changed = await run(['apply', '--json', ...argv]);
  expect(changed.code, changed.stderr).toBe(0);
};

const snapshots = async (to: string): Promise<unknown[]> => {
  const list = await run(['backup', 'list', '--json', '--to', to]);
  expect(list.code, list.stderr).toBe(0);
  return list.events.filter(({ event }) => event === 'snapshot').map(({ id }) => id);
};
/** The state of all containers of the site, by service. */
const states = (): string[] =>
  Object.entries(site.containers())
    .map(([service, id]) => `${service} ${id} ${docker('inspect', '--format', '{{.State.Status}}', id)}`)
    .toSorted();

/** Runs a command that must fail soon. The site runs on, and nothing of the run is left. */
async function failing(argv: readonly string[], code = 1): Promise<string> {
  const [before, began] = [states(), Date.now()];
  const failed = await run(argv);
  expect([failed.code, failed.stderr]).toEqual([code, expect.stringMatching(/./)]);
  expect(Date.now() - began).toBeLessThan(PATIENCE_MS);
  expect(states()).toEqual(before);
  for (const name of ['backup', 'backup_cache'])
    expect(docker('ps', '--all', '--quiet', `--filter=volume=${site.name}_${name}`)).toBe('');
  expect(docker('volume', 'ls', '--quiet', `--filter=name=^${site.name}_backup$`)).toBe('');
  return failed.stderr;
}

beforeAll(async () => {
  const first = await site.apply();
  expect(first.code, first.stderr).toBe(0);
});

describe.sequential('SFTP', () => {
  const hostKeys = (): string[] => site.read('.fedi/ssh/known_hosts').split('\n').filter(Boolean);
  let key: string;

  test('a key that is not allowed: the message says how to allow it', async () => {
    startServer('sftp', 'sftp', `${SFTP_PORT}:22`, ['PUBLIC_KEY=']);
    await greets();
    // `apply` reports it, and completes: the site does not depend on it.
    const changed = await run(['apply', '--backup-to', sftp]);
    expect(changed.code, changed.stderr).toBe(0);
    expect(changed.stderr + changed.stdout).toMatch(
      /Permission denied \(publickey\)[^]*`fedi-setup backup key`/i,
    );
    const words = await failing(['backup']);
    expect(words).toMatch(/Permission denied \(publickey\)/i);
    expect(words).toContain('`fedi-setup backup key`');
    expect(inServer('sftp', 'ls', '/home/backup-user')).toBe('');
  });

  test('an allowed key: a backup; the host key is learned once', async () => {
    const printed = await run(['backup', 'key']);
    key = printed.stdout.trim();
    expect(key).toMatch(/^ecdsa-sha2-nistp256 \S+ fedi-setup-test-backup-remote$/);
    allow(key);
    const first = await run(['backup']);
    expect(first.code, first.stderr).toBe(0);
    const learned = hostKeys();
    expect(learned).toHaveLength(1);
    const second = await run(['backup']);
    expect(second.code, second.stderr).toBe(0);
    expect(hostKeys()).toEqual(learned);
    expect(inServer('sftp', 'ls', '/home/backup-user/backup/x')).toContain('snapshots');
  });

  test('a stopped server: an error soon, and no backup', async () => {
    const before = await snapshots(sftp);
    expect(before).not.toEqual([]);
    stopServer('sftp');
    const words = await failing(['backup']);
    expect(words).toContain(sftp);
    expect(words).toMatch(/Connection refused/i);
    expect(words).toContain('whether the server runs');
    continueServer('sftp');
    await greets();
    allow(key);
    expect(await snapshots(sftp)).toEqual(before);
  });

  test('another host key: refused, and nothing is sent', async () => {
    const learned = hostKeys();
    stopServer('sftp');
    startServer('impostor', 'sftp', `${SFTP_PORT}:22`, [`PUBLIC_KEY=${key}`]);
    await greets();
    const words = await failing(['backup'], 3);
    expect(words).toMatch(/another host key/);
    expect(words).toContain('.fedi/ssh/known_hosts');
    expect(logsOf(`${SERVERS}-impostor`)).not.toContain('Accepted');
    expect(inServer('impostor', 'ls', '/home/backup-user')).toBe('');
    expect(hostKeys()).toEqual(learned);
    docker('rm', '--force', '--volumes', `${SERVERS}-impostor`);
    continueServer('sftp');
    await greets();
    allow(key);
    const again = await run(['backup']);
    expect(again.code, again.stderr).toBe(0);
  });

  test('several repositories: those that answer get their backup', async () => {
    const local = join(parent, 'local');
    stopServer('sftp');
    await set('--backup-to', `${local},${sftp}`);
    const before = states();
    const partly = await run(['backup', '--json']);
    expect(partly.code).toBe(1);
    expect(partly.events.filter(({ event }) => event === 'backup')).toMatchObject([
      { repository: sftp, ok: false, why: expect.stringMatching(/Connection refused/i) },
      { repository: local, ok: true },
    ]);
    expect(partly.stderr).toContain('1 of 2 repositories failed');
    expect(partly.stderr).toContain(`- ${sftp}: `);
    expect(partly.stderr).not.toContain(`- ${local}: `);
    expect(states()).toEqual(before);
    expect(await snapshots(local)).toHaveLength(1);
    const list = await run(['backup', 'list']);
    expect([list.code, list.stdout]).toEqual([1, expect.stringContaining(local)]);
  });
});

/** Checksum of the account's key. */
const account = (): string =>
  docker(
    'run',
    '--rm',
    `--volume=${site.name}_snac_data:/data:ro`,
    '--entrypoint=sha256sum',
    'fedi-setup/restic:trixie',
    '/data/user/anna/key.json',
  );

describe.sequential('S3', () => {
  const to = s3('backups');
  const sheet = join(parent, 'recovery.yaml');
  const secretFile = file('secret', `${SECRET}\n`);

  test('a new bucket: backup, list and verify', async () => {
    startServer('s3', 'radosgw', `${S3_PORT}:9000`, [`ACCESS_KEY=${KEY}`, `SECRET_KEY=${SECRET}`]);
    await answers();
    const changed = await run([
      'apply',
      '--backup-to',
      to,
      '--backup-s3-key',
      KEY,
      '--backup-s3-secret-file',
      secretFile,
      '--json',
    ]);
    expect(changed.code, changed.stderr).toBe(0);
    expect(changed.events).toContainEqual(
      expect.objectContaining({
        id: `repository.${to}`,
        state: 'done',
        note: expect.stringContaining('the first backup creates it'),
      }),
    );
    const first = await run(['backup', '--json']);
    expect(first.code, first.stderr).toBe(0);
    const [made] = first.events.filter(({ event }) => event === 'backup');
    expect(await snapshots(to)).toEqual([made?.['snapshot']]);
    const verified = await run(['backup', 'verify']);
    expect(verified.code, verified.stderr).toBe(0);
  });

  test('a wrong secret, and a wrong access key', async () => {
    await set('--backup-s3-secret-file', file('wrong', 'wrong\n'));
    const wrongSecret = await failing(['backup']);
    expect(wrongSecret).toMatch(/signature .* does not match/);
    expect(wrongSecret).toContain('the access key and its secret');
    expect(await failing(['backup', 'list'])).toMatch(/signature .* does not match/);
    await set('--backup-s3-key', 'AKIDOTHER', '--backup-s3-secret-file', secretFile);
    const wrongKey = await failing(['backup']);
    expect(wrongKey).toMatch(/access key ID .* does not exist/i);
    expect(wrongKey).toContain('the access key and its secret');
    await set('--backup-s3-key', KEY);
    expect(await snapshots(to)).toHaveLength(1);
  });

  test('a bucket that does not exist and may not be created', async () => {
    const user = ['--uid=limited', '--display-name=limited', '--access-key=AKIDLIMITED', '--secret-key=few'];
    inServer('s3', 'radosgw-admin', 'user', 'create', ...user, '--max-buckets=-1');
    await set('--backup-s3-key', 'AKIDLIMITED', '--backup-s3-secret-file', file('limited', 'few\n'));
    const words = await failing(['backup', '--to', s3('forbidden')]);
    expect(words).toContain('Creating the repository');
    expect(words).toMatch(/Access Denied/);
    expect(words).toContain('whether the bucket exists');
    const list = await failing(['backup', 'list', '--to', s3('forbidden')]);
    expect(list).toContain(`There are no backups in ${s3('forbidden')}.`);
    expect(JSON.parse(inServer('s3', 'radosgw-admin', 'bucket', 'list'))).toEqual(['backups']);
    await set('--backup-s3-key', KEY, '--backup-s3-secret-file', secretFile);
  });

  test('a stopped server, and one that accepts connections but never answers', async () => {
    stopServer('s3');
    const words = await failing(['backup']);
    expect(words).toContain(to);
    expect(words).toMatch(/connection refused/);
    expect(words).toContain('whether the server runs');
    expect(await failing(['backup', 'list'])).toMatch(/connection refused/);
    continueServer('s3');
    await answers();
    docker('pause', `${SERVERS}-s3`);
    try {
      expect(await failing(['backup'])).toContain(`${to} does not answer.`);
    } finally {
      docker('unpause', `${SERVERS}-s3`);
    }
    expect(await snapshots(to)).toHaveLength(1);
  });

  test('an empty host: the same keys and secrets', async () => {
    // The secret key was set since the last one.
    const last = await run(['backup']);
    expect(last.code, last.stderr).toBe(0);
    const written = await run(['backup', 'sheet', sheet]);
    expect(written.code, written.stderr).toBe(0);
    const before = [account(), site.read('secrets.json'), site.read('fedi.yaml')];
    wipe(site.name);
    rmSync(site.folder, { recursive: true });

    // The SFTP server is stopped, and may have a newer backup.
    const stopped = await run(['restore', '--password-file', sheet]);
    expect([stopped.code, stopped.stderr]).toEqual([
      1,
      expect.stringMatching(/A newer backup may be there[^]*--from /),
    ]);
    expect(existsSync(site.folder)).toBe(false);
    const restore = ['restore', '--from', to, '--password-file', sheet];
    const wrong = await run([...restore, '--backup-s3-secret-file', file('wrong', 'wrong\n')]);
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringMatching(/signature .* does not match/)]);
    expect(existsSync(site.folder)).toBe(false);
    const restored = await run(restore);
    expect(restored.code, restored.stderr).toBe(0);
    expect([account(), site.read('secrets.json'), site.read('fedi.yaml')]).toEqual(before);
    const next = await run(['backup', '--json']);
    expect(next.code, next.stderr).toBe(0);
    const [made] = next.events.filter(({ event }) => event === 'backup');
    expect(await snapshots(to)).toContain(made?.['snapshot']);
  });

  describe('two buckets, each with its own key', () => {
    const [SECOND, OTHER] = ['AKIDSECOND', 'second/Secret+of=tests'];
    const other = s3('second');
    const [name, otherName] = [to, other].map((text) => text.replace('s3:http://', '')) as [string, string];
    const keys = `${name}=${KEY},${otherName}=${SECOND}`;
    const bothFile = file('both', `${name}=${SECRET}\n${otherName}=${OTHER}\n`);

    test('a missing key, or a missing secret: refused, with the name of the bucket', async () => {
      const before = [site.read('fedi.yaml'), site.read('secrets.json')];
      const apply = ['apply', '--backup-to', `${to},${other}`];
      const noKey = await failing([...apply, '--backup-s3-key', `${name}=${KEY}`], 2);
      expect(noKey).toContain(`${otherName} has no key.`);
      const noSecret = await failing(
        [...apply, '--backup-s3-key', keys, '--backup-s3-secret-file', file('first', `${name}=${SECRET}\n`)],
        2,
      );
      expect(noSecret).toContain(`The bucket for backups ${otherName} has an access key, but no secret key.`);
      expect([site.read('fedi.yaml'), site.read('secrets.json')]).toEqual(before);
    });

    test('a backup in each; no key opens the other bucket', async () => {
      const user = [
        '--uid=second',
        '--display-name=second',
        `--access-key=${SECOND}`,
        `--secret-key=${OTHER}`,
      ];
      inServer('s3', 'radosgw-admin', 'user', 'create', ...user);
      await set(
        '--backup-to',
        `${to},${other}`,
        '--backup-s3-key',
        keys,
        '--backup-s3-secret-file',
        bothFile,
      );
      const made = await run(['backup', '--json']);
      expect(made.code, made.stderr).toBe(0);
      const owners = ['backups', 'second'].map(
        (bucket) =>
          (
            JSON.parse(inServer('s3', 'radosgw-admin', 'bucket', 'stats', `--bucket=${bucket}`)) as {
              owner: string;
            }
          ).owner,
      );
      expect(new Set(owners).size).toBe(2);
      expect(owners[1]).toBe('second');
      for (const text of [to, other]) expect((await snapshots(text)).length).toBeGreaterThan(0);

      const stored = `backup.s3-secret:${otherName}`;
      expect((await run(['secrets'])).stdout).toMatch(
        new RegExp(`${stored.replaceAll('.', '[.]')} +free .*\\n +Secret key of the bucket for backups`),
      );
      expect(await failing(['secrets', 'rotate', stored], 2)).toContain(`${stored} cannot be rotated.`);

      const swapped = file('swapped', `${name}=${OTHER}\n${otherName}=${SECRET}\n`);
      await set(
        '--backup-s3-key',
        `${name}=${SECOND},${otherName}=${KEY}`,
        '--backup-s3-secret-file',
        swapped,
      );
      const denied = await run(['backup', '--json']);
      expect(denied.code).toBe(1);
      expect(denied.events.filter(({ event }) => event === 'backup')).toMatchObject(
        [to, other].map((repository) => ({
          repository,
          ok: false,
          why: expect.stringMatching(/Access Denied/),
        })),
      );
    });

    test('a new secret of one leaves that of the other', async () => {
      await set('--backup-s3-key', keys, '--backup-s3-secret-file', bothFile);
      await set('--backup-s3-secret-file', file('wrong', `${otherName}=wrong\n`));
      const partly = await run(['backup', '--json']);
      expect(partly.code).toBe(1);
      expect(partly.events.filter(({ event }) => event === 'backup')).toMatchObject([
        { repository: other, ok: false, why: expect.stringMatching(/signature .* does not match/) },
        { repository: to, ok: true },
      ]);
      await set('--backup-s3-secret-file', file('right', `${otherName}=${OTHER}\n`));
      const next = await run(['backup']);
      expect(next.code, next.stderr).toBe(0);
    });

    test('an empty host is restored from each with the recovery sheet', async () => {
      const written = await run(['backup', 'sheet', sheet]);
      expect(written.code, written.stderr).toBe(0);
      const before = [account(), site.read('secrets.json'), site.read('fedi.yaml')];
      for (const from of [other, to]) {
        wipe(site.name);
        rmSync(site.folder, { recursive: true });
        const restored = await run(['restore', '--from', from, '--password-file', sheet]);
        expect(restored.code, restored.stderr).toBe(0);
        expect([account(), site.read('secrets.json'), site.read('fedi.yaml')]).toEqual(before);
      }
      const next = await run(['backup']);
      expect(next.code, next.stderr).toBe(0);
    });
  });

  test('no run printed a secret', () => {
    const { secrets } = JSON.parse(site.read('secrets.json')) as {
      secrets: Record<string, { value: string }>;
    };
    const values = Object.entries(secrets).filter(([name]) => name.startsWith('backup.'));
    expect(values.map(([name]) => name)).toEqual(
      expect.arrayContaining(['backup.password', 'backup.ssh-key', 'backup.s3-secret']),
    );
    const all = outputs.join('\n');
    expect(values.filter(([, { value }]) => all.includes(value)).map(([name]) => name)).toEqual([]);
    expect(all).not.toContain('PRIVATE KEY');
  });
});
