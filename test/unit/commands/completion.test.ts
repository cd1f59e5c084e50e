/** The completion scripts in real shells: the candidates of Tab at the end of a line. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { main } from '../../../wizard/cli/main.ts';
import { COMMANDS } from '../../../wizard/commands/index.ts';
import { closeTerminals, terminal } from '../../support/terminal.ts';
import type { Terminal } from '../../support/terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'fedi-completion-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const has = (shell: string): boolean => spawnSync(shell, ['-c', 'exit 0']).status === 0;
const fileOf = (shell: string): string => join(folder, `completion.${shell}`);

/** Standard output of `fedi-setup …`. */
async function printed(...argv: string[]): Promise<string> {
  let text = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  expect(await main(argv)).toBe(0);
  vi.restoreAllMocks();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'uncaughtException'])
    process.removeAllListeners(signal);
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners('error');
  return text;
}

beforeAll(async () => {
  for (const shell of ['bash', 'zsh', 'fish'])
    writeFileSync(fileOf(shell), await printed('completion', shell));
  writeFileSync(join(folder, 'my.env'), '');
});
beforeEach(() => vi.restoreAllMocks());

const commands = COMMANDS.map(({ name }) => name).filter(Boolean);

interface Line {
  /** Up to the cursor. */
  readonly line: string;
  readonly wanted: readonly string[];
  readonly not?: readonly string[];
}
const LINES: readonly Line[] = (
  [
    ['', [...commands, 'snac', 'tootctl', 'artisan'], ['--dir']],
    ['ap', ['apply'], ['plan']],
    ['--dir /srv ap', ['apply']],
    ['--json ap', ['apply']],
    ['plan --ch', ['--check']],
    [
      'apply --',
      ['--dry-run', '--answers', '--mail-mode', '--snac-domain', '--domain', '--dir'],
      ['--check', '--data'],
    ],
    ['--snac-do', ['--snac-domain']],
    ['status --', ['--json', '--dir'], ['--snac-domain', '--dry-run']],
    ['apply --edited ', ['keep', 'replace', 'abort'], ['apply', '--dir']],
    ['apply --mail-mode s', ['smtp'], ['none']],
    ['apply --apps ', ['snac', 'mastodon', 'pixelfed']],
    ['add ', ['snac', 'mastodon', 'pixelfed'], ['apply']],
    ['--dir /srv remove ma', ['mastodon']],
    ['secrets ', ['list', 'export', 'set', 'rotate']],
    ['help unin', ['uninstall']],
    ['user ', ['list', 'add', 'password', 'role', 'disable', 'enable']],
    ['user add ', ['snac', 'mastodon', 'pixelfed']],
    ['user role snac anna ', ['admin', 'moderator', 'user']],
    ['user --', ['--email', '--password-file', '--role', '--dir'], ['--domain', '--answers']],
    ['user add x --role m', ['moderator'], ['admin']],
    ['completion ', ['bash', 'zsh', 'fish']],
    ['apply --answers my', ['my.env']],
    ['snac --', [], ['--dir', '--json']],
  ] as [string, string[], string[]?][]
).map(([line, wanted, not = []]) => ({ line, wanted, not }));

/** Lines that complete the value of --flag=value. */
const EQUALS: readonly Line[] = [
  { line: 'apply --mail-mode=s', wanted: ['smtp'] },
  { line: 'apply --mail-mode=', wanted: ['none', 'smtp', 'catcher'] },
  { line: '--mail-mode=none pl', wanted: ['plan'] },
];

/** Runs the shell once for all lines; the program prints the candidates, and a line with --- after each. */
function offers(shell: string, argv: readonly string[]): string[][] {
  const text = execFileSync(shell, argv, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, HOME: folder },
  });
  return text.split('---\n').map((part) => part.trim().split('\n'));
}

