/** Our part of the Docker boundary: versions, error messages, the environment of Docker's client. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { apiVersion, connect, pullProblem } from '../../../wizard/docker/docker.ts';
import { notStarted } from '../../../wizard/docker/engine.ts';
import { tempFolder } from '../../support/temp.ts';

afterEach(() => vi.unstubAllEnvs());

test.each([
  ['1.41', 'v1.41'],
  ['1.53', 'v1.53'],
  ['1.57', 'v1.53'],
  ['2.0', 'v1.53'],
  [undefined, undefined],
  ['', undefined],
])('an engine with API version %j is called with %j', (newest, version) =>
  expect(apiVersion(newest)).toBe(version),
);

/** An engine on a separate socket that answers `/_ping` and records the requested paths. */
async function fakeEngine(newest: string): Promise<{ paths: string[]; host: string; close: () => void }> {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url ?? '');
    response.setHeader('Api-Version', newest);
    response.setHeader('Content-Type', 'application/json');
    response.end('{"Id":"sha256:1","RepoDigests":[]}');
  });
  const socket = join(tempFolder(), 's');
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return {
    paths,
    host: `unix://${server.address() as unknown as AddressInfo & string}`,
    close: () => server.close(),
  };
}

test('every request names an API version that the engine supports', async () => {
  const engine = await fakeEngine('1.47');
  vi.stubEnv('DOCKER_HOST', engine.host);
  await (await connect()).image('a:1');
  engine.close();
  expect(engine.paths).toEqual(['/_ping', '/v1.47/images/a:1/json']);
});

test('lists all containers although the engine does not answer about one', async () => {
  const listed = [
    {
      Id: '1',
      State: 'running',
      Labels: { 'com.docker.compose.project': 'other', 'com.docker.compose.service': 'web' },
      Ports: [
        { IP: '0.0.0.0', PrivatePort: 8080, PublicPort: 80, Type: 'tcp' },
        { PrivatePort: 9000, Type: 'tcp' },
      ],
    },
  ];
  const server = createServer((request, response) => {
    if (/\/containers\/1\//.test(request.url ?? '')) return;
    response.setHeader('Api-Version', '1.41');
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(listed));
  });
  const socket = join(tempFolder(), 's');
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  vi.stubEnv('DOCKER_HOST', `unix://${socket}`);
  expect(await (await connect()).listed()).toEqual([
    {
      service: 'web',
      project: 'other',
      state: 'running',
      labels: listed[0]?.Labels,
      ports: [{ ip: '0.0.0.0', port: 80, protocol: 'tcp' }],
    },
  ]);
  server.closeAllConnections();
  server.close();
});

describe('Docker’s client', () => {
  /** A `docker` that prints its environment. */
  const seen = async (): Promise<string> => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'docker'), '#!/bin/sh\nenv\n', { mode: 0o755 });
    vi.stubEnv('PATH', `${folder}:${process.env['PATH'] ?? ''}`);
    vi.stubEnv('DOCKER_HOST', `unix://${folder}/none`);
    return (await (await connect()).run({ image: 'a', argv: ['true'] })).stdout;
  };

  test('gets no variables for remote engines, and the chosen engine', async () => {
    for (const name of ['TLS', 'TLS_VERIFY', 'CERT_PATH', 'API_VERSION', 'DEFAULT_PLATFORM', 'CONTENT_TRUST'])
      vi.stubEnv(`DOCKER_${name}`, '1');
    vi.stubEnv('DOCKER_CONTENT_TRUST_SERVER', 'https://notary.example');
    vi.stubEnv('COMPOSE_FILE', 'other.yaml');
    vi.stubEnv('DOCKER_CONFIG', '/etc/docker-client');
    const names = [...(await seen()).matchAll(/^((?:DOCKER|COMPOSE)_\w+)=/gm)].map(([, name]) => name);
    expect(names.toSorted()).toEqual(['DOCKER_CONFIG', 'DOCKER_HOST']);
  });

  test.each([
    ['no configuration', undefined, undefined],
    ['no proxies', '{"auths":{}}', undefined],
    ['proxies without a default', '{"proxies":{"default":{"noProxy":"a"}}}', undefined],
    ['broken', '{', undefined],
    ['a proxy', '{"proxies":{"default":{"httpProxy":"http://p:1"}}}', []],
    [
      'and exceptions',
      '{"proxies":{"default":{"httpsProxy":"http://p:1","noProxy":" a , *.b,"}}}',
      ['a', '*.b'],
    ],
    [
      'one for this engine',
      '{"proxies":{"unix:///s":{"allProxy":"http://p:1","noProxy":"own"},"default":{"noProxy":"a"}}}',
      ['own'],
    ],
  ])('with %s', async (_, text, expected) => {
    const folder = join(tempFolder(), 'config');
    mkdirSync(folder);
    if (text !== undefined) writeFileSync(join(folder, 'config.json'), text);
    vi.stubEnv('DOCKER_CONFIG', folder);
    vi.stubEnv('DOCKER_HOST', 'unix:///s');
    expect(await (await connect()).noProxy()).toEqual(expected);
  });
});

describe('an image that cannot be pulled', () => {
  test.each([
    ['no matching manifest for linux/arm64/v8 in the manifest list entries', /other processors only/],
    ['write /var/lib/docker/tmp/x: no space left on device', /disk .* is full/],
    [
      'Get "https://r.example/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority',
      /does not trust the registry’s certificate/,
    ],
    ['toomanyrequests: You have reached your pull rate limit', /limits pulls per address/],
    ['manifest unknown', /does not have it/],
    ['dial tcp: lookup r.example: no such host', /could not be reached/],
  ])('%j', (words, means) => expect(pullProblem('r.example/a:1', words).means).toMatch(means));
});

test.each([
  [
    125,
    'docker: Error response from daemon: no.\nSee docker run --help',
    /run a container of a:1: Error response from daemon: no\.$/,
  ],
  [127, '', /exit code 127/],
  [1, 'Error: bad configuration', undefined],
  [137, '', undefined],
])('exit code %i of `docker run` is %s', (code, stderr, words) => {
  const problem = notStarted('a:1', { code, stdout: '', stderr });
  if (words === undefined) expect(problem).toBeUndefined();
  else expect(problem?.message).toMatch(words);
});
