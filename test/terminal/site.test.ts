/** A running site on a terminal: saved answers, hand-edited files, its own tool. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { docker, tool } from '../support/site.ts';
import {
  asShell,
  asked,
  closeTerminals,
  descendants,
  eventually,
  isAlive,
  terminal,
} from '../support/terminal.ts';
import type { Terminal, TerminalOptions } from '../support/terminal.ts';
import { place } from './place.ts';

const site = place('site', 43);
/** From here on fedi.yaml has all answers. */
const { FEDI_NAME: _name, FEDI_BIND: _bind, ...rest } = site.env;
const env = Object.fromEntries(Object.entries(rest).filter(([name]) => !name.startsWith('FEDI_')));

const wizard = (argv: readonly string[] = [], options: TerminalOptions = {}): Terminal =>
  terminal(argv, { cwd: site.cwd, env, ...options });

const containers = (): string =>
  docker('ps', '--filter', `label=com.docker.compose.project=${site.name}`, '--format', '{{.Names}} {{.ID}}');

const read = (path: string): string => readFileSync(join(site.folder, path), 'utf8');

/** A shell line in which `"$0"` is the tool. */
const sh = (line: string, input = ''): { status: number | null; stdout: string; stderr: string } =>
  spawnSync('bash', ['-c', line, inject('tool')], { cwd: site.cwd, env, input, encoding: 'utf8' });

let twin = '';

beforeAll(async () => {
  const answers = {
    FEDI_SNAC_DOMAIN: 'term.fedi.test',
    FEDI_SNAC_ADMIN: 'anna',
    FEDI_SNAC_EMAIL: 'anna@fedi.test',
  };
  const run = await tool(['apply', '--json'], {
    cwd: site.cwd,
    env: { ...site.env, ...answers, FEDI_TLS_MODE: 'internal' },
  });
  expect(run.code, run.stderr).toBe(0);
  // Only lines of JSON.
  for (const line of run.stdout.trimEnd().split('\n')) expect(JSON.parse(line)).toHaveProperty('event');
  expect(run.stderr).toBe('');
});
afterEach(closeTerminals);
afterAll(() => site.remove());

