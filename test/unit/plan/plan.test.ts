/** A plan as data and as text. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Change } from '../../../wizard/plan/diff.ts';
import { filesOf, hasChanges, isEmpty } from '../../../wizard/plan/plan.ts';
import type { Plan } from '../../../wizard/plan/plan.ts';
import { differenceLines, summaryLines } from '../../../wizard/plan/print.ts';

const EMPTY: Plan = {
  folder: '/srv/fedi',
  generation: 3,
  images: [],
  secrets: { generate: [], rotate: [] },
  files: [],
  ownFiles: false,
  containers: { create: [], recreate: [], remove: [] },
  starts: {},
  reload: false,
  steps: [{ id: 'snac.account', title: 'Account anna' }],
  passwords: [],
  prove: false,
  notes: [],
};
const file = (index: number): Plan['files'][number] => ({
  path: `env/${index}.env`,
  kind: 'update',
  edited: false,
});
const CHANGES: Readonly<Record<string, Partial<Plan>>> = {
  'a swap file': { swap: { file: '/swapfile', gib: 2 } },
  'an image': { images: [{ name: 'snac', reference: 'example.org/snac:1', action: 'pull' }] },
  'a secret to generate': { secrets: { generate: ['snac.admin'], rotate: [] } },
  'a secret to rotate': { secrets: { generate: [], rotate: ['snac.admin'] } },
  'a file': { files: [file(1)] },
  'the administrator’s own files': { ownFiles: true },
  'a container to create': { containers: { create: ['mail'], recreate: [], remove: [] } },
  'a container to recreate': { containers: { create: [], recreate: ['snac'], remove: [] } },
  'a container to remove': { containers: { create: [], recreate: [], remove: ['mail'] } },
  'a reload of Caddy': { reload: true },
};
const shown = (plan: Plan): string[] => summaryLines(plan, undefined, 80);

test('docs/reference/plan.md has every field', () => {
  const text = readFileSync(new URL('../../../docs/reference/plan.md', import.meta.url), 'utf8');
  const fields = [...text.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
  expect(fields.toSorted()).toEqual(Object.keys({ ...EMPTY, swap: {} }).toSorted());
});

describe('whether a plan has work', () => {
  test('no work: no line', () => {
    expect([isEmpty(EMPTY), hasChanges(EMPTY), shown(EMPTY)]).toEqual([true, false, []]);
  });

  test.each(Object.entries(CHANGES))('%s', (_, change) => {
    const plan = { ...EMPTY, ...change };
    expect([isEmpty(plan), hasChanges(plan)]).toEqual([false, true]);
    // Its line, with those of the site and of the proof.
    expect(shown(plan).length).toBeGreaterThan(2);
  });

  test.each([
    ['a missing receipt', { prove: true }],
    ['a password that was never shown', { passwords: ['snac'] }],
  ])('%s: a run has work, but changes nothing', (_, open) => {
    const plan = { ...EMPTY, ...open };
    expect([isEmpty(plan), hasChanges(plan)]).toEqual([false, false]);
    expect(shown(plan).at(-1)).toMatch(/proven again/);
  });
});

describe('the summary', () => {
  const large: Plan = {
    ...EMPTY,
    generation: 0,
    swap: { file: '/swapfile', gib: 2 },
    images: ['caddy', 'mail', 'mastodon', 'mastodon-streaming', 'postgres', 'valkey'].map((name) => ({
      name,
      reference: `docker.io/example/${name}:12.34.56`,
      action: 'pull',
    })),
    secrets: { generate: Array.from({ length: 20 }, (_, index) => `secret.${index}`), rotate: [] },
    files: Array.from({ length: 40 }, (_, index) => file(index)),
    containers: {
      create: Array.from({ length: 12 }, (_, index) => `mastodon_service${index}`),
      recreate: [],
      remove: [],
    },
    notes: ['A sentence on what stays where it was, long enough to be wrapped in a line of eighty columns.'],
    prove: true,
  };

  test('fits on a screen of 80 columns and 24 lines, also for a large site', () => {
    const lines = summaryLines(
      large,
      'Mastodon 4 GB, Pixelfed 2 GB: together 6 GB, at most 9 busy processes',
      80,
    );
    expect(lines.length).toBeLessThanOrEqual(24);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  });

  test('on a narrow screen no text is lost', () => {
    const words = (width: number): string[] => summaryLines(large, undefined, width).join(' ').split(/\s+/);
    expect(words(40)).toEqual(words(120));
  });

  test('lists few files and counts many; a file changed by hand is always named', () => {
    const files = [file(1), { ...file(2), edited: true }];
    expect(shown({ ...EMPTY, files })).toEqual(
      expect.arrayContaining(['Files       ~ env/1.env', '            ~ env/2.env   (changed by hand)']),
    );
    const many = [...large.files, { ...file(50), edited: true }];
    expect(shown({ ...EMPTY, files: many })).toEqual(
      expect.arrayContaining(['Files       41 to change', '            ~ env/50.env   (changed by hand)']),
    );
  });

  test('says how long a container was down the last time', () => {
    const containers = { create: [], recreate: ['caddy', 'snac'], remove: [] };
    expect(shown({ ...EMPTY, containers, starts: { snac: 7 } })).toContain(
      'Recreate    caddy, snac (7 s last time)',
    );
  });
});

describe('the differences', () => {
  const change = (path: string, before: string, after: string, secret: boolean): Change => ({
    path,
    kind: 'update',
    edited: false,
    keepable: false,
    before,
    found: 'x',
    file: { path, text: after, mode: 0o644, secret, generated: true },
  });

  test('texts in full, secrets by name only; unchanged files not at all', async () => {
    const changes: Change[] = [
      change('compose.yaml', 'a: 1\n', 'a: 2\n', false),
      change('env/snac.env', "A='old'\n", "A='new'\n", true),
      { ...change('caddy/Caddyfile', 'x', 'x', false), kind: 'same' },
    ];
    const text = (await differenceLines({ ...EMPTY, files: filesOf(changes) }, changes)).join('\n');
    expect(text).toContain('-a: 1\n+a: 2');
    expect(text).toContain('~ A (hidden)');
    expect(text).not.toMatch(/old|new|Caddyfile/);
  });
});
