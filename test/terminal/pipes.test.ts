/** Without a terminal there are no prompts; output suits programs and screens of 80 columns. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, inject, test } from 'vitest';
import { environment } from '../support/site.ts';
import { closeTerminals, terminal } from '../support/terminal.ts';
import { DRY, place } from './place.ts';

const site = place('pipes', 44);
const scratch = mkdtempSync(join(tmpdir(), 'fedi-term-scratch-'));
afterEach(closeTerminals);
afterAll(() => {
  site.remove();
  rmSync(scratch, { recursive: true, force: true });
});

const version = (
  JSON.parse(readFileSync(fileURLToPath(new URL('../../package.json', import.meta.url)), 'utf8')) as {
    version: string;
  }
).version;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A shell line in which `"$0"` is the tool. */
function sh(line: string, env: NodeJS.ProcessEnv = site.env, input = ''): Ended {
  const { status, stdout, stderr } = spawnSync('bash', ['-c', line, inject('tool')], {
    cwd: site.cwd,
    env,
    input,
    encoding: 'utf8',
  });
  return { code: status, stdout, stderr };
}

const MISSING = ['--snac-domain', 'FEDI_SNAC_DOMAIN', '--snac-admin', '--snac-email'];

function expectMissingAnswers(text: string): void {
  for (const one of MISSING) expect(text).toContain(one);
  expect(text).toContain('Nothing was changed.');
  // A prompt would show its question mark.
  expect(text).not.toMatch(/^\? /m);
  expect(text).not.toMatch(/^ +at .*:\d+:\d+/m);
  expect(readdirSync(site.cwd)).toEqual([]);
}

// oxlint-disable-next-line no-control-regex
const NO_CODES = /^[^\u001b\u009b]*$/;

describe('no terminal', () => {
  test.for([
    ['closed', '"$0" <&-'],
    ['/dev/null', '"$0" </dev/null'],
    ['a pipe with the answers', `printf 'snac\\nsocial.example.org\\nanna\\nanna@example.org\\n' | "$0"`],
    ['an endless pipe', 'yes | "$0"'],
  ] as const)('stdin is %s', ([, line]) => {
    const run = sh(line);
    expect(run.code).toBe(2);
    expect(run.stdout).toBe('');
    expect(run.stderr).toMatch(NO_CODES);
    expectMissingAnswers(run.stderr);
  });

  test.for([
    ['closed', 'exec "$0" <&-'],
    ['/dev/null', 'exec "$0" </dev/null'],
    ['a pipe', `printf 'snac\\n' | "$0"`],
  ] as const)('stdin is %s, though a terminal shows the output', async ([, line]) => {
    const run = terminal(['-c', line, inject('tool')], {
      program: '/bin/sh',
      cwd: site.cwd,
      env: site.env,
      cols: 200,
    });
    expect(await run.exit).toEqual({ code: 2, signal: 0 });
    expectMissingAnswers(run.screen());
  });

  test('--yes on a terminal asks nothing', async () => {
    const run = terminal(['--yes'], { cwd: site.cwd, env: site.env, cols: 200 });
    expect(await run.exit).toEqual({ code: 2, signal: 0 });
    expectMissingAnswers(run.screen());
  });

  // wizard/answers/questions.ts tls.email: its default is the admin's address, so it is not missing.
  test('an answer derived from a missing one is not reported as missing', () => {
    expect(sh('"$0" apply').stderr).toContain('--snac-email');
    expect(sh('"$0" apply').stderr).not.toContain('--tls-email');
  });

  test('answers on standard input are read on request', () => {
    const answers =
      'FEDI_SNAC_DOMAIN=social.example.org\nFEDI_SNAC_ADMIN=anna\nFEDI_SNAC_EMAIL=anna@example.org\n';
    const run = sh('"$0" plan --answers -', site.env, answers);
    expect(run.stderr).toBe('');
    expect(run.code).toBe(0);
    expect(run.stdout).toContain('Account anna');
    expect(run.stdout).toMatch(NO_CODES);
    expect(readdirSync(site.cwd)).toEqual([]);
  });
});