describe.sequential('a second run', () => {
  test('asks no saved answer again, and does nothing', async () => {
    const before = containers();
    const run = wizard();
    await run.until(asked('What now?'));
    expect(run.screen()).not.toContain('✔ Domain of snac');
    expect(run.screen()).toMatch(/Domain of snac +term\.fedi\.test/);
    await run.choose('What now?', 'Go');
    expect(await run.exit).toEqual({ code: 0, signal: 0 });
    expect(run.screen()).toMatch(/^Nothing to change\.$/m);
    expect(run.screen()).not.toMatch(/password/i);
    expect(containers()).toBe(before);
    twin = run.screen().split('The same without questions:\n')[1] ?? '';
  });

  test('the unattended command does the same', () => {
    const bin = join(site.cwd, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'fedi-setup'), `#!/bin/sh\nexec ${inject('tool')} "$@"\n`);
    chmodSync(join(bin, 'fedi-setup'), 0o755);
    const run = spawnSync('sh', ['-c', twin], {
      cwd: site.cwd,
      env: { ...env, PATH: `${bin}:${String(env['PATH'])}` },
      encoding: 'utf8',
    });
    expect(run).toMatchObject({ status: 0, stderr: 'Nothing to change.\n' });
  });

  test('applies and saves an answer changed in the review', async () => {
    const before = containers();
    const run = wizard();
    await run.choose('What now?', 'Change: Your e-mail address');
    await run.answer('Your e-mail address', 'berta@fedi.test');
    await run.until(/Your e-mail address +berta@fedi\.test/);
    await run.choose('What now?', 'Go');
    await run.choose('Apply this?', 'Show the differences');
    await run.until(/^\+ +email: berta@fedi\.test$[^]*^\? Apply this/m);
    expect(run.screen()).toMatch(/^(?:Files)? +~ fedi\.yaml$/m);
    expect(run.screen()).toMatch(/^-\s+email: anna@fedi\.test$/m);
    expect(run.screen()).toMatch(/^\+\s+email: berta@fedi\.test$/m);
    expect(run.screen()).toMatch(/env\/snac\.env:\n +~ SNAC_ADMIN_EMAIL \(hidden\)/);
    expect(run.screen()).toMatch(/^Recreate +snac \(\d+ s last time\)$/m);
    run.key('enter');
    expect(await run.exit).toEqual({ code: 0, signal: 0 });
    expect(read('fedi.yaml')).toContain('email: berta@fedi.test');
    const caddy = /\S*caddy\S* \S+/;
    expect(caddy.exec(containers())?.[0]).toBe(caddy.exec(before)?.[0]);
    expect(containers()).not.toBe(before);
    expect(run.screen()).not.toContain('shown only once');
  });

  test('a rejected plan returns to the review, and quitting changes nothing', async () => {
    const [before, yaml] = [containers(), read('fedi.yaml')];
    const run = wizard();
    await run.choose('What now?', 'Change: Your e-mail address');
    await run.answer('Your e-mail address', 'carla@fedi.test');
    await run.choose('What now?', 'Go');
    await run.choose('Apply this?', 'No');
    await run.choose('What now?', 'Quit');
    expect(await run.exit).toEqual({ code: 0, signal: 0 });
    expect(run.screen()).toContain('Nothing was changed.');
    expect([containers(), read('fedi.yaml')]).toEqual([before, yaml]);
    // It can be continued or discarded.
    const again = wizard();
    await again.choose('Your answers of', 'Start over');
    await again.until(asked('What now?'));
    expect(again.screen()).toMatch(/Your e-mail address +berta@fedi\.test/);
    again.key('ctrl-c');
    await again.exit;
    expect(existsSync(join(site.folder, '.fedi/conversation.json'))).toBe(false);
  });

  test('refuses another domain, there and by flag, and says what would be lost', async () => {
    const run = wizard();
    await run.choose('What now?', 'Change: Domain of snac');
    await run.answer('Domain of snac', 'other.fedi.test');
    await run.until('Followers, follows');
    await run.until(asked('What now?'));
    expect(run.screen()).toMatch(/Domain of snac +term\.fedi\.test/);
    expect(run.screen()).not.toMatch(/Domain of snac {2,}other\.fedi\.test/);
    run.key('ctrl-c');
    await run.exit;
    for (const words of [['apply'], ['plan'], ['apply', '--dry-run']]) {
      const unattended = await tool([...words, '--domain', 'other.fedi.test'], { cwd: site.cwd, env });
      expect(unattended.code).toBe(3);
      expect(unattended.stderr).toContain('Followers, follows and conversations would be lost');
      expect(unattended.stderr).toContain('Nothing was changed.');
    }
    const name = await tool(['apply', '--name', 'other'], { cwd: site.cwd, env });
    expect(name.code).toBe(3);
    expect(name.stderr).toContain(`This site is named ${site.name}; the answers now say other.`);
  });

  // wizard/ask/wizard.ts converse(): in later runs optional and secret rows have no `initial`, so they are asked every time.
  test('does not ask for a saved mail password again', async () => {
    const folder = join(site.cwd, 'mail');
    mkdirSync(folder);
    writeFileSync(
      join(folder, 'fedi.yaml'),
      'version: 1\napps:\n  snac:\n    domain: a.fedi.test\n    admin: anna\n    email: anna@fedi.test\n' +
        'mail:\n  mode: smtp\n  host: smtp.fedi.test\n  port: 587\n  security: starttls\n  user: anna\n  from: anna@fedi.test\n',
    );
    const secret = {
      class: 'free',
      created: '2026-01-01T00:00:00.000Z',
      fingerprint: '0'.repeat(16),
      value: 'correct horse',
    };
    writeFileSync(
      join(folder, 'secrets.json'),
      JSON.stringify({ version: 1, secrets: { 'mail.password': secret } }),
      { mode: 0o600 },
    );
    const run = wizard(['--dir', folder, '--dry-run']);
    await run.until(/^\? /m);
    expect(run.screen()).toMatch(asked('What now?'));
  });
});

