/** No secret is visible: not in output, arguments of processes, containers or public files. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as tick } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { logsIn, snapshot } from '../support/faults.ts';
import { docker, environment, testSite, tool } from '../support/site.ts';
import type { Run, RunOptions } from '../support/site.ts';

const site = testSite('leaks', 70);
const scratch = mkdtempSync(join(tmpdir(), 'fedi-leaks-'));
/** Commands executed in containers of the site, recorded as they happen: the engine keeps only a few. */
let executed = '';
const events = spawn(
  'docker',
  [
    'events',
    '--filter',
    `label=com.docker.compose.project=${site.name}`,
    '--filter',
    'event=exec_create',
    '--format',
    '{{.Action}}',
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
events.stdout.setEncoding('utf8').on('data', (text: string) => (executed += text));
afterAll(() => {
  events.kill();
  site.remove();
  rmSync(scratch, { recursive: true, force: true });
});

/** Every character with a meaning in some layer; the test searches for the words in between. */
const PRINTABLE = String.fromCharCode(...Array.from({ length: 95 }, (_, i) => 32 + i));
const PASSWORDS = {
  printable: `${PRINTABLE}Mailsecret1${PRINTABLE} ünïcödé 🔑 `,
  control: `\tMailsecret2\r\n\\n\\\\ "'\`$HOME \${HOME} $$ #x %s\u0001\u007f\n\n`,
  quotes: `'Mailsecret3'"'\\''"$(id)\`id\`!;&|<>`,
} as const;

/** All visible text: standard output and error, arguments of processes during a run. */
const outputs: { what: string; text: string }[] = [];
const seenArguments = new Set<string>();

async function watched(what: string, argv: readonly string[], options: RunOptions = {}): Promise<Run> {
  const state = { over: false };
  const run = tool(argv, options).finally(() => (state.over = true));
  // Processes of others count too: none may show a secret of ours.
  while (!state.over) {
    for (const pid of readdirSync('/proc')) {
      if (!/^\d+$/.test(pid)) continue;
      try {
        seenArguments.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
      } catch {
        // has ended meanwhile
      }
    }
    await tick();
  }
  const { stdout, stderr } = await run;
  outputs.push({ what: `${what}: stdout`, text: stdout }, { what: `${what}: stderr`, text: stderr });
  remember();
  return run;
}

const withMail = (password: string): NodeJS.ProcessEnv => ({
  ...site.env,
  FEDI_MAIL_MODE: 'smtp',
  FEDI_MAIL_HOST: 'mail.fedi.test',
  FEDI_MAIL_USER: 'post@fedi.test',
  FEDI_MAIL_PASSWORD: password,
});

interface Entry {
  readonly value: string;
}

/** Every value that a secret had, oldest first: the store deletes earlier ones. */
const values: Record<string, string[]> = {};

function remember(): void {
  if (!existsSync(join(site.folder, 'secrets.json'))) return;
  const { secrets } = JSON.parse(site.read('secrets.json')) as { secrets: Record<string, Entry> };
  for (const [name, { value }] of Object.entries(secrets)) {
    const known = (values[name] ??= []);
    if (!known.includes(value)) known.push(value);
  }
}

/** Texts to search for, by name: of long secrets the lines that are secret. */
function secretWords(): Record<string, string> {
  const words: Record<string, string> = {};
  for (const [name, all] of Object.entries(values)) {
    for (const [index, text] of all.entries()) {
      const key = /PRIVATE KEY-----\n([\s\S]+?)\n-----END/.exec(text)?.[1]?.split('\n') ?? [];
      // The last line of a key is the end of its public half, which the certificate has too.
      key.pop();
      const mail = /Mailsecret\d/.exec(text);
      for (const [line, word] of (mail ?? (key.length > 0 ? key : [text])).entries())
        words[`${name} ${index} ${line}`] = word;
    }
  }
  return words;
}

const passwordNow = (): string =>
  (JSON.parse(site.read('secrets.json')) as { secrets: Record<string, Entry> }).secrets['snac.admin']
    ?.value ?? '';
/** Admin passwords in the order of their creation. */
const passwords: string[] = [];

describe.sequential('a site with many secrets', () => {
  test('first run, as text, with --debug: the admin password once, on its line', async () => {
    const run = await watched('first', ['apply', '--dir', site.folder, '--debug', '--skip-check', 'mail'], {
      env: withMail(PASSWORDS.printable),
    });
    // No such mail server: the proof of the mail fails in the receipt.
    expect(run.code).toBe(5);
    passwords.push(passwordNow());
    expect(run.stdout).toBe('');
    const lines = run.stderr.split('\n').filter((line) => line.includes(passwordNow()));
    expect(lines).toEqual([`    password  ${passwordNow()}`]);
    expect(await logsIn(site, passwordNow())).toBe(true);
  });

  test.for(Object.entries(PASSWORDS))(
    'a mail password with every %s character arrives unchanged',
    async ([name, password]) => {
      // From a file, as an administrator would: the last newline is not part of it.
      const file = join(scratch, name);
      writeFileSync(file, `${password}\n`);
      const { FEDI_MAIL_PASSWORD: _, ...env } = withMail('');
      const run = await watched(
        `password ${name}`,
        ['apply', '--dir', site.folder, '--json', '--mail-password-file', file, '--skip-check', 'mail'],
        { env },
      );
      expect([run.code, run.stderr]).toEqual([5, '']);
      const snac = site.containers()['snac'] ?? '';
      const variables = JSON.parse(docker('inspect', '--format', '{{json .Config.Env}}', snac)) as string[];
      expect(variables.find((line) => line.startsWith('SNAC_SMTP_PASSWORD='))).toBe(
        `SNAC_SMTP_PASSWORD=${password}`,
      );
      const server = JSON.parse(docker('exec', snac, 'cat', '/data/server.json')) as {
        smtp_password: string;
      };
      expect(server.smtp_password).toBe(password);
      // Compose alone derives the same container, so it has nothing to do.
      expect(
        docker(
          'compose',
          '--project-directory',
          site.folder,
          '--file',
          join(site.folder, 'compose.yaml'),
          'up',
          '--detach',
          '--pull=never',
        ),
      ).toBe('');
      expect(site.containers()['snac']).toBe(snac);
    },
  );

  test('a second first run, with --json: the admin password once, in its event', async () => {
    await watched('uninstall refused', ['uninstall', '--dir', site.folder, '--debug'], { env: site.env });
    await watched('uninstall', ['uninstall', '--dir', site.folder, '--confirm', site.name, '--json'], {
      env: site.env,
    });
    await watched('reset', ['reset', '--dir', site.folder, '--confirm', site.name, '--json'], {
      env: site.env,
    });
    const run = await watched('first again', ['apply', '--dir', site.folder, '--json', '--debug'], {
      env: environment(),
    });
    expect(run.code).toBe(5);
    passwords.push(passwordNow());
    expect(run.stdout.split(passwordNow())).toHaveLength(2);
    expect(run.events.find(({ event }) => event === 'admin')).toMatchObject({ password: passwordNow() });
  });

  test('commands that read, change and fail', async () => {
    const dir = ['--dir', site.folder, '--debug'];
    const mail = withMail(PASSWORDS.control);
    const rows: [string, string[], NodeJS.ProcessEnv, number][] = [
      ['again', ['apply', ...dir], environment(), 5],
      ['plan', ['plan', ...dir], mail, 0],
      ['plan --json', ['plan', '--json', ...dir], mail, 0],
      ['dry run', ['apply', '--dry-run', ...dir], mail, 0],
      ['status', ['status', ...dir], environment(), 0],
      ['status --json', ['status', '--json', ...dir], environment(), 0],
      ['secrets', ['secrets', ...dir], environment(), 0],
      ['secrets --json', ['secrets', '--json', ...dir], environment(), 0],
      ['prove', ['prove', ...dir], environment(), 5],
      ['prove --json', ['prove', '--json', ...dir], environment(), 5],
      ['doctor', ['doctor', ...dir], environment(), 0],
      ['another domain', ['apply', ...dir], { ...mail, FEDI_SNAC_DOMAIN: 'other.fedi.test' }, 3],
      ['no image', ['apply', '--json', ...dir], { ...mail, FEDI_IMAGES_SNAC: '127.0.0.1:9/none:1' }, 4],
      ['a password in the wrong place', ['apply', ...dir], { ...site.env, FEDI_MAIL_MODE: 'Mailsecret3' }, 2],
    ];
    for (const [what, argv, env, code] of rows) {
      const run = await watched(what, argv, { env });
      expect([what, run.code]).toEqual([what, code]);
    }
    // A secret given to an option that is not secret is printed; the test does not search for it below.
    outputs.splice(-2);

    writeFileSync(
      join(site.folder, 'compose.override.yaml'),
      'services: { snac: { env_file: [none.env] } }\n',
    );
    expect((await watched('broken override', ['apply', ...dir], { env: mail })).code).toBe(1);
    rmSync(join(site.folder, 'compose.override.yaml'));
    // A container that prints an error: its last lines are shown.
    writeFileSync(join(site.folder, 'env/snac.local.env'), 'SNAC_PORT=banana\n');
    expect((await watched('a container that does not start', ['apply', ...dir], { env: mail })).code).toBe(1);
    rmSync(join(site.folder, 'env/snac.local.env'));
    const repaired = await watched('repaired', ['apply', '--json', ...dir], { env: mail });
    expect([repaired.code, repaired.stderr]).toEqual([5, '']);
  });

  test('no secret was visible', () => {
    const words = secretWords();
    expect(Object.keys(words).map((name) => name.split(' ')[0])).toEqual(
      expect.arrayContaining(['site.key', 'snac.seal', 'snac.admin', 'mail.password', 'tls.root']),
    );
    for (const word of Object.values(words)) expect(word.length).toBeGreaterThan(10);

    const places = [...outputs];
    places.push({ what: 'arguments of processes', text: [...seenArguments].join('\n') });
    const ids = Object.values(site.containers());
    places.push({
      what: 'containers',
      text: docker(
        'inspect',
        '--format',
        '{{json .Config.Labels}} {{json .Config.Cmd}} {{json .Config.Entrypoint}} {{json .Config.Healthcheck}} {{json .Path}} {{json .Args}} {{.Name}}',
        ...ids,
      ),
    });
    for (const id of ids) places.push({ what: `logs of ${id}`, text: docker('logs', id) });
    places.push({ what: 'commands executed in containers', text: executed });
    // Files that everybody can read; files with mode 0600 may contain secrets.
    const files = Object.keys(snapshot(site.folder, (path) => /^(secrets\.json|env\/snac\.env)$/.test(path)));
    expect(files).toEqual(
      expect.arrayContaining([
        'fedi.yaml',
        'compose.yaml',
        'images.lock.yaml',
        '.fedi/manifest.json',
        '.fedi/generations/0001/compose.yaml',
      ]),
    );
    for (const path of files) {
      try {
        places.push({ what: path, text: site.read(path) });
      } catch {
        // a folder
      }
    }

    const found: string[] = [];
    for (const { what, text } of places) {
      for (const [name, word] of Object.entries(words))
        if (text.includes(word)) found.push(`${name} in ${what}`);
    }
    // Each admin password was shown by the run that generated it (see the tests above).
    expect(found.toSorted()).toEqual([
      'snac.admin 0 0 in first: stderr',
      'snac.admin 1 0 in first again: stdout',
    ]);
    expect(passwords).toHaveLength(2);
  });

  test('the search finds secrets', () => {
    expect([...seenArguments].some((line) => line.includes('fedi-setup') && line.includes(site.folder))).toBe(
      true,
    );
    expect([...seenArguments].some((line) => line.includes('docker') && line.includes('compose'))).toBe(true);
    expect(executed).toContain('exec_create: snac adduser /data anna');
  });
});