describe('plain output', () => {
  const complete = {
    ...site.env,
    FEDI_SNAC_DOMAIN: 'social.example.org',
    FEDI_SNAC_ADMIN: 'anna',
    FEDI_SNAC_EMAIL: 'anna@example.org',
  };

  test.for([{}, { NO_COLOR: '1' }, { TERM: 'dumb' }, { CI: '1' }] as const)(
    'without a terminal, %o: no escape codes',
    (more) => {
      const run = sh(`"$0" apply ${DRY.join(' ')}`, { ...complete, ...more });
      expect(run.code).toBe(0);
      expect(run.stderr).toMatch(/^✔ This host: Docker/m);
      expect(run.stdout + run.stderr).toMatch(NO_CODES);
      const wrong = sh('"$0" nonsense', { ...site.env, ...more });
      expect(wrong.stderr).toMatch(/^Error: Unknown command: nonsense\./m);
      expect(wrong.stderr).toMatch(NO_CODES);
    },
  );

  test.for([{ TERM: 'dumb' }, { CI: '1' }] as const)('on a terminal, %o: plain lines', async (more) => {
    const run = terminal(['apply', ...DRY], { cwd: site.cwd, env: { ...complete, ...more } });
    expect((await run.exit).code).toBe(0);
    expect(run.screen()).toMatch(/^✔ This host: Docker/m);
    expect(run.raw()).toMatch(NO_CODES);
  });

  test('TERM=dumb on a terminal: an error has no escape codes', async () => {
    const run = terminal(['nonsense'], { cwd: site.cwd, env: environment({ TERM: 'dumb' }) });
    expect((await run.exit).code).toBe(2);
    expect(run.screen()).toMatch(/^Error: /m);
    expect(run.raw()).toMatch(NO_CODES);
  });

  test('NO_COLOR on a terminal: an error has no escape codes', async () => {
    const run = terminal(['nonsense'], { cwd: site.cwd, env: environment({ NO_COLOR: '1' }) });
    expect((await run.exit).code).toBe(2);
    expect(run.screen()).toMatch(/^Error: /m);
    expect(run.raw()).toMatch(NO_CODES);
  });
});

describe('help and version', () => {
  test.for([
    ['--help', ['apply', 'doctor', 'snac', '--dir', '--json']],
    ['-h', ['apply', 'doctor', 'snac', '--dir', '--json']],
    ['apply --help', ['apply', '--dir', '--json', '--edited', '--snac-domain']],
    ['--help apply', ['apply', '--dir', '--json', '--edited', '--snac-domain']],
    ['help doctor', ['doctor', '--fix', '--json']],
  ] as const)('%s fits 80 columns', ([words, has]) => {
    const run = sh(`"$0" ${words}`);
    expect(run.code).toBe(0);
    expect(run.stderr).toBe('');
    // The name of an image is one word, however long.
    const long = run.stdout.split('\n').filter((line) => line.length > 80);
    expect(long.filter((line) => /\s/.test(line.trim()))).toEqual([]);
    for (const word of has) expect(run.stdout).toContain(word);
    expect(run.stdout).toMatch(NO_CODES);
  });

  test.for(['--version', '-v', '-V', 'version'])('%s', (flag) => {
    expect(sh(`"$0" ${flag}`)).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  // wizard/bin.ts handles it only as the single argument; wizard/cli/ parses it and does nothing.
  test.for(['--debug --version', 'apply --version', '--version --json'])('%s', (words) => {
    expect(sh(`"$0" ${words}`)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(version) as string,
    });
  });
});

describe('unknown words', () => {
  test.for([
    ['aply', 'Unknown command: aply. Did you mean apply?'],
    ['docter', 'Did you mean doctor?'],
    ['help docter', 'Did you mean doctor?'],
    ['apply now', 'Unexpected argument: now'],
    ['--domian x.example.org', 'There is no --domian. Did you mean --domain?'],
    ['--snac-domian=x.example.org', 'Did you mean --snac-domain?'],
    ['--domian', 'There is no --domian. Did you mean --domain?'],
    ['--mail-password hunter2', 'Did you mean --mail-password-file?'],
    ['--yes=no', '--yes takes no value.'],
    ['--dir', '--dir takes a value.'],
    ['--edited maybe', '--edited must be keep, replace or abort.'],
  ] as const)('%s', ([words, expected]) => {
    const run = sh(`"$0" ${words}`);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain(expected);
    expect(run.stderr).toContain('Next: ');
    expect(run.stderr).not.toMatch(/^ +at .*:\d+:\d+/m);
    expect(run.stdout).toBe('');
  });

  test('a misspelled variable', () => {
    const run = sh('"$0" apply', { ...site.env, FEDI_SNAC_DOMIAN: 'x.example.org' });
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('There is no FEDI_SNAC_DOMIAN. Did you mean FEDI_SNAC_DOMAIN?');
  });

  // wizard/answers/resolve.ts keyOfFlag(): it searches for the nearest name among answers only.
  test.for([
    ['--dry-rn', 'Did you mean --dry-run?'],
    ['--jsn apply', 'Did you mean --json?'],
    ['--anwers my.env', 'Did you mean --answers?'],
  ] as const)('%s', ([words, expected]) => {
    expect(sh(`"$0" ${words}`).stderr).toContain(expected);
  });

  // wizard/cli/argv.ts firstWord(): the value of any flag except --dir is taken for an app's tool.
  test('--apps snac is an answer, not the command snac', () => {
    const run = sh('"$0" --apps snac');
    expect(run.code).toBe(2);
    expectMissingAnswers(run.stderr);
  });

  test('help', () => {
    expect(sh('"$0" help').stdout).toContain('Usage: fedi-setup');
  });
});

describe('--json', () => {
  const lines = (run: Ended): unknown[] =>
    run.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);

  test('a problem is an event', () => {
    const run = sh('"$0" apply --json');
    expect(run.code).toBe(2);
    expect(lines(run)).toMatchObject([{ event: 'problem', exit: 2 }]);
    expect(JSON.stringify(lines(run))).toContain('--snac-domain');
  });

  test('on a terminal it does not prompt, and standard output is lines of JSON', async () => {
    const file = join(scratch, 'out.jsonl');
    const run = terminal(['-c', `exec "$0" --json > ${file}`, inject('tool')], {
      program: '/bin/sh',
      cwd: site.cwd,
      env: site.env,
      cols: 200,
    });
    expect((await run.exit).code).toBe(2);
    expectMissingAnswers(run.screen());
    expect(lines({ code: 2, stdout: readFileSync(file, 'utf8'), stderr: '' })).toMatchObject([
      { event: 'problem' },
    ]);
  });

  test('also for a plan', () => {
    const answers =
      'FEDI_SNAC_DOMAIN=social.example.org\nFEDI_SNAC_ADMIN=anna\nFEDI_SNAC_EMAIL=anna@example.org\n';
    const run = sh('"$0" plan --json --answers -', site.env, answers);
    expect(run.code).toBe(0);
    expect(lines(run)).toMatchObject([{ event: 'plan', folder: site.folder }]);
  });
});