describe.sequential('a file edited by hand', () => {
  const FILE = 'caddy/Caddyfile';
  const edit = (): string => {
    appendFileSync(join(site.folder, FILE), '# mine\n');
    return read(FILE);
  };
  const go = async (): Promise<Terminal> => {
    const run = wizard();
    await run.choose('What now?', 'Go');
    await run.until(asked('Apply this'));
    expect(run.screen()).toMatch(new RegExp(`~ ${FILE} +\\(changed by hand\\)`));
    run.key('enter');
    await run.until(asked(`Changed by hand: ${FILE}`));
    // The difference is above the question.
    expect(run.screen()).toMatch(/^-# mine$/m);
    return run;
  };

  test('without a terminal: refused, exit 3', async () => {
    const mine = edit();
    const run = await tool(['apply'], { cwd: site.cwd, env });
    expect(run.code).toBe(3);
    expect(run.stderr).toContain(`You edited generated files: ${FILE}`);
    expect(run.stderr).toContain('--edited keep');
    expect(read(FILE)).toBe(mine);
  });

  test('abort and Ctrl-C change nothing', async () => {
    const [mine, before] = [read(FILE), containers()];
    const abort = await go();
    await abort.choose('Changed by hand', 'Stop without changes');
    expect(await abort.exit).toEqual({ code: 3, signal: 0 });
    expect(abort.screen()).toContain('Nothing was changed.');
    const cancel = await go();
    cancel.key('ctrl-c');
    expect(await cancel.exit).toEqual({ code: 130, signal: 0 });
    expect(cancel.screen()).toMatch(/^Cancelled\. /m);
    expect([read(FILE), containers()]).toEqual([mine, before]);
  });

  test('keep: keeps it, and does not ask again', async () => {
    const mine = read(FILE);
    const run = await go();
    await run.choose('Changed by hand', 'Keep');
    expect(await run.exit).toEqual({ code: 0, signal: 0 });
    expect(read(FILE)).toBe(mine);
    const again = await tool(['apply'], { cwd: site.cwd, env });
    expect([again.code, read(FILE)]).toEqual([0, mine]);
  });

  test('replace: restores our version', async () => {
    edit();
    const run = await go();
    await run.choose('Changed by hand', 'Overwrite');
    expect(await run.exit).toEqual({ code: 0, signal: 0 });
    expect(read(FILE)).not.toContain('# mine');
  });
});

describe.sequential('a change, seen in any terminal', () => {
  /** Runs until the plan, then stops. */
  async function plan(run: Terminal): Promise<void> {
    await run.choose('What now?', 'Change: Outgoing mail');
    await run.choose('Outgoing mail', 'To a mail catcher');
    await run.choose('What now?', 'Go');
    await run.choose('Apply this?', 'Show the differences');
    await run.until(/SNAC_SMTP_URL[^]*^\? Apply this/m);
    run.key('ctrl-c');
    expect(await run.exit).toEqual({ code: 130, signal: 0 });
    for (const words of [/^\+ +mode: catcher$/m, /^Create +mail$/m, /~ SNAC_SMTP_URL \(hidden\)$/m])
      expect(run.screen()).toMatch(words);
    expect(run.screen()).toMatch(/^Cancelled\. Nothing was changed\.$/m);
    rmSync(join(site.folder, '.fedi/conversation.json'));
  }

  test('40 columns', async () => {
    const before = containers();
    const run = wizard([], { cols: 40 });
    await plan(run);
    expect(run.screen()).toContain('Outgoing mail: catcher');
    expect(containers()).toBe(before);
  });

  test('NO_COLOR', async () => {
    const run = wizard([], { env: { ...env, NO_COLOR: '1' } });
    await plan(run);
    // oxlint-disable-next-line no-control-regex
    expect(run.raw().match(/\u001b\[(?:3[0-8]|4[0-8]|9\d|10[0-7])(?:;\d+)*m/g) ?? []).toEqual([]);
  });

  test('a console without columns', async () => {
    const run = wizard(['-c', 'stty cols 0 rows 0; exec "$0"', inject('tool')], { program: '/bin/sh' });
    await plan(run);
    expect(run.raw().length).toBeLessThan(100_000);
  });

  test('resized at the menu and at the plan', async () => {
    const run = wizard();
    await run.until(asked('What now?'));
    run.resize(50, 20);
    await plan(run);
  });

  test('refuses a run if a file changes during the question', async () => {
    const [before, yaml] = [containers(), read('fedi.yaml')];
    const compose = read('compose.yaml');
    const run = wizard();
    await run.choose('What now?', 'Change: Outgoing mail');
    await run.choose('Outgoing mail', 'To a mail catcher');
    await run.choose('What now?', 'Go');
    await run.until(asked('Apply this?'));
    const mine = `${compose}# mine\n`;
    writeFileSync(join(site.folder, 'compose.yaml'), mine);
    run.key('enter');
    expect(await run.exit).toEqual({ code: 3, signal: 0 });
    expect(run.screen()).toContain('The site has changed since this plan was shown.');
    expect([containers(), read('fedi.yaml'), read('compose.yaml')]).toEqual([before, yaml, mine]);
    writeFileSync(join(site.folder, 'compose.yaml'), compose);
    rmSync(join(site.folder, '.fedi/conversation.json'));
  });

  test('the connection breaks while the plan is shown', async () => {
    const [before, yaml] = [containers(), read('fedi.yaml')];
    const run = wizard();
    await run.choose('What now?', 'Change: Outgoing mail');
    await run.choose('Outgoing mail', 'To a mail catcher');
    await run.choose('What now?', 'Go');
    await run.until(asked('Apply this'));
    run.hangUp();
    expect(asShell(await run.exit)).toBe(129);
    expect([containers(), read('fedi.yaml')]).toEqual([before, yaml]);
    const again = wizard();
    await again.choose('Your answers of', 'Continue with them');
    await again.until(/Outgoing mail +catcher/);
    await again.choose('What now?', 'Quit');
    await again.exit;
    const third = wizard();
    await third.choose('Your answers of', 'Start over');
    await third.until(/Outgoing mail +none/);
  });

  test('rollback shows the difference and asks', async () => {
    const [before, yaml] = [containers(), read('fedi.yaml')];
    const run = wizard(['rollback', '1']);
    await run.choose('Apply this?', 'Show the differences');
    await run.until(/^\+ +email: anna@fedi\.test$[^]*^\? Apply this/m);
    await run.choose('Apply this?', 'No');
    expect(await run.exit).toEqual({ code: 0, signal: 0 });
    expect(run.screen()).toContain('Nothing was changed.');
    expect([containers(), read('fedi.yaml')]).toEqual([before, yaml]);
  });
});

describe('progress', () => {
  const prove = (options: TerminalOptions): Terminal =>
    wizard(['prove'], { ...options, env: { ...env, ...options.env } });

  test.for([{ TERM: 'dumb' }, { CI: '1' }] as const)('%o: plain lines, each once', async (more) => {
    const run = prove({ env: more });
    expect(await run.exit).toEqual({ code: 0, signal: 0 });
    expect(run.screen().match(/^✔ Log-in/gm)).toHaveLength(1);
    expect(run.raw()).not.toContain('\u001b');
  });

  // wizard/progress.ts: ora colours its spinner with chalk, which ignores NO_COLOR.
  test('NO_COLOR: no colour', async () => {
    const run = prove({ env: { NO_COLOR: '1' } });
    expect((await run.exit).code).toBe(0);
    // oxlint-disable-next-line no-control-regex
    expect(run.raw().match(/\u001b\[[1-9][\d;]*m/g) ?? []).toEqual([]);
  });

  test('in colours: with the same marks', async () => {
    const run = prove({});
    expect((await run.exit).code).toBe(0);
    expect(run.screen().match(/^✔ /gm)).toHaveLength(8);
  });

  test('a console without columns gets lines, not endless codes', async () => {
    const run = wizard(['-c', 'stty cols 0; exec "$0" prove', inject('tool')], { program: '/bin/sh' });
    expect(await run.exit).toEqual({ code: 0, signal: 0 });
    expect(run.screen().match(/^✔ /gm)).toHaveLength(8);
    expect(run.raw().length).toBeLessThan(10_000);
  });

  test('40 columns: each line once', async () => {
    const run = prove({ cols: 40 });
    expect((await run.exit).code).toBe(0);
    expect(run.screen().match(/^✔ /gm)).toHaveLength(8);
    expect(run.screen().split('\n')).toHaveLength(8);
  });
});

describe('fedi-setup snac …', () => {
  const snac = (): string => docker('ps', '--quiet', '--filter', `name=${site.name}-snac`);
  const posts = (): string => docker('exec', snac(), 'sh', '-c', 'cat /data/user/anna/public/*.json');

  test('quotes arrive unchanged', () => {
    const text = `it's "quoted" $HOME \\n * a  b`;
    const run = sh(`"$0" snac note anna "$(cat)"`, text);
    expect(run).toMatchObject({ status: 0 });
    expect(posts()).toContain(JSON.stringify(text).slice(1, -1));
  });

  test('standard input and output are pipes', () => {
    const run = sh('"$0" snac note anna - | cat', 'typed into a pipe\n');
    expect(run.status).toBe(0);
    expect(posts()).toContain('typed into a pipe');
    // No output of ours in what another program reads.
    expect(run.stdout).not.toContain('\u001b');
  });

  test.for([
    ['adduser "not valid"', 1],
    ['resetpwd nobody', 1],
  ] as const)('%s: exits with its code %i', ([words, code]) => {
    const run = sh(`"$0" snac ${words}`);
    expect(run.status).toBe(code);
    expect(run.stdout + run.stderr).not.toContain('Internal error in fedi-setup');
  });

  test('its flags are passed to it', () => {
    const run = sh('"$0" snac --help');
    expect(run.stdout + run.stderr).not.toContain('Usage: fedi-setup');
  });

  /** From here on the program inside reads. */
  const reads = (): Promise<true> =>
    eventually(
      'snac note in the container',
      () => docker('top', snac()).includes('snac note /data anna -') && true,
    );

  test('on a terminal: passes on typed text and the exit code', async () => {
    const run = wizard(['snac', 'note', 'anna', '-']);
    await reads();
    run.type('typed by hand\r');
    await run.until('typed by hand');
    run.key('ctrl-d');
    expect(await run.exit).toEqual({ code: 0, signal: 0 });
    expect(posts()).toContain('typed by hand');
    const bad = wizard(['snac', 'resetpwd', 'nobody']);
    expect(await bad.exit).toEqual({ code: 1, signal: 0 });
  });

  test('on a terminal: Ctrl-C reaches the program inside', async () => {
    const run = wizard(['snac', 'note', 'anna', '-']);
    await reads();
    run.type('half a post');
    await run.until('half a post');
    const children = descendants(run.pid);
    run.key('ctrl-c');
    expect(await run.exit).toEqual({ code: 130, signal: 0 });
    await eventually('its programs are gone', () => !children.some(isAlive));
    expect(docker('top', snac())).not.toContain('snac note');
    expect(posts()).not.toContain('half a post');
  });

  /** Signals the tool while its docker process runs, and waits for the end of that process. */
  async function stopped(name: NodeJS.Signals, ready: () => Promise<unknown>): Promise<unknown> {
    const child = spawn(inject('tool'), ['snac', 'note', 'anna', '-'], { cwd: site.cwd, env });
    const ended = new Promise((resolve) => {
      child.on('exit', (...how) => resolve(how));
    });
    try {
      const children = await eventually('docker compose exec', () => {
        const now = descendants(child.pid as number);
        return now.some(({ command }) => / exec .*note/.test(command)) && now;
      });
      await ready();
      child.kill(name);
      const how = await ended;
      await eventually('its programs are gone', () => !children.some(isAlive));
      return how;
    } finally {
      child.stdin.destroy();
      child.kill('SIGKILL');
    }
  }

  const SIGNALS = [
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const;

  test.for(SIGNALS)('%s ends it and its docker process', async ([name, code]) => {
    expect(await stopped(name, reads)).toEqual([code, null]);
  });

  // wizard/docker/run.ts stopChildren(): `docker compose` loses a signal in its first 200 ms or so, and the
  // next ones too; without a final SIGKILL the tool waits forever.
  test('SIGTERM while its docker process starts ends both too', { timeout: 30_000 }, async () => {
    expect(await stopped('SIGTERM', async () => undefined)).toEqual([143, null]);
  });

  test('--dir finds the site from any directory', () => {
    const out = execFileSync(inject('tool'), ['--dir', site.folder, 'snac', 'state'], {
      cwd: '/',
      env,
      encoding: 'utf8',
    });
    expect(out).toContain('server');
  });
});
