/** Sources of answers: unknown names, invalid files, and precedence. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { resolve } from '../../../wizard/answers/resolve.ts';
import type { Source } from '../../../wizard/answers/resolve.ts';
import {
  answersFileSource,
  environmentSource,
  flagSource,
  savedText,
  savedSource,
  yamlSource,
} from '../../../wizard/answers/sources.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder } from '../../support/temp.ts';

const texts = (source: Source): Record<string, string> =>
  Object.fromEntries([...source].map(([key, { text }]) => [key, text]));

const answersFile = (text: string): Promise<Source> => {
  const path = join(tempFolder(), 'answers.env');
  writeFileSync(path, text);
  return answersFileSource(path);
};

describe('invalid fedi.yaml', () => {
  test.each([
    ['an unknown key', 'version: 1\nnmae: x\n', ['line 2', 'no key nmae', 'Did you mean name?']],
    ['an unknown key below', 'mail:\n  mode: smtp\n  hots: x\n', ['line 3', 'mail.hots', 'mail.host?']],
    [
      'an unknown key deep below',
      'apps:\n  snac:\n    domian: x\n',
      ['line 3', 'apps.snac.domian', 'apps.snac.domain?'],
    ],
    ['an unknown app', 'apps:\n  snacc:\n    domain: x\n', ['line 2', 'apps.snacc', 'apps.snac?']],
    ['nothing near', 'quux: 1\n', ['line 1', 'no key quux.']],
    ['a secret', 'mail:\n  password: x\n', ['line 2', 'no key mail.password']],
    ['a short key', 'domain: x.org\n', ['line 1', 'no key domain']],
    ['a flag’s name', 'snac-domain: x.org\n', ['line 1', 'no key snac-domain']],
    ['a prototype', '__proto__: 1\n', ['line 1', '__proto__']],
    ['a merge key', 'mail: &a\n  mode: none\ntls:\n  <<: *a\n', ['line 4', 'tls.<<']],
    ['a list for a value', 'mail:\n  mode: [smtp]\n', ['line 2', 'mail.mode needs a single value']],
    ['a block list for a value', 'name:\n  - a\n  - b\n', ['line 1', 'name needs a single value']],
    ['keys for a value', 'name: { a: b }\n', ['line 1', 'name needs a single value']],
    ['a value for keys', 'apps: snac\n', ['line 1', 'apps needs keys below it']],
    ['a value for keys below', 'apps:\n  snac: x.org\n', ['line 2', 'apps.snac needs keys below it']],
    ['a list at the top', '- a\n- b\n', ['not a list of keys']],
    ['a word at the top', 'hello\n', ['not a list of keys']],
    ['another version', 'version: 0\n', ['line 1', 'version must be 1']],
    ['a version in quotes', 'version: "1"\n', ['line 1', 'version must be 1']],
    ['a version of keys', 'version: {}\n', ['line 1', 'version must be 1']],
    ['a duplicate key', 'name: a1\nbind: ::1\nname: b1\n', ['line 3', 'duplicate']],
    ['a tab', 'mail:\n\tmode: none\n', ['line 2']],
    ['an open quote', 'name: "fedi\nbind: 0.0.0.0\n', ['line']],
    ['an open brace', 'mail: {mode: none\n', ['line']],
    ['a wrong indent', 'mail:\n    mode: none\n  host: x\n', ['line 3']],
    ['two documents', 'name: a1\n---\nname: b1\n', ['line']],
    ['an unknown alias', 'name: *nobody\n', ['line 1']],
    ['a line without colon', 'name: a1\nbind\n', ['line']],
    ['an unknown tag', 'name: !evil a1\n', ['line 1']],
    ['all lines at once', 'nmae: x\nbidn: y\n', ['line 1', 'name?', 'line 2', 'bind?']],
  ])('%s', async (_, text, parts) => {
    const { exit, message } = await problemFrom(() => yamlSource(text));
    expect(exit).toBe(2);
    for (const part of parts) expect(message).toContain(part);
  });

  // `places` reports "no scalar" for both a list and a mapping, so a list in place of a mapping counts as empty.
  test.each([
    ['apps', 'apps: [snac]\n'],
    ['apps', 'apps:\n  - snac\n'],
    ['mail', 'mail: [smtp]\n'],
    ['tls', 'tls: []\n'],
  ])('a list instead of keys: %s in %j', async (key, text) => {
    expect((await problemFrom(() => yamlSource(text))).message).toContain(`${key} needs keys`);
  });

  test('a directory in its place is an error, not a missing file', async () => {
    const folder = tempFolder();
    mkdirSync(join(folder, 'fedi.yaml'));
    expect((await problemFrom(() => savedSource(folder))).exit).toBe(4);
  });
});

test('refuses a site of a newer fedi-setup, whatever else the file contains', async () => {
  const problem = await problemFrom(() => yamlSource('backup:\n  target: elsewhere\nversion: 2\n'));
  expect([problem.exit, problem.message]).toEqual([
    3,
    'fedi.yaml line 3: version is 2, and this fedi-setup reads version 1.',
  ]);
});

describe('valid fedi.yaml', () => {
  test.each([
    ['nothing', '', {}],
    ['blank lines', '\n\n  \n', {}],
    ['comments only', '# one\n\n  # two\n', {}],
    ['a document start only', '---\n', {}],
    ['null', 'null\n', {}],
    ['a byte order mark', '\ufeffname: a1\n', { name: 'a1' }],
    ['CRLF', 'name: a1\r\nmail:\r\n  mode: none\r\n', { name: 'a1', 'mail.mode': 'none' }],
    ['no newline at the end', 'name: a1', { name: 'a1' }],
    ['a key in quotes', '"name": a1\n', { name: 'a1' }],
    [
      'flow',
      '{version: 1, name: a1, apps: {snac: {domain: x.org}}}',
      { name: 'a1', 'apps.snac.domain': 'x.org', apps: 'snac' },
    ],
    ['an empty value', 'name:\nbind: ""\n', {}],
    ['an app', 'apps:\n  snac:\n    domain: x.org\n', { 'apps.snac.domain': 'x.org', apps: 'snac' }],
    ['an app without answers', 'apps:\n  snac: {}\n', { apps: 'snac' }],
    ['an anchor', 'name: &n a1\n', { name: 'a1' }],
  ])('%s', (_, text, wanted) => {
    expect(texts(yamlSource(text))).toEqual(wanted);
  });

  // Users comment out all lines of a block; YAML reads it as null.
  test.each(['mail:\n  # mode: smtp\nname: a1\n', 'mail: ~\nname: a1\n', 'apps:\n  snac:\nname: a1\n'])(
    'an empty block: %j',
    (text) => {
      expect(texts(yamlSource(text))).toMatchObject({ name: 'a1' });
    },
  );

  test('a missing file or directory provides no answers', async () => {
    const folder = tempFolder();
    expect(await savedSource(folder)).toBeUndefined();
    expect(await savedSource(join(folder, 'none'))).toBeUndefined();
    writeFileSync(join(folder, 'file'), '');
    expect(await savedSource(join(folder, 'file'))).toBeUndefined();
  });
});

describe('unknown names', () => {
  test.each([
    ['domian', ['--domian', 'Did you mean --domain?']],
    ['snac-domian', ['--snac-domian', '--snac-domain?']],
    ['mail-pasword-file', ['--mail-password-file?']],
    ['mail-password', ['no --mail-password.', '--mail-password-file?']],
    ['tls-root', ['no --tls-root.']],
    ['quux', ['There is no --quux.']],
    ['FEDI_DOMAIN', ['no --FEDI_DOMAIN']],
    ['', ['There is no']],
  ])('flag %j', async (flag, parts) => {
    const { exit, message, next } = await problemFrom(() => flagSource({ [flag]: 'x' }));
    expect(exit).toBe(2);
    expect(next).toContain('--help');
    for (const part of parts) expect(message).toContain(part);
  });

  test.each([
    ['FEDI_DOMIAN', 'FEDI_DOMAIN?'],
    ['FEDI_SNAC_DOMIAN', 'FEDI_SNAC_DOMAIN?'],
    ['FEDI_MAIL_PASS_WORD', 'FEDI_MAIL_PASSWORD?'],
    ['FEDI_', 'no FEDI_.'],
    ['FEDI_domain', 'no FEDI_domain'],
  ])('variable %s', async (name, part) => {
    const { exit, message } = await problemFrom(() => environmentSource({ [name]: 'x' }));
    expect(exit).toBe(2);
    expect(message).toContain(part);
  });

  test('reports every unknown name, not only the first', async () => {
    const flags = await problemFrom(() => flagSource({ domian: 'x', emial: 'y' }));
    expect(flags.message).toMatch(/--domian[\s\S]*--emial/);
    const variables = await problemFrom(() => environmentSource({ FEDI_DOMIAN: 'x', FEDI_EMIAL: 'y' }));
    expect(variables.message).toMatch(/FEDI_DOMIAN[\s\S]*FEDI_EMIAL/);
  });

  test('names the line of the answers file', async () => {
    const { exit, message } = await problemFrom(() =>
      answersFile('# ours\n\nexport FEDI_DOMAIN=x.org\nFEDI_EMIAL=y\n'),
    );
    expect(exit).toBe(2);
    expect(message).toContain('answers.env line 4 (FEDI_EMIAL)');
    expect(message).toContain('FEDI_EMAIL?');
  });

  test.each(['PATH', 'COMPOSE_FILE', 'fedi_domain', 'MY_FEDI_DOMAIN'])('%s is ignored', (name) => {
    expect(texts(environmentSource({ [name]: 'x' }))).toEqual({});
  });
});

describe('answers files', () => {
  test.each([
    ['CRLF', 'FEDI_NAME=a1\r\nFEDI_BIND=::1\r\n', { name: 'a1', bind: '::1' }],
    ['a byte order mark', '\ufeffFEDI_NAME=a1\n', { name: 'a1' }],
    ['empty', '', {}],
    ['comments', '# FEDI_NAME=a1\nFEDI_BIND=::1 # all\n', { bind: '::1' }],
    ['empty values count as not provided', 'FEDI_NAME=\nFEDI_BIND=""\n', {}],
    ['export', 'export FEDI_NAME=a1\n', { name: 'a1' }],
    ['the last of two applies', 'FEDI_NAME=a1\nFEDI_NAME=b1\n', { name: 'b1' }],
    [
      'values are not interpolated',
      'FEDI_MAIL_USER=$HOME${HOME}$(id)\n',
      { 'mail.user': '$HOME${HOME}$(id)' },
    ],
    ['a password over several lines', 'FEDI_MAIL_PASSWORD="a\nb"\n', { 'mail.password': 'a\nb' }],
  ])('%s', async (_, text, wanted) => {
    expect(texts(await answersFile(text))).toEqual(wanted);
  });

  // dotenv skips lines that it cannot parse, and the missing answer becomes its default without a message.
  test.each(['FEDI_NAME a1\n', 'just words\n', 'FEDI_NAME\n'])('a line without effect: %j', async (text) => {
    expect((await problemFrom(() => answersFile(text))).message).toContain('line 1');
  });

  test('all that is wrong with a file is reported at once', async () => {
    const { message } = await problemFrom(() =>
      answersFile('FEDI_DOMIAN=a.example.org\njust words\nFEDI_BIND=nowhere\nFEDI_MAIL_PORT=no\n'),
    );
    for (const part of [
      'line 2: not NAME=value',
      'There is no FEDI_DOMIAN',
      'FEDI_BIND): Not an IP address',
      'FEDI_MAIL_PORT): A port',
    ])
      expect(message).toContain(part);
  });

  test('an alias in fedi.yaml would lose what it stands for', async () => {
    const text =
      'apps: &all { snac: { domain: a.example.org, admin: anna, email: a@example.org } }\nmail: *all\n';
    const { message } = await problemFrom(() => yamlSource(text));
    expect(message).toBe('fedi.yaml line 2: mail is a YAML alias. Write its keys out.');
  });

  test('a fedi.yaml with an unknown key lists its other errors too', async () => {
    const { message } = await problemFrom(() => yamlSource('domian: x\nbind: nowhere\n'));
    expect(message).toContain('there is no key domian');
    expect(message).toContain('line 2 (bind): Not an IP address');
  });

  test.each([
    ['UTF-16 little endian', Buffer.from('\ufeffFEDI_NAME=a1\n', 'utf16le'), 'is in UTF-16'],
    ['UTF-16 big endian', Buffer.from('\ufeffFEDI_NAME=a1\n', 'utf16le').swap16(), 'is in UTF-16'],
    ['Latin-1', Buffer.from('FEDI_MAIL_PASSWORD=gr\xfcn\n', 'latin1'), 'is not valid UTF-8'],
  ])('a file in %s', async (_, bytes, words) => {
    const path = join(tempFolder(), 'answers');
    writeFileSync(path, bytes);
    for (const read of [() => answersFileSource(path), () => flagSource({ 'mail-password-file': path })]) {
      const { exit, message } = await problemFrom(read);
      expect([exit, message]).toEqual([2, expect.stringContaining(words)]);
    }
  });

  test('fedi.yaml in another encoding: refused, since saving it would change its other characters', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'fedi.yaml'), Buffer.from('# gr\xfcn\nname: a1\n', 'latin1'));
    const { exit, message } = await problemFrom(() => savedText(folder));
    expect([exit, message]).toEqual([2, `${join(folder, 'fedi.yaml')} is not valid UTF-8.`]);
    writeFileSync(join(folder, 'fedi.yaml'), '\ufeffname: a1\n');
    expect(await savedText(folder)).toBe('name: a1\n');
  });

  test('a file without end', async () => {
    const { exit, message } = await problemFrom(() => answersFileSource('/dev/zero'));
    expect([exit, message]).toEqual([2, 'The answers file /dev/zero is larger than 1 MB.']);
  });

  test('an unreadable file', async () => {
    const { exit, message } = await problemFrom(() => answersFileSource('/nonexistent/answers.env'));
    expect(exit).toBe(2);
    expect(message).toContain('/nonexistent/answers.env');
  });
});

describe('secrets by flag', () => {
  test.each([
    ['pass\n', 'pass'],
    ['pass\r\n', 'pass'],
    ['pass\n\n', 'pass\n'],
    ['pass', 'pass'],
    [' pass ', ' pass '],
    ['\ufeffpass\r\n', 'pass'],
    ['\ufeffpass', 'pass'],
  ])('the file %j contains %j', async (text, value) => {
    const path = join(tempFolder(), 'secret');
    writeFileSync(path, text);
    expect(texts(await flagSource({ 'mail-password-file': path }))).toEqual({ 'mail.password': value });
  });

  test('a missing file', async () => {
    const { exit, message } = await problemFrom(() => flagSource({ 'mail-password-file': '/nonexistent' }));
    expect([exit, message]).toEqual([2, expect.stringContaining('--mail-password-file /nonexistent')]);
  });
});

describe('precedence of the sources', () => {
  const NAMES = ['flag', 'environment', 'file', 'saved'] as const;
  const host = (name: string): string => `${name}.example.org`;
  const sources = async (present: readonly string[], short: boolean): Promise<Source[]> => {
    const flag = { [short ? 'domain' : 'snac-domain']: host('flag') };
    const variable = short ? 'FEDI_DOMAIN' : 'FEDI_SNAC_DOMAIN';
    return [
      await flagSource(present.includes('flag') ? flag : {}),
      environmentSource(present.includes('environment') ? { [variable]: host('environment') } : {}),
      await answersFile(present.includes('file') ? `${variable}=${host('file')}\n` : ''),
      yamlSource(present.includes('saved') ? `apps:\n  snac:\n    domain: ${host('saved')}\n` : ''),
    ];
  };
  const subsets = NAMES.reduce<string[][]>(
    (all, name) => [...all, ...all.map((one) => [...one, name])],
    [[]],
  );

  test.each(
    subsets.flatMap((present) =>
      [true, false].map((short) => [present.join(' + ') || 'nobody', short] as const),
    ),
  )('%s, short names: %s', async (present, short) => {
    const { answers, problems } = await resolve(await sources(present.split(' + '), short));
    const winner = NAMES.find((name) => present.split(' + ').includes(name));
    expect(answers['apps.snac.domain']).toBe(winner === undefined ? undefined : host(winner));
    expect(problems.some((problem) => problem.startsWith('Domain of snac is missing'))).toBe(
      winner === undefined,
    );
  });

  test('a default has the lowest precedence and does not count as provided', async () => {
    const { answers, provided } = await resolve([yamlSource('bind: ::1\n')]);
    expect(answers).toMatchObject({
      name: 'fedi',
      bind: '::1',
      'mail.mode': 'none',
      'tls.mode': 'acme',
      apps: 'snac',
    });
    expect([...provided]).toEqual(['bind']);
  });

  test('a short name is refused if the site has several apps', async () => {
    const { problems } = await resolve([
      await flagSource({ apps: 'snac,pixelfed', domain: 'x.example.org' }),
      environmentSource({ FEDI_SNAC_DOMAIN: 'a.example.org', FEDI_ADMIN: 'anna' }),
    ]);
    expect(problems).toContain(
      '--domain: this site has several apps. Use --snac-domain or --pixelfed-domain.',
    );
    expect(problems).toContain(
      'FEDI_ADMIN: this site has several apps. Use --snac-admin or --pixelfed-admin.',
    );
  });

  test('within one source the full name overrides the short one', async () => {
    const both = environmentSource({
      FEDI_DOMAIN: 'short.example.org',
      FEDI_SNAC_DOMAIN: 'full.example.org',
    });
    expect((await resolve([both])).answers['apps.snac.domain']).toBe('full.example.org');
  });

  test('a short flag overrides a full variable', async () => {
    const { answers } = await resolve([
      await flagSource({ domain: 'flag.example.org' }),
      environmentSource({ FEDI_SNAC_DOMAIN: 'environment.example.org' }),
    ]);
    expect(answers['apps.snac.domain']).toBe('flag.example.org');
  });

  test('an empty variable does not override a source of lower precedence', async () => {
    const { answers } = await resolve([environmentSource({ FEDI_NAME: '' }), yamlSource('name: saved\n')]);
    expect(answers['name']).toBe('saved');
  });

  test('a derived answer is dropped when its basis changes', async () => {
    const saved = yamlSource('mail:\n  mode: smtp\n  host: smtp.example.org\n  port: 465\n  security: tls\n');
    const security = async (environment: NodeJS.ProcessEnv): Promise<unknown> =>
      (await resolve([environmentSource(environment), saved])).answers['mail.security'];
    expect(await security({})).toBe('tls');
    expect(await security({ FEDI_MAIL_PORT: '465' })).toBe('tls');
    expect(await security({ FEDI_MAIL_PORT: '587' })).toBe('starttls');
    expect(await security({ FEDI_MAIL_PORT: '587', FEDI_MAIL_SECURITY: 'none' })).toBe('none');
  });

  test('an invalid answer is a problem even if a source of lower precedence has a valid one', async () => {
    const { problems } = await resolve([
      environmentSource({ FEDI_BIND: 'nowhere' }),
      yamlSource('bind: ::1\n'),
    ]);
    expect(problems).toContainEqual(expect.stringMatching(/^FEDI_BIND: Not an IP address/));
  });

  test('an answer that does not apply is neither checked nor kept', async () => {
    const { answers, problems } = await resolve([yamlSource('mail:\n  mode: none\n  port: nonsense\n')]);
    expect(answers['mail.port']).toBeUndefined();
    expect(problems.some((problem) => problem.includes('port'))).toBe(false);
  });

  test('defaults are derived from the answers before them', async () => {
    const { answers } = await resolve([
      environmentSource({
        FEDI_DOMAIN: 'x.org',
        FEDI_ADMIN: 'a',
        FEDI_EMAIL: 'a@x.org',
        FEDI_MAIL_MODE: 'smtp',
        FEDI_MAIL_HOST: 'm',
        FEDI_MAIL_PORT: '25',
      }),
    ]);
    expect(answers).toMatchObject({
      'mail.security': 'none',
      'mail.from': 'notifications@x.org',
      'tls.email': 'a@x.org',
    });
  });

  // mail.from becomes notifications@undefined, which the wizard then proposes.
  test('a default derived from a missing answer never contains "undefined"', async () => {
    const { answers } = await resolve([
      environmentSource({ FEDI_MAIL_MODE: 'smtp', FEDI_DOMAIN: 'not one' }),
    ]);
    expect(Object.values(answers).join(' ')).not.toContain('undefined');
  });

  test('secrets are separate from answers', async () => {
    const { answers, secrets } = await resolve([
      environmentSource({ FEDI_MAIL_MODE: 'smtp', FEDI_MAIL_USER: 'u', FEDI_MAIL_PASSWORD: 'hush' }),
    ]);
    expect(secrets).toEqual({ 'mail.password': 'hush' });
    expect(JSON.stringify(answers)).not.toContain('hush');
  });
});

describe('domains of several apps', () => {
  const problemsOf = async (more: NodeJS.ProcessEnv): Promise<readonly string[]> =>
    (
      await resolve([
        environmentSource({
          FEDI_APPS: 'mastodon,pixelfed',
          ...Object.fromEntries(
            ['MASTODON', 'PIXELFED'].flatMap((app) => [
              [`FEDI_${app}_ADMIN`, 'anna'],
              [`FEDI_${app}_EMAIL`, 'anna@example.org'],
            ]),
          ),
          FEDI_MASTODON_DOMAIN: 'example.org',
          FEDI_PIXELFED_DOMAIN: 'pix.example.org',
          ...more,
        }),
      ])
    ).problems;

  test('accepts a subdomain of another app’s domain, and an app’s own web domain', async () => {
    expect(await problemsOf({})).toEqual([]);
    expect(await problemsOf({ FEDI_MASTODON_WEB_DOMAIN: 'social.example.org' })).toEqual([]);
    expect(await problemsOf({ FEDI_MASTODON_WEB_DOMAIN: 'example.org' })).toEqual([]);
  });

  test.each([
    ['the same', { FEDI_PIXELFED_DOMAIN: 'example.org' }, 'example.org'],
    ['the same in capitals', { FEDI_PIXELFED_DOMAIN: 'Example.ORG' }, 'example.org'],
    ['pages where another’s handles are', { FEDI_MASTODON_WEB_DOMAIN: 'pix.example.org' }, 'pix.example.org'],
  ])('refuses %s, with the reason', async (_, more, name) => {
    expect(await problemsOf(more)).toEqual([`Two apps have the domain ${name}. Each needs its own.`]);
  });
});
