/** The structure of the code: imports, which files may name an app, and the fields of every question. */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { referenceOf } from '../../wizard/apps/app.ts';
import { APP_IDS, appOf } from '../../wizard/apps/index.ts';
import { flagsOf } from '../../wizard/cli/argv.ts';
import { COMMANDS } from '../../wizard/commands/index.ts';
import { CHECKS } from '../../wizard/checks/table.ts';
import { flagOf, shortKeyOf, variableOf } from '../../wizard/config/question.ts';
import { ALL_QUESTIONS, questionsFor } from '../../wizard/answers/questions.ts';
import { parseCompose } from '../../wizard/stack/compose.ts';
import { schemaText } from '../../wizard/answers/schema.ts';
import { Secret } from '../../wizard/secrets/secret.ts';
import { SITE_SECRETS } from '../../wizard/secrets/store.ts';

/** A value for every variable of a Compose file. */
const ANY: Record<string, string> = new Proxy({}, { get: () => 'x' });

const WIZARD = fileURLToPath(new URL('../../wizard/', import.meta.url));

interface Module {
  readonly path: string;
  /** Text without comments. */
  readonly code: string;
  readonly imports: readonly { readonly from: string; readonly types: boolean; readonly lazy: boolean }[];
}

const MODULES: readonly Module[] = readdirSync(WIZARD, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
  .toSorted()
  .map((path) => {
    const code = readFileSync(join(WIZARD, path), 'utf8').replaceAll(
      /\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm,
      '',
    );
    const found = code.matchAll(
      /^(?:import|export)(\s+type)?\s+(?:[^;'"]*?\sfrom\s+)?'([^']+)'|import\('([^']+)'\)/gm,
    );
    const imports = [...found].map(([, type, still, lazy]) => {
      const name = (still ?? lazy) as string;
      return {
        from: name.startsWith('.') ? relative(WIZARD, join(WIZARD, dirname(path), name)) : name,
        types: type !== undefined,
        lazy: lazy !== undefined,
      };
    });
    return { path, code, imports };
  });

const layerOf = (path: string): string => (path.includes('/') ? path.slice(0, path.indexOf('/')) : path);

test('finds the modules', () => {
  expect(MODULES.length).toBeGreaterThan(40);
  expect(MODULES.flatMap(({ imports }) => imports).length).toBeGreaterThan(150);
});

test.each([
  ['@inquirer/prompts', 'ask/prompts.ts'],
  ['ora', 'progress.ts'],
  ['dockerode', 'docker/docker.ts'],
  ['js-yaml', 'yaml.ts'],
  ['aws4fetch', 'prove/s3.ts'],
  ['dotenv', 'answers/envfile.ts'],
  ['openssl-wrapper', 'secrets/openssl.ts'],
  ['diff', 'plan/patch.ts'],
  ['tldts', 'config/suffix.ts'],
  // Types only.
  ['@grafana/schema', 'components/monitoring/boards.ts'],
])('%s is imported only by %s', (name, path) => {
  expect(
    MODULES.filter(({ imports }) =>
      imports.some(({ from }) => from === name || from.startsWith(`${name}/`)),
    ).map((one) => one.path),
  ).toEqual([path]);
});

test('no other package is imported', () => {
  const known = [
    'aws4fetch',
    '@inquirer/prompts',
    'ora',
    'dockerode',
    'js-yaml',
    'dotenv',
    'openssl-wrapper',
    'diff',
    'tldts',
    '@grafana/schema',
  ];
  expect(
    MODULES.flatMap(({ path, imports }) =>
      imports
        .filter(({ from }) => !from.endsWith('.ts') && !from.startsWith('node:') && !known.includes(from))
        .map(({ from }) => `${path}: ${from}`),
    ),
  ).toEqual([]);
});

/** Programs are started by docker/run.ts, and openssl by its wrapper. */
test('only docker/run.ts starts programs', () => {
  expect(
    MODULES.filter(({ imports }) => imports.some(({ from }) => from === 'node:child_process')).map(
      ({ path }) => path,
    ),
  ).toEqual(['docker/run.ts']);
});

/**
 * What the files of a directory may import, types too, from the top down. All may import those directly in wizard/.
 */
const MAY: Readonly<Record<string, readonly string[]>> = {
  cli: ['commands', 'answers', 'config', 'docker'],
  commands: [
    'mail',
    'status',
    'support',
    'tune',
    'maintain',
    'media',
    'upgrade',
    'backup',
    'apply',
    'ask',
    'checks',
    'render',
    'plan',
    'answers',
    'apps',
    'stack',
    'config',
    'prove',
    'secrets',
    'docker',
    'ingress',
  ],
  status: ['upgrade', 'apply', 'checks', 'plan', 'apps', 'prove', 'config', 'docker'],
  tune: ['checks', 'answers', 'apps', 'stack', 'config', 'docker'],
  support: ['apply', 'checks', 'plan', 'answers', 'apps', 'config', 'secrets', 'docker'],
  upgrade: ['backup', 'apply', 'checks', 'answers', 'plan', 'apps', 'stack', 'config', 'secrets', 'docker'],
  media: ['backup', 'apply', 'apps', 'stack', 'config', 'secrets', 'docker'],
  maintain: ['backup', 'apply', 'checks', 'plan', 'apps', 'config', 'secrets', 'docker'],
  backup: [
    'apply',
    'checks',
    'render',
    'plan',
    'answers',
    'apps',
    'components',
    'stack',
    'config',
    'secrets',
    'docker',
  ],
  apply: [
    'mail',
    'checks',
    'render',
    'plan',
    'answers',
    'apps',
    'components',
    'stack',
    'prove',
    'config',
    'secrets',
    'docker',
  ],
  ask: ['answers', 'apps', 'config'],
  mail: ['apps', 'config', 'secrets', 'docker'],
  checks: ['mail', 'apps', 'stack', 'prove', 'config', 'secrets', 'docker', 'ingress'],
  render: ['plan', 'answers', 'apps', 'components', 'stack', 'config', 'secrets', 'docker', 'ingress'],
  plan: ['answers', 'apps', 'components', 'config', 'docker'],
  answers: ['apps', 'components', 'config', 'secrets', 'ingress'],
  components: ['apps', 'stack', 'config', 'secrets', 'docker'],
  apps: ['stack', 'prove', 'config', 'secrets', 'docker'],
  prove: ['config', 'secrets', 'docker'],
  stack: ['secrets'],
  secrets: [],
  config: ['ingress'],
  ingress: [],
  docker: [],
};
const ALL = [
  'problem.ts',
  'assets.ts',
  'atomic.ts',
  'layout.ts',
  'lists.ts',
  'yaml.ts',
  'versions.ts',
  'progress.ts',
  'temporary.ts',
  'time.ts',
  'trust.ts',
  'visible.ts',
  'wrap.ts',
  'backup-record.ts',
  'disk-record.ts',
  'goodbye-record.ts',
  'last-reading.ts',
  'live-screen.ts',
  'media-record.ts',
  'uptime-record.ts',
];

const crossings = (): string[] =>
  MODULES.filter(({ path }) => layerOf(path) in MAY).flatMap((module) =>
    module.imports
      .map(({ from }) => from)
      .filter((from) => from.endsWith('.ts') && layerOf(from) !== layerOf(module.path) && !ALL.includes(from))
      .filter(
        (from) => !(MAY[layerOf(module.path)] as readonly string[]).some((may) => layerOf(from) === may),
      )
      .map((from) => `${module.path} → ${from}`),
  );

test('imports go one way', () => {
  expect(crossings()).toEqual([]);
});

test('no directory may import itself indirectly', () => {
  const below = (layer: string): string[] => (MAY[layer] ?? []).flatMap((one) => [one, ...below(one)]);
  expect(Object.keys(MAY).filter((layer) => below(layer).includes(layer))).toEqual([]);
  expect(
    MODULES.map(({ path }) => layerOf(path)).filter((one) => !one.endsWith('.ts') && !(one in MAY)),
  ).toEqual([]);
});

/** Modules that import themselves indirectly. */
function cycles(): string[] {
  const edges = new Map(
    MODULES.map(({ path, imports }) => [
      path,
      imports.map(({ from }) => from).filter((from) => from.endsWith('.ts')),
    ]),
  );
  const reaches = (start: string): boolean => {
    const seen = new Set<string>();
    const next = [...(edges.get(start) ?? [])];
    for (let path = next.pop(); path !== undefined; path = next.pop()) {
      if (path === start) return true;
      if (!seen.has(path)) next.push(...(edges.get(path) ?? []));
      seen.add(path);
    }
    return false;
  };
  return [...edges.keys()].filter(reaches);
}

test('no module imports itself indirectly', () => {
  expect(cycles()).toEqual([]);
});

/** Lines of code (not comments) that name an app but are not in its files. */
const named = (): string[] =>
  MODULES.filter(({ path }) => layerOf(path) !== 'apps').flatMap(({ path, code }) =>
    code
      .split('\n')
      .flatMap((line, i) => (/snac|mastodon|pixelfed/i.test(line) ? [`${path}: ${line.trim()} (${i})`] : [])),
  );

test('only an app’s own files name it', () => {
  expect(named()).toEqual([]);
});

test('only cli/ and bin.ts end the process', () => {
  const uses = (pattern: RegExp): string[] =>
    MODULES.filter(({ code }) => pattern.test(code)).map(({ path }) => path);
  expect(uses(/process\.(exit|abort)\(/)).toEqual(['bin.ts', 'cli/signals.ts']);
  // The run lock ends programs of a killed run.
  expect(uses(/process\.kill\(/)).toEqual(['apply/runlock.ts', 'cli/signals.ts']);
  expect(uses(/process\.exitCode/)).toEqual(['bin.ts']);
});

describe('the commands', () => {
  /** Modules that load at start, before a command is known: those that main.ts imports, without types and `import()`. */
  function atStart(): Set<string> {
    const seen = new Set<string>();
    const next = ['cli/main.ts'];
    for (let path = next.pop(); path !== undefined; path = next.pop()) {
      if (seen.has(path)) continue;
      seen.add(path);
      const { imports } = MODULES.find((one) => one.path === path) ?? { imports: [] };
      for (const { from, types, lazy } of imports) if (!types && !lazy) next.push(from);
    }
    return seen;
  }
  test('are one file each, and the registry has them all', () => {
    const files = MODULES.filter(
      ({ path, code }) => /^commands\/[\w-]+\.ts$/.test(path) && /^export const \w+: Command = /m.test(code),
    );
    expect(files.length).toBe(COMMANDS.length);
    for (const { path } of files) {
      const name = path.slice('commands/'.length, -'.ts'.length);
      expect(COMMANDS.filter((one) => (one.name || 'wizard') === name).map((one) => one.name)).toHaveLength(
        1,
      );
    }
  });
  test('a flag has the same form in every command', () => {
    const all = flagsOf(COMMANDS);
    for (const { flags } of COMMANDS)
      for (const flag of flags) {
        const { about: _, value, ...shape } = flag;
        expect(all.get(flag.name)).toMatchObject(shape);
        expect([flag.name, all.get(flag.name)?.value !== undefined]).toEqual([
          flag.name,
          value !== undefined,
        ]);
      }
    const shorts = [...all.values()].flatMap(({ short }) => short ?? []);
    expect(new Set(shorts).size).toBe(shorts.length);
  });
  test('load no other module at start', () => {
    const loaded = [...atStart()].filter((path) => !path.startsWith('node:'));
    expect(
      loaded.filter(
        (path) => !/^(cli|commands)\/[\w-]+\.ts$|^(lists|problem|progress|visible|wrap)\.ts$/.test(path),
      ),
    ).toEqual([]);
    expect(loaded).toContain('commands/status.ts');
    expect(loaded).not.toContain('commands/setup.ts');
  });
});

test('commands print only through progress.ts: --json must not be mixed with text', () => {
  expect(
    MODULES.filter(({ code }) => /process\.(stdout|stderr)\.write|console\.|\bstderr\.write/.test(code)).map(
      ({ path }) => path,
    ),
  ).toEqual(['bin.ts', 'cli/print-error.ts', 'cli/signals.ts', 'progress.ts']);
  expect(MODULES.filter(({ code }) => /\bwriteText\(/.test(code)).map(({ path }) => path)).toEqual([
    'ask/say.ts',
    'progress.ts',
  ]);
});

test('code waits for conditions, not for a time', () => {
  expect(MODULES.filter(({ code }) => /setTimeout|setInterval/.test(code)).map(({ path }) => path)).toEqual([
    'apply/containers.ts',
    'apply/runlock.ts',
    'backup/drill.ts',
    // A limit for what may not answer.
    'checks/preflight.ts',
    // Draws every two seconds.
    'commands/run/status.ts',
    'docker/docker.ts',
    'docker/run.ts',
    // A limit for a mail server that may not answer.
    'mail/smtp.ts',
    'prove/proof.ts',
    'prove/tls.ts',
    'prove/websocket.ts',
    // A limit for what may not answer.
    'status/look.ts',
    // Samples of the load, a second apart.
    'tune/read.ts',
  ]);
});

describe('the question table', () => {
  const unique = (names: readonly string[]): void =>
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);

  test('keys, flags and variables are unique, short ones included', () => {
    unique(ALL_QUESTIONS.map(({ key }) => key));
    for (const id of APP_IDS) {
      const rows = questionsFor([id]);
      unique(rows.map(flagOf));
      unique(rows.map(variableOf));
      const shorts = rows.flatMap((row) => shortKeyOf(row) ?? []);
      unique([
        ...shorts.map((short) => short.replaceAll('.', '-')),
        ...rows.filter((row) => shortKeyOf(row) === undefined).map(flagOf),
      ]);
    }
    unique(ALL_QUESTIONS.map(flagOf));
    unique(ALL_QUESTIONS.map(variableOf));
  });

  test('no answer has the name of a flag', () => {
    const own = [...flagsOf(COMMANDS).keys()];
    expect(own).toContain('dir');
    expect(
      ALL_QUESTIONS.flatMap((row) => [flagOf(row), shortKeyOf(row) ?? '']).filter((flag) =>
        own.includes(flag),
      ),
    ).toEqual([]);
  });

  test.each(ALL_QUESTIONS.map((question) => [question.key, question] as const))('%s', (key, question) => {
    expect(key).toMatch(/^[a-z][a-z0-9]*([.-][a-z][a-z0-9]*)*$/);
    expect(flagOf(question)).toMatch(/^[a-z][a-z0-9-]*$/);
    expect(variableOf(question)).toMatch(/^FEDI_[A-Z][A-Z0-9_]*$/);
    expect(question.message).toMatch(/^[A-Z][^?.]{2,48}$/);
    expect(question.help).toMatch(/^[A-Z][^\n]{15,200}\.$/);
    expect(question.secret === true && question.choices !== undefined).toBe(false);
    // A default and every choice are valid answers, and parse to themselves.
    for (const value of [...(question.choices ?? []).map((choice) => choice.value), question.initial?.({})]) {
      if (value !== undefined && !String(value).includes('undefined'))
        expect(question.parse(String(value))).toEqual({ value });
    }
    if (question.secret)
      expect([flagOf(question).endsWith('-file'), question.initial]).toEqual([true, undefined]);
    expect('problem' in question.parse('')).toBe(true);
  });

  test('the schema has every key except secrets', () => {
    const schema = schemaText();
    for (const { key, secret, help } of ALL_QUESTIONS) {
      if (key !== 'apps') expect(schema.includes(JSON.stringify(help))).toBe(!secret);
    }
    expect(JSON.parse(schema)).toMatchObject({ type: 'object', additionalProperties: false });
  });
});

describe.each(APP_IDS)('the app %s', (id) => {
  const app = appOf(id);
  test('uses its id in all its names', () => {
    expect(app.id).toBe(id);
    for (const { key } of app.questions) expect(key.startsWith(`apps.${id}.`)).toBe(true);
    for (const { name } of app.secrets) expect(name.startsWith(`${id}.`)).toBe(true);
    expect(app.adminSecret.startsWith(`${id}.`)).toBe(true);
    expect(app.secrets.some((secret) => secret.class === 'forever')).toBe(true);
  });
  test('declares what it supports for accounts, and an alternative otherwise', () => {
    const { roles, disabling, needsEmail, states = {} } = app.people(app.options({}));
    expect(roles.names).toContain('user');
    expect(roles.set !== undefined).toBe(roles.names.length > 1);
    expect(roles.others === '').toBe(roles.names.length === 3);
    expect(typeof needsEmail).toBe('boolean');
    for (const text of [
      roles.others,
      'instead' in disabling ? disabling.instead : disabling.means,
      ...Object.values(states),
    ].filter(Boolean))
      expect(text).toMatch(/\.$/);
  });
  test('its servers have containers, images, and secrets that are theirs', () => {
    const { services } = parseCompose(readFileSync(`compose/${id}.yaml`, 'utf8'), ANY);
    for (const server of app.servers?.(app.options({})) ?? []) {
      expect(Object.keys(services)).toContain(server.service);
      expect(Object.keys(app.images)).toContain(server.image);
      const asked: string[] = [];
      server.env((name) => {
        asked.push(name);
        return new Secret(name);
      });
      for (const [name, { service, change }] of Object.entries(server.rotations ?? {})) {
        asked.push(name);
        expect(service).toBe(server.service);
        expect(change(new Secret('new'), (other) => new Secret(other)).stdin).toContain('new');
      }
      const names = app.secrets.map((secret) => secret.name);
      expect(asked.filter((name) => !names.includes(name))).toEqual([]);
    }
  });
  test('pins its images', () => {
    for (const spec of Object.values(app.images)) {
      expect(referenceOf(spec, app.options({}))).toMatch(/:[\w.-]+$/);
      expect(referenceOf(spec, app.options({}))).not.toMatch(/:latest$/);
    }
  });
});

test('names of secrets and checks are unique', () => {
  const names = [...SITE_SECRETS, ...APP_IDS.flatMap((id) => appOf(id).secrets)].map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(new Set(CHECKS.map(({ id }) => id)).size).toBe(CHECKS.length);
});

test('only config/mail.ts compares mail modes', () => {
  expect(
    MODULES.filter(
      ({ path, code }) =>
        path !== 'config/mail.ts' && /mail\.mode'?\]?\s*[!=]==|[!=]==\s*'(?:smtp|catcher)'/.test(code),
    ).map(({ path }) => path),
  ).toEqual([]);
});

test('only ingress/ compares TLS modes', () => {
  expect(
    MODULES.filter(
      ({ path, code }) =>
        layerOf(path) !== 'ingress' &&
        /tls\.mode'?\]?\s*[!=]==|[!=]==\s*'(?:acme|internal|proxy|directory)'/.test(code),
    ).map(({ path }) => path),
  ).toEqual([]);
});

test('test files that may run at the same time have different names and addresses', () => {
  const TEST = fileURLToPath(new URL('../', import.meta.url));
  const users = new Map<string, Set<string>>();
  for (const path of readdirSync(TEST, { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.test.ts')) continue;
    const sites = readFileSync(join(TEST, path), 'utf8').matchAll(
      /\b(place|testSite|mastodonSite|pixelfedSite)\('([\w-]+)', (\d+)/g,
    );
    for (const [, kind, name, address] of sites)
      for (const one of [`${kind === 'place' ? 'term-' : ''}${name}`, `127.0.0.${address}`])
        users.set(one, (users.get(one) ?? new Set()).add(path));
  }
  expect(users.size).toBeGreaterThan(80);
  expect([...users].filter(([, paths]) => paths.size > 1).map(([one, paths]) => [one, ...paths])).toEqual([]);
});
