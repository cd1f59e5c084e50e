/** The command line, as far as it works without an engine. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { main } from '../../wizard/cli/main.ts';
import { flagsOf, readArgv, refuseSurplus } from '../../wizard/cli/argv.ts';
import { ALL_QUESTIONS } from '../../wizard/answers/questions.ts';
import { COMMON } from '../../wizard/commands/flags.ts';
import { COMMANDS } from '../../wizard/commands/index.ts';
import { flagOf } from '../../wizard/config/question.ts';
import { Store } from '../../wizard/secrets/store.ts';
import { tempFolder, writeTree } from '../support/temp.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
let said = '';
beforeEach(() => {
  said = '';
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      said += String(text);
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  for (const signal of SIGNALS) process.removeAllListeners(signal);
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners('error');
});

const exits = async (...argv: string[]): Promise<number> => main(argv);

test.each([
  [['aply'], 2, 'Unknown command: aply. Did you mean apply?'],
  [['tootclt'], 2, 'Did you mean tootctl?'],
  [['quux'], 2, 'Unknown command: quux.'],
  [['apply', 'more'], 2, 'Unexpected argument: more'],
  [['apply', '--dir'], 2, '--dir takes a value'],
  [['uninstall', '--dir', '--data'], 2, '--dir takes a value'],
  [['apply', '--json=x'], 2, '--json takes no value'],
  [['apply', '--domian', 'x'], 2, 'Did you mean --domain?'],
  [['apply', '--domian=x'], 2, 'Did you mean --domain?'],
  [['apply', '--domain'], 2, '--domain takes a value'],
  [['upgrade', '--database'], 2, 'Did you mean --databases?'],
  [['apply', '--password-file', '/nonexistent'], 2, '--password-file /nonexistent cannot be read'],
  [['apply', '--password', '/nonexistent'], 2, 'There is no --password. Did you mean --password-file?'],
  [['apply', '--edited', 'maybe'], 2, '--edited must be'],
  [['apply', '--answers', '/nonexistent'], 2, '/nonexistent cannot be read'],
  [['uninstall', '--data', '--confirm', 'x', '--dry-run'], 2, '`uninstall` does not take --dry-run'],
  [['reset', '--dry-run'], 2, '`reset` does not take --dry-run'],
  [['secrets', 'rotate', 'site.key', '--dry-run'], 2, '`secrets` does not take --dry-run'],
  [['doctor', '--fix', '--dry-run'], 2, '`doctor` does not take --dry-run'],
  [['--dry-run', 'snac', 'deluser'], 2, '`snac` does not take --dry-run'],
  [['apply', '--check'], 2, 'Did you mean `fedi-setup plan --check`, or --dry-run?'],
  [['--check'], 2, '`fedi-setup` does not take --check'],
  [
    ['status', '--swap', '4'],
    2,
    'These commands take it: `fedi-setup` alone, apply, plan, lab, add, remove, rollback, secrets, restore, media.',
  ],
  [['status', '--check'], 2, 'These commands take it: plan, upgrade.'],
  [['prove', '--data'], 2, 'These commands take it: remove, reset, uninstall.'],
  [['apply', '--data'], 2, '`apply` does not take --data.'],
  [['uninstall', '--edited', 'keep'], 2, '`uninstall` does not take --edited'],
  [['doctor', '--mail'], 2, 'These commands take it: prove.'],
  [['prove', '--fix'], 2, 'These commands take it: doctor.'],
  [['mail', '--confirm', 'x'], 2, '`mail` does not take --confirm'],
  [['rollback', '1', '--answers', 'x'], 2, '`rollback` does not take --answers'],
  [['status', '--snac-domain', 'x'], 2, '`status` does not take --snac-domain.'],
  [
    ['rollback', '1', '--domain', 'x'],
    2,
    'These commands take answers: `fedi-setup` alone, apply, plan, lab, add, media.',
  ],
  [['secrets', '--mail-mode=none'], 2, '`secrets` does not take --mail-mode'],
  [['status', '--domian', 'x'], 2, 'Did you mean --domain?'],
  [['--snac-domain', 'x', 'snac', 'adduser'], 2, '`snac` does not take --snac-domain'],
  [['--swap', '1', 'snac', 'adduser'], 2, '`snac` does not take --swap'],
  [['--help'], 0, 'Usage: fedi-setup'],
  [['help'], 0, 'Usage: fedi-setup [COMMAND]'],
  [['--help', 'snac'], 0, 'Usage: fedi-setup snac [ARGUMENT…]'],
  [['help', 'snac'], 0, 'Usage: fedi-setup snac [ARGUMENT…]'],
  [['help', 'prove'], 0, 'Usage: fedi-setup prove [FLAG…]'],
  [['apply', '-h'], 0, 'Usage: fedi-setup apply [FLAG…]'],
  [['rollback', '--help'], 0, 'Usage: fedi-setup rollback [NUMBER] [FLAG…]'],
  [['help', 'aply'], 2, 'Unknown command: aply. Did you mean apply?'],
  [['aply', '--help'], 2, 'Unknown command: aply. Did you mean apply?'],
  [['help', 'apply', 'plan'], 2, 'Unexpected argument: plan'],
  [['help', '--data'], 2, '`help` does not take --data'],
  [['-x'], 2, 'There is no -x.'],
  [['-V'], 0, '0.0.0-source'],
  [['version'], 0, '0.0.0-source'],
  [['apply', '--version'], 0, '0.0.0-source'],
  [['version', '--json'], 0, '{"event":"version","version":"0.0.0-source"}'],
])('%j → %i, %s', async (argv, code, part) => {
  expect(await exits(...argv)).toBe(code);
  expect(said).toContain(part);
});

/** Names of the flags in a help text. */
const flagsIn = (text: string): string[] =>
  [...text.matchAll(/^ {2}(?:-\w, )* *--([\w-]+)/gm)].map(([, flag = '']) => flag);

