/** The scripts for completion, in the real shells: what Tab offers at the end of a line. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { main } from '../../../wizard/cli/main.ts';
import { COMMANDS } from '../../../wizard/commands/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'fedi-completion-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const has = (shell: string): boolean => spawnSync(shell, ['-c', 'exit 0']).status === 0;
const fileOf = (shell: string): string => join(folder, `completion.${shell}`);

/** What `fedi-setup …` prints on standard output. */
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
    ['completion ', ['bash', 'zsh', 'fish']],
    ['apply --answers my', ['my.env']],
    ['snac --', [], ['--dir', '--json']],
  ] as [string, string[], string[]?][]
).map(([line, wanted, not = []]) => ({ line, wanted, not }));

describe.skipIf(!has('bash'))('bash', () => {
  const SIMULATE = `source "$1"; compopt() { :; }
COMP_WORDS=("\${@:2}"); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _fedi_setup; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const offered = (...words: string[]): string[] =>
    execFileSync('bash', ['-c', SIMULATE, 'bash', fileOf('bash'), 'fedi-setup', ...words], {
      cwd: folder,
      encoding: 'utf8',
    })
      .trim()
      .split('\n');

  test.each(LINES)('fedi-setup $line', ({ line, wanted, not = [] }) => {
    const found = offered(...line.split(' '));
    for (const one of wanted) expect(found).toContain(one);
    for (const one of not) expect(found).not.toContain(one);
  });
  // bash splits words at =.
  test('--flag=value', () => {
    expect(offered('apply', '--mail-mode', '=', 's')).toEqual(['smtp']);
    expect(offered('apply', '--mail-mode', '=')).toEqual(['none', 'smtp', 'catcher']);
    expect(offered('--mail-mode', '=', 'none', 'pl')).toEqual(['plan']);
  });
  test('is found by the shell as the function of fedi-setup', () => {
    const said = execFileSync('bash', ['-c', `source ${fileOf('bash')}; complete -p fedi-setup`], {
      encoding: 'utf8',
    });
    expect(said).toBe('complete -F _fedi_setup fedi-setup\n');
  });
});

describe.skipIf(!has('fish'))('fish', () => {
  const offered = (line: string): string[] =>
    execFileSync(
      'fish',
      ['--no-config', '-c', `source ${fileOf('fish')}; complete -C 'fedi-setup ${line}'`],
      {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, HOME: folder },
      },
    )
      .trim()
      .split('\n')
      .map((one) => one.split('\t')[0] ?? '');

  // fish offers flags only after a dash.
  test.each(LINES)('fedi-setup $line', ({ line, wanted, not = [] }) => {
    const found = offered(line);
    for (const one of wanted) expect(found).toContain(one);
    for (const one of not) expect(found).not.toContain(one);
  });
  test('--flag=value', () => {
    expect(offered('apply --mail-mode=s')).toContain('--mail-mode=smtp');
  });
});

describe.skipIf(!has('zsh'))('zsh', () => {
  test('takes the script', () => {
    const { status, stderr } = spawnSync('zsh', ['-f', '-n', fileOf('zsh')], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
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
  test('needs a shell it knows', async () => {
    expect(await refused('completion')).toContain('Which shell?');
    expect(await refused('completion', 'bsh')).toContain(
      'There is no completion for bsh. Did you mean bash?',
    );
  });
});