describe.skipIf(!has('bash'))('bash', () => {
  const lines = [...LINES, ...EQUALS];
  /** bash splits words at =. */
  const split = (line: string): string =>
    line
      .replaceAll('=', ' = ')
      .split(/ /)
      .filter((word, i, all) => word !== '' || i === all.length - 1)
      .map((word) => `'${word}'`)
      .join(' ');
  let offered: string[][] = [];
  beforeAll(() => {
    const program = `source "$1"; compopt() { :; }
${lines
  .map(
    ({ line }) =>
      `COMP_WORDS=(fedi-setup ${split(line)}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _fedi_setup; printf '%s\\n' "\${COMPREPLY[@]}" ---`,
  )
  .join('\n')}`;
    offered = offers('bash', ['-c', program, 'bash', fileOf('bash')]);
  });

  test.each(lines.map((line, i) => ({ ...line, i })))('fedi-setup $line', ({ wanted, not = [], i }) => {
    const found = offered[i] ?? [];
    for (const one of wanted) expect(found).toContain(one);
    for (const one of not) expect(found).not.toContain(one);
  });
  test('is the function that the shell calls for fedi-setup', () => {
    expect(offers('bash', ['-c', `source ${fileOf('bash')}; complete -p fedi-setup`])).toEqual([
      ['complete -F _fedi_setup fedi-setup'],
    ]);
  });
});

describe.skipIf(!has('fish'))('fish', () => {
  const lines = [
    ...LINES,
    // It returns the whole word.
    ...EQUALS.map(({ line, wanted }) => ({
      line,
      wanted: line.endsWith('pl') ? wanted : wanted.map((one) => `--mail-mode=${one}`),
      not: [],
    })),
  ];
  let offered: string[][] = [];
  beforeAll(() => {
    const program = lines.map(({ line }) => `complete -C 'fedi-setup ${line}'; echo ---`).join('\n');
    offered = offers('fish', ['--no-config', '-c', `source ${fileOf('fish')}\n${program}`]).map((found) =>
      found.map((one) => one.split('\t')[0] ?? ''),
    );
  });

  test.each(lines.map((line, i) => ({ ...line, i })))('fedi-setup $line', ({ wanted, not = [], i }) => {
    const found = offered[i] ?? [];
    for (const one of wanted) expect(found).toContain(one);
    for (const one of not) expect(found).not.toContain(one);
  });
});

describe.skipIf(!has('zsh'))('zsh', () => {
  let run: Terminal;
  let lines = 0;
  beforeAll(async () => {
    run = terminal(['-f', '-i'], {
      program: execFileSync('sh', ['-c', 'command -v zsh'], { encoding: 'utf8' }).trim(),
      cwd: folder,
      env: { PATH: process.env['PATH'], HOME: folder },
      rows: 200,
      cols: 160,
    });
    run.type(
      `PS1='> '; autoload -U compinit && compinit -u -D; LISTMAX=1000; source ${fileOf('zsh')}; echo rea''dy\r`,
    );
    await run.until(/^ready$/m);
  });
  afterAll(closeTerminals);

  /** The screen after Tab. */
  async function offered(line: string, until: (screen: string) => boolean): Promise<string> {
    run.key('ctrl-u');
    run.type(`clear; echo rea''dy ${++lines}\r`);
    await run.until(() => run.screen().startsWith(`ready ${lines}\n`));
    run.type(`fedi-setup ${line}\t`);
    await run.until(() => until(run.screen()));
    return run.screen();
  }

  test.each(LINES.filter(({ wanted }) => wanted.length === 1))(
    'fedi-setup $line',
    async ({ line, wanted: [one = ''] }) => {
      const whole = `fedi-setup ${line.split(' ').slice(0, -1).concat(one).join(' ')}`;
      await offered(line, (screen) => screen.includes(whole));
    },
  );
  test.each(LINES.filter(({ wanted }) => wanted.length > 1))(
    'fedi-setup $line',
    async ({ line, wanted, not = [] }) => {
      const listed = (screen: string): string[] =>
        screen
          .slice(screen.lastIndexOf('> fedi-setup'))
          .split('\n')
          .slice(1)
          .flatMap((row) => row.split(/\s+/));
      const screen = await offered(line, (text) => wanted.every((one) => listed(text).includes(one)));
      for (const one of not) expect(listed(screen)).not.toContain(one);
    },
  );
  test('--flag=value', async () => {
    await offered('apply --mail-mode=s', (screen) => screen.includes('--mail-mode=smtp'));
  });
});

describe('the command', () => {
  const refused = async (...argv: string[]): Promise<string> => {
    let text = '';
    vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
      text += String(chunk);
      return true;
    });
    expect(await main(argv)).toBe(2);
    vi.restoreAllMocks();
    return text;
  };
  test('needs a supported shell', async () => {
    expect(await refused('completion')).toContain('Which shell?');
    expect(await refused('completion', 'bsh')).toContain(
      'There is no completion for bsh. Did you mean bash?',
    );
  });
});