describe('help', () => {
  test('of a command shows its flags only', async () => {
    expect(await exits('doctor', '--help')).toBe(0);
    expect(flagsIn(said)).toEqual(['skip-check', 'fix', 'tune', ...COMMON.map(({ name }) => name)]);
    said = '';
    await exits('plan', '--help');
    const flags = flagsIn(said);
    expect(flags).toEqual(
      expect.arrayContaining(['check', 'answers', 'snac-domain', 'mail-mode', 'dry-run']),
    );
    for (const flag of ['data', 'fix', 'mail']) expect(flags).not.toContain(flag);
  });

  test('lists the answers of the site, then those of each app, with what may be chosen', async () => {
    await exits('help', 'apply');
    for (const question of ALL_QUESTIONS) expect(flagsIn(said)).toContain(flagOf(question));
    const text = said.replaceAll(/\s+/g, ' ');
    expect(text).toContain('--mail-mode WORD Outgoing mail: none, smtp or catcher (default: none)');
    expect(text).toContain('--apps WORD,… Apps to install: one or more of snac,mastodon,pixelfed');
    expect(said.indexOf('--mail-mode')).toBeLessThan(said.indexOf('Answers of snac:'));
    expect(said.indexOf('Answers of Pixelfed:')).toBeLessThan(said.indexOf('--pixelfed-domain'));
  });

  test('names the allowed values of a flag and of an argument', async () => {
    await exits('add', '--help');
    const text = said.replaceAll(/\s+/g, ' ');
    expect(text).toContain('One of keep, replace or abort.');
    expect(text).toContain('APP App to add. One of snac, mastodon or pixelfed.');
  });

  test('needs no valid environment', async () => {
    vi.stubEnv('FEDI_SNAC_DOMIAN', 'x');
    expect([await exits('help'), await exits('version')]).toEqual([0, 0]);
    vi.unstubAllEnvs();
  });
});

describe.each(COMMANDS.map((command) => [command.name || 'fedi-setup', command] as const))(
  '%s',
  (_, command) => {
    test('its help fits 80 columns', async () => {
      // `fedi-setup` alone has no name: its flags are those of `apply`, and the overview is its help.
      expect(await exits('help', ...(command.name === '' ? [] : [command.name]))).toBe(0);
      // The name of an image is one word, however long.
      const long = said.split('\n').filter((line) => line.length > 80);
      expect(long.filter((line) => /\s/.test(line.trim()))).toEqual([]);
      expect(command.summary).toMatch(/^[A-Z].{5,70}\.$/);
      expect(command.examples.length).toBeGreaterThan(0);
      expect(command.examples.length).toBeLessThan(4);
    });

    test('accepts its own examples', async () => {
      for (const { line } of command.examples) {
        const [call = ''] = /fedi-setup[^>)…]*/.exec(line.replaceAll('{app}', 'mastodon')) ?? [];
        const argv = call.trim().split(' ').slice(1);
        const read = await readArgv(argv, flagsOf(COMMANDS));
        const words = command.name === '' ? read.words : read.words.slice(1);
        expect(command.name === '' ? '' : read.words[0]).toBe(command.name);
        await refuseSurplus(command, read, words, COMMANDS);
      }
    });
  },
);

test('a closed pipe does not end a run', async () => {
  const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never);
  const run = exits('apply', '--dir', tempFolder());
  for (const stream of [process.stdout, process.stderr])
    stream.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  expect(await run).toBe(2);
  expect(exit).not.toHaveBeenCalled();
});