describe('a closed pipe', () => {
  test('| head -1', () => {
    const run = sh('"$0" --help | head -1');
    expect(run.stdout).toMatch(/^fedi-setup: .*\n$/);
    expect(run.stderr).toBe('');
  });

  test.for(['stdout', 'stderr'] as const)('%s is closed before anything is written', async (name) => {
    const child = spawn(inject('tool'), name === 'stdout' ? ['--help'] : ['nonsense'], {
      cwd: site.cwd,
      env: site.env,
    });
    child[name].destroy();
    let text = '';
    child[name === 'stdout' ? 'stderr' : 'stdout'].on('data', (chunk: Buffer) => (text += chunk.toString()));
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
      child.on('close', (...ended) => resolve(ended));
    });
    expect(signal).toBe(null);
    expect([0, 1, 2]).toContain(code);
    expect(text).toBe('');
  });
});

describe('Node', () => {
  test.for(['18.20.4', '20.14.0', '16.0.0', '4.9.1'])('refuses %s with an explanation', (old) => {
    const preload = join(scratch, `node-${old}.cjs`);
    writeFileSync(
      preload,
      `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${old}' } });\n`,
    );
    const run = sh('"$0" --version', { ...site.env, NODE_OPTIONS: `--require ${preload}` });
    expect(run).toMatchObject({ code: 4, stdout: '' });
    expect(run.stderr).toContain(`fedi-setup needs Node.js 20.15 or newer; this is ${old}.`);
    expect(run.stderr).toContain('Next: ');
    expect(run.stderr).not.toMatch(/^ +at .*:\d+:\d+/m);
  });

  test.for(['22', '24'])('%s runs it', (major, { skip }) => {
    const home = join(scratch, `node${major}`);
    const name = `node-${process.platform}-${process.arch}`;
    const install = spawnSync(
      'npm',
      ['install', '--silent', '--no-save', '--ignore-scripts', '--prefix', home, `${name}@${major}`],
      { encoding: 'utf8', cwd: scratch },
    );
    const node = join(home, 'node_modules', name, 'bin/node');
    const have = spawnSync(node, ['--version'], { encoding: 'utf8' });
    if (install.status !== 0 || have.status !== 0) {
      console.log(`Node ${major} cannot be installed from the npm package ${name}: ${install.stderr.trim()}`);
      skip();
    }
    expect(have.stdout).toMatch(new RegExp(`^v${major}\\.`));
    const run = (flag: string): string =>
      execFileSync(node, [inject('tool'), flag], { encoding: 'utf8', cwd: site.cwd, env: site.env });
    expect(run('--version')).toBe(`${version}\n`);
    expect(run('--help')).toBe(sh('"$0" --help').stdout);
    const asked = spawnSync(node, [inject('tool')], {
      encoding: 'utf8',
      cwd: site.cwd,
      env: site.env,
      input: '',
    });
    expect(asked.status).toBe(2);
    expectMissingAnswers(asked.stderr);
  });
});
