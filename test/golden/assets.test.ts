/** compose/ and caddy/ as shipped: each file is complete, valid and formatted on its own. */
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { APP_IDS } from '../../wizard/apps/index.ts';
import { assetPath } from '../../wizard/assets.ts';
import { parseYaml } from '../../wizard/yaml.ts';
import { inCaddy } from '../support/caddy.ts';
import { readTree, tempFolder, writeTree } from '../support/temp.ts';

const composeFiles = readdirSync(assetPath('compose')).filter((name) => name.endsWith('.yaml'));

interface Shipped {
  readonly services: Record<
    string,
    {
      env_file?: (string | { path: string })[];
      image: string;
      'x-about'?: string;
      networks?: object;
      restart?: string;
      healthcheck?: object;
      cap_drop?: string[];
      security_opt?: string[];
      logging?: object;
    }
  >;
  readonly volumes?: Record<string, { name: string }>;
}

test('every app has a Compose file and a Caddy snippet', () => {
  for (const id of APP_IDS) {
    expect(composeFiles).toContain(`${id}.yaml`);
    expect(readdirSync(assetPath('caddy'))).toContain(`${id}.caddy`);
  }
});

describe.each(composeFiles)('compose/%s', (name) => {
  const text = readFileSync(assetPath(`compose/${name}`), 'utf8');
  const file = parseYaml(text) as unknown as Shipped;

  test('Compose accepts it alone, without a warning', () => {
    const folder = tempFolder();
    const envs = Object.values(file.services).flatMap(({ env_file: paths = [] }) =>
      paths.map((one) => (typeof one === 'string' ? one : one.path)),
    );
    writeTree(folder, { [name]: text, ...Object.fromEntries(envs.map((path) => [path, ''])) });
    const printed = execFileSync('sh', ['-c', `docker compose -f ${name} config --quiet 2>&1`], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] },
    });
    expect(printed).toBe('');
  });

  test('every variable has a default that is used alone', () => {
    expect(
      [...text.matchAll(/\$\{[^}]*\}/g)]
        .map(([found]) => found)
        .filter(
          (found) =>
            !/^\$\{[A-Z][A-Z0-9_]*:-[^}]+\}$/.test(found) &&
            found !== '${NAME:-default}' &&
            found !== '${NAME}',
        ),
    ).toEqual([]);
  });

  test.each(Object.entries(file.services))(
    'service %s has a description, a health check and limits',
    (_, service) => {
      expect(service['x-about']).toMatch(/^\S.*\.$/);
      expect(service.image).toMatch(/^\$\{IMAGE_[A-Z_]+:-\S+:[\w.-]+\}$/);
      expect(service).toMatchObject({
        security_opt: ['no-new-privileges:true'],
        logging: { options: { 'max-size': expect.anything() } },
      });
      // A one-shot has no health check; a database prepares its volume before it drops its privileges.
      if (service.restart !== 'no')
        expect(service).toMatchObject({ healthcheck: { test: expect.anything() } });
      if (!service.image.includes('postgres')) expect(service).toMatchObject({ cap_drop: ['ALL'] });
      expect(Object.keys(service.networks ?? {})).not.toContain('default');
    },
  );

  test('volumes have the project’s name', () => {
    for (const [key, { name: volume }] of Object.entries(file.volumes ?? {}))
      expect(volume).toBe(`\${PROJECT:-fedi}_${key}`);
  });
});

describe('caddy/', () => {
  const tree = (): string => {
    const folder = tempFolder();
    writeTree(folder, readTree(assetPath('caddy')));
    return folder;
  };

  test('every file is formatted as by `caddy fmt`', () => {
    expect(
      inCaddy(
        tree(),
        'find . -name "*.caddy" -o -name Caddyfile | while read -r f; do caddy fmt --diff "$f" >/tmp/diff 2>&1 || { echo "$f"; grep "^[-+]" /tmp/diff; }; done\n',
      ),
    ).toBe('');
  });

  test.each(['acme', 'internal'])('valid alone with tls/%s, with its own defaults', (mode) => {
    const folder = tree();
    const printed = inCaddy(
      folder,
      `cp tls/${mode}/*.caddy tls/; mkdir sites custom; cp ${APP_IDS.map((id) => `${id}.caddy`).join(' ')} sites/; chmod -R a+rwX .
      rm -rf /etc/caddy; ln -s /work /etc/caddy
      caddy adapt --config Caddyfile --adapter caddyfile >/dev/null 2>/tmp/output || cat /tmp/output\n`,
    );
    expect(printed).toBe('');
    expect(readdirSync(join(folder, 'sites')).length).toBe(APP_IDS.length);
  });
});

/** The first line of every reverse_proxy in caddy/; for an app's snippet, that of the snippet. */
test('every reverse_proxy to an app removes headers that a client must not set', () => {
  const texts = readTree(assetPath('caddy'));
  const blocks = Object.entries(texts)
    .filter(([path]) => !path.startsWith('front/'))
    .flatMap(([path, text]) =>
      [...text.matchAll(/^\t+reverse_proxy (.*)\n\s*(.*)$/gm)].map(([, line, first]) => ({
        path,
        line,
        first,
        text,
      })),
    );
  expect(blocks.length).toBeGreaterThan(8);
  const clean = ({ first = '', text }: (typeof blocks)[number]): boolean =>
    first === 'import app_headers' ||
    text.includes(`(${first.replace('import ', '')}) {\n\timport app_headers\n`);
  expect(blocks.filter((one) => !(one.line?.endsWith('{') && clean(one))).map(({ path, line }) => `${path}: ${line}`)).toEqual([]); // prettier-ignore
});

test('every site of an app imports the common snippet', () => {
  for (const [path, text] of Object.entries(readTree(assetPath('caddy'))))
    for (const [, address, first] of text.matchAll(/^(\{\$[A-Z_]*ADDRESS.*) \{\n\s*(.*)$/gm))
      expect([path, address, first]).toEqual([path, address, 'import site']);
});