test('a full disk behind the output does not end a run, and is reported once', async () => {
  const run = exits('apply', '--dir', tempFolder());
  for (let times = 0; times < 2; times++)
    process.stdout.emit('error', Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' }));
  expect(await run).toBe(2);
  expect(said.match(/Standard output cannot be written: ENOSPC/g)).toHaveLength(1);
});

test('reports all missing answers at once, as JSON too', async () => {
  expect(await exits('apply', '--json', '--dir', tempFolder())).toBe(2);
  for (const flag of ['--snac-domain', '--snac-admin', '--snac-email']) expect(said).toContain(flag);
  expect(JSON.parse(said.split('\n')[0] ?? '')).toMatchObject({ event: 'problem', code: 'usage', exit: 2 });
});

// Tables are plain objects, which inherit names of Object.prototype.
test.each([[['constructor']], [['toString']], [['__proto__']]])('%j is not a command', async (argv) => {
  expect(await exits(...argv)).toBe(2);
});
test.each(['constructor', 'toString', '__proto__'])('--%s is not a flag', async (flag) => {
  expect(await exits('apply', '--dir', tempFolder(), `--${flag}`, 'x')).toBe(2);
  expect(said).toContain(`There is no --${flag}`);
});

test('refuses an invalid picture before it checks the host or creates anything', async () => {
  const folder = join(tempFolder(), 'site');
  const answers = ['--domain', 'a.example.org', '--admin', 'anna', '--email', 'anna@example.org'];
  const picture = ['--pixelfed-banner', '/etc/hostname'];
  expect(await exits('apply', '--apps', 'pixelfed', ...answers, ...picture, '--dir', folder)).toBe(2);
  expect(said).toMatch(/^\nError: Banner: \/etc\/hostname is not a complete JPEG or PNG picture\.\n/);
  expect(existsSync(folder)).toBe(false);
});

describe('secrets set', () => {
  const siteOf = (): string => {
    const folder = tempFolder();
    mkdirSync(join(folder, '.fedi'));
    writeFileSync(
      join(folder, 'fedi.yaml'),
      'apps: { snac: { domain: a.example.org, admin: anna, email: anna@example.org } }\n',
    );
    return folder;
  };

  test('keeps secrets that another run created while it waited for the value', async () => {
    const folder = siteOf();
    const value = join(folder, 'value');
    execFileSync('mkfifo', [value]);
    const run = exits('secrets', 'set', 'snac.admin', value, '--dir', folder);
    const pipe = await open(value, 'w');
    const other = await Store.open(folder);
    other.put('snac.seal', 'forever', 'of another run', new Date());
    await other.save();
    await pipe.write('chosen\n');
    await pipe.close();
    expect([await run, said]).toEqual([
      0,
      'snac.admin is stored in secrets.json. Nothing was changed in the app.\n',
    ]);
    const store = await Store.open(folder);
    expect(store.find('snac.seal')?.reveal()).toBe('of another run');
    expect(store.find('snac.admin')?.reveal()).toBe('chosen');
  });

  test('refuses an empty password', async () => {
    const folder = siteOf();
    expect(await exits('secrets', 'set', 'snac.admin', '/dev/null', '--dir', folder)).toBe(2);
    expect(said).toContain('snac.admin cannot be empty');
  });
});

describe('removing an app needs its name', () => {
  const BOTH = `version: 1
apps:
  snac: { domain: a.example.org, admin: anna, email: anna@example.org }
  mastodon: { domain: b.example.org, admin: anna, email: anna@example.org }
`;
  const ALONE = BOTH.replace(/ {2}mastodon.*\n/, '');
  /** Generation 1 had both; the current answers are `text`. */
  function siteOf(text: string): string {
    const folder = tempFolder();
    writeTree(folder, {
      'fedi.yaml': text,
      '.fedi/manifest.json': '{"generation":2,"files":{}}',
      '.fedi/generations/0001/fedi.yaml': ALONE,
      '.fedi/generations/0001/images.lock.yaml': '',
      '.fedi/generations/0002/fedi.yaml': BOTH,
      '.fedi/generations/0002/images.lock.yaml': '',
    });
    return folder;
  }
  const answers = 'FEDI_APPS=snac\n';

  test.each([
    ['an answer', BOTH, ['apply', '--apps', 'snac']],
    ['an edited fedi.yaml', ALONE, ['apply', '--yes']],
    ['an earlier generation', BOTH, ['rollback', '1']],
    ['the wizard without questions', BOTH, ['--yes', '--apps', 'snac']],
    ['the confirmation of another app', BOTH, ['apply', '--apps', 'snac', '--confirm', 'snac']],
    ['an answers file', BOTH, ['apply', '--answers']],
  ])('%s', async (_, text, argv) => {
    const folder = siteOf(text);
    writeTree(folder, { 'answers.env': answers });
    const file = argv.includes('--answers') ? [join(folder, 'answers.env')] : [];
    expect(await exits(...argv, ...file, '--dir', folder)).toBe(3);
    expect(said).toContain('mastodon was not confirmed, so nothing was changed.');
    expect(said).toContain('removes the containers of Mastodon; its data stay');
    expect(said).toContain('--confirm mastodon');
    expect(readFileSync(join(folder, 'fedi.yaml'), 'utf8')).toBe(text);
  });
});
