/** The published package: its files, its size, and that it is reproducible. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';

/** A cold `npx` downloads all of it. */
const MOST_BYTES = 450_000;

const tar = (...argv: string[]): string =>
  execFileSync('tar', argv, { encoding: 'utf8', maxBuffer: 16 * 1024 * 1024 });

test(`has at most ${MOST_BYTES} bytes`, () => {
  expect(statSync(inject('tarball')).size).toBeLessThanOrEqual(MOST_BYTES);
});

test('contains the tool, the files of a site and the documentation, nothing else', () => {
  const files = tar('-tzf', inject('tarball'))
    .trim()
    .split('\n')
    .map((path) => path.replace('package/', ''));
  const kinds = [
    /^(LICENSE|README\.md|env\.example|package\.json)$/,
    /^compose\/[a-z]+\.yaml$/,
    /^compose\/snac\/(Dockerfile|entrypoint|set-email|set-password)$/,
    /^caddy\/(Caddyfile|[a-z-]+\.caddy|[a-z-]+\.css|cache\/[a-z]+\.caddy|tls\/(known|[a-z]+\/(global|site|own-cas))\.caddy|front\/(Caddyfile|nginx\.conf))$/,
    /^compose\/nginx\/(cache|nginx)\.conf$/,
    /^compose\/monitoring\/rules\.yaml$/,
    /^wizard\/([a-z]+\/)+programs\/[a-z-]+\.(php|rb|sh)$/,
    /^dist\/(fedi-setup\.js|cli\.js|THIRD-PARTY\.txt|suffixes\.br|[a-zA-Z-]+-[A-Z0-9]{8}\.js)$/,
  ];
  expect(files.filter((path) => !kinds.some((kind) => kind.test(path)))).toEqual([]);
  const programs = readdirSync('wizard', { recursive: true, encoding: 'utf8' })
    .filter((path) => /\bprograms\/[^/]+$/.test(path))
    .map((path) => `wizard/${path}`);
  expect(programs.length).toBeGreaterThan(30);
  expect(files).toEqual(
    expect.arrayContaining(['dist/fedi-setup.js', 'dist/cli.js', 'dist/THIRD-PARTY.txt', ...programs]),
  );
});

test('has the licence text of every bundled package', () => {
  const text = tar('-xzOf', inject('tarball'), 'package/dist/THIRD-PARTY.txt');
  const [, list = '', ...texts] = text.split('\n\n');
  const names = list.split('\n').map((line) => line.split(' ')[0] ?? '');
  expect(names).toEqual(expect.arrayContaining(['dockerode', 'js-yaml', 'ora', 'tldts']));
  const holders = [...text.matchAll(/^-{80}\n(.+)$/gm)].flatMap(([, line = '']) => line.split(', '));
  expect(holders.toSorted()).toEqual([...names].toSorted());
  expect(texts.join('\n\n')).toContain('Permission is hereby granted, free of charge');
});

test('is the same when packed again, byte for byte', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fedi-again-'));
  try {
    execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { stdio: 'ignore' });
    const [again = ''] = readdirSync(folder);
    const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
    expect(hash(join(folder, again))).toBe(hash(inject('tarball')));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
