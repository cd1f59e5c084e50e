/** The command line, as far as it goes without an engine. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { main } from '../../wizard/cli.ts';
import { Store } from '../../wizard/secrets/store.ts';
import { tempFolder } from '../support/temp.ts';

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
  [['aply'], 2, 'no command aply. Did you mean apply?'],
  [['quux'], 2, 'no command quux.'],
  [['apply', 'more'], 2, '`more` is one word too many'],
  [['apply', '--dir'], 2, '--dir takes a value'],
  [['apply', '--json=x'], 2, '--json takes no value'],
  [['apply', '--domian', 'x'], 2, 'Did you mean --domain?'],
  [['apply', '--domian=x'], 2, 'Did you mean --domain?'],
  [['apply', '--domain'], 2, '--domain takes a value'],
  [['apply', '--edited', 'maybe'], 2, '--edited is one of'],
  [['apply', '--answers', '/nonexistent'], 2, '/nonexistent cannot be read'],
  [['uninstall', '--data', '--confirm', 'x', '--dry-run'], 2, '`uninstall` has no --dry-run'],
  [['reset', '--dry-run'], 2, '`reset` has no --dry-run'],
  [['secrets', 'rotate', 'site.key', '--dry-run'], 2, '`secrets` has no --dry-run'],
  [['doctor', '--fix', '--dry-run'], 2, '`doctor` has no --dry-run'],
  [['--dry-run', 'snac', 'deluser'], 2, '`snac` has no --dry-run'],
  [['--help'], 0, 'Usage: fedi-setup'],
  [['apply', '-h'], 0, 'Usage: fedi-setup'],
])('%j → %i, %s', async (argv, code, part) => {
  expect(await exits(...argv)).toBe(code);
  expect(said).toContain(part);
});

test('what is missing is said all at once, as JSON too', async () => {
  expect(await exits('apply', '--json', '--dir', tempFolder())).toBe(2);
  for (const flag of ['--snac-domain', '--snac-admin', '--snac-email']) expect(said).toContain(flag);
  expect(JSON.parse(said.split('\n')[0] ?? '')).toMatchObject({ event: 'problem', exit: 2 });
});

// Tables are plain objects, so names of Object.prototype are found in them.
test.each([[['constructor']], [['toString']], [['__proto__']]])('%j is no command', async (argv) => {
  expect(await exits(...argv)).toBe(2);
});
test.each(['constructor', 'toString', '__proto__'])('--%s is no flag', async (flag) => {
  expect(await exits('apply', '--dir', tempFolder(), `--${flag}`, 'x')).toBe(2);
  expect(said).toContain(`There is no --${flag}`);
});

test('a picture that is none is said before the host is looked at and anything is fetched or made', async () => {
  const folder = join(tempFolder(), 'site');
  const answers = ['--domain', 'a.example.org', '--admin', 'anna', '--email', 'anna@example.org'];
  const picture = ['--pixelfed-banner', '/etc/hostname'];
  expect(await exits('apply', '--apps', 'pixelfed', ...answers, ...picture, '--dir', folder)).toBe(2);
  expect(said).toMatch(/^\nError: Banner: \/etc\/hostname is no whole JPEG or PNG picture\.\n/);
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

  test('what another run made while the value was waited for stays', async () => {
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
    expect([await run, said]).toEqual([0, 'snac.admin is set.\n']);
    const store = await Store.open(folder);
    expect(store.find('snac.seal')?.reveal()).toBe('of another run');
    expect(store.find('snac.admin')?.reveal()).toBe('chosen');
  });

  test('nothing is no password', async () => {
    const folder = siteOf();
    expect(await exits('secrets', 'set', 'snac.admin', '/dev/null', '--dir', folder)).toBe(2);
    expect(said).toContain('snac.admin cannot be empty');
  });
});
