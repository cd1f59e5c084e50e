/** Warnings about the host: on a terminal one question, otherwise printed only. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { tool } from '../support/site.ts';
import { absent, closeTerminals, terminal } from '../support/terminal.ts';
import type { Terminal } from '../support/terminal.ts';
import { place } from './place.ts';

const DOCKER = '/var/run/docker.sock';
const site = place('preflight', 46);
const scratch = mkdtempSync(join(tmpdir(), 'fedi-sockets-'));
/** The engine with another socket path: a warning possible on every host. */
const other = join(scratch, 'other.sock');
symlinkSync(DOCKER, other);

const env = {
  ...site.env,
  FEDI_SNAC_DOMAIN: 'term.fedi.test',
  FEDI_SNAC_ADMIN: 'anna',
  FEDI_SNAC_EMAIL: 'anna@fedi.test',
  FEDI_TLS_MODE: 'internal',
  DOCKER_HOST: `unix://${other}`,
};
const QUESTION = 'Continue anyway?';
const WARNING =
  /^ {2}! This is not the default Docker of this host: DOCKER_HOST names unix:.*other\.sock\.$/m;
const apply = (words: readonly string[] = [], more: NodeJS.ProcessEnv = {}): Terminal =>
  terminal(['apply', '--skip-check', 'clock', ...words], {
    cwd: site.cwd,
    env: { ...env, ...more },
    cols: 160,
  });

afterEach(closeTerminals);
afterAll(() => {
  site.remove();
  rmSync(scratch, { recursive: true, force: true });
});

describe.sequential('a warning', () => {
  test('that is not accepted ends the run, without a change', async () => {
    const run = apply();
    await run.until(WARNING);
    await run.choose(QUESTION, 'Stop without changes');
    expect(await run.exit).toEqual({ code: 0, signal: 0 });
    expect(run.screen()).toMatch(/^Nothing was changed\.$/m);
    expect(absent(site.folder)).toBe(true);
  });

  test('causes no question without a terminal, or with --yes', async () => {
    const piped = await tool(['apply', '--dry-run', '--skip-check', 'clock', '--dir', site.folder], { env });
    expect([piped.code, piped.stderr]).toEqual([0, expect.stringMatching(WARNING)]);
    const run = apply(['--yes', '--dry-run']);
    expect((await run.exit).code).toBe(0);
    expect(run.screen()).toMatch(WARNING);
    expect(run.screen()).not.toContain(QUESTION);
  });

  test('that is accepted causes one question only', async () => {
    const run = apply();
    await run.choose(QUESTION, 'Continue');
    expect((await run.exit).code).toBe(0);
    expect(run.screen().split(QUESTION).length).toBe(2);
    expect(run.screen()).toContain('✔ Log-in as anna');
  });

  test('is no blocker in doctor', async () => {
    const run = await tool(['doctor', '--dir', site.folder], { env });
    expect([run.code, run.stderr]).toEqual([0, expect.stringMatching(WARNING)]);
    expect(run.stderr).toMatch(/^✔ Ports: /m);
  });
});

describe('too little memory', () => {
  const small = join(scratch, 'small.sock');
  let server: Server;
  // The real engine, except for the memory that it reports.
  beforeAll(async () => {
    server = createServer((asked, reply) => {
      const { method, url = '', headers } = asked;
      const sent = request({ socketPath: DOCKER, method, path: url, headers }, (got) => {
        if (!url.endsWith('/info')) {
          reply.writeHead(got.statusCode ?? 500, got.headers);
          got.pipe(reply);
          return;
        }
        let text = '';
        got.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        got.on('end', () => reply.end(JSON.stringify({ ...JSON.parse(text), MemTotal: 100 * 1024 ** 2 })));
      });
      sent.on('error', () => reply.destroy());
      asked.pipe(sent);
    });
    await new Promise<void>((done) => server.listen(small, done));
  });
  afterAll(() => server.close());
  const onSmall = { DOCKER_HOST: `unix://${small}`, FEDI_NAME: 'test-term-small', FEDI_BIND: '127.0.0.50' };

  test('offers root a swap file, which can be declined', async () => {
    const run = apply(['--dir', join(site.cwd, 'small')], onSmall);
    await run.until(
      /^ {2}! This host has less memory than the site needs: 100 MB of memory and .* of swap;/m,
    );
    expect(run.screen().replaceAll(/\s+/g, ' ')).toMatch(
      /\(Memory: this host has 100 MB of memory and .* of swap; snac needs at least 256 MB\)/,
    );
    await run.until('Stop without changes');
    expect(run.screen().includes('Create a swap file of 1 GB first: /swapfile')).toBe(
      process.getuid?.() === 0,
    );
    await run.choose(QUESTION, 'Stop without changes');
    expect((await run.exit).code).toBe(0);
    expect(absent(join(site.cwd, 'small'))).toBe(true);
  });
});
