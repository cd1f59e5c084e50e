/** Interruption while containers start: no program keeps running, and the next run completes the site. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { tool } from '../support/site.ts';
import {
  absent,
  asShell,
  closeTerminals,
  descendants,
  eventually,
  isAlive,
  terminal,
} from '../support/terminal.ts';
import type { Process, Terminal } from '../support/terminal.ts';
import { SHORT } from '../support/conversations.ts';
import { place, talk } from './place.ts';
import type { Place } from './place.ts';

let site: Place | undefined;
afterEach(() => {
  closeTerminals();
  site?.remove();
  site = undefined;
});

/** snac never becomes healthy, so a run stays in this state. */
const NEVER_HEALTHY = `services:
  snac:
    healthcheck: { test: [CMD, "false"], interval: 1s, retries: 100000 }
`;
/** And `docker compose up` itself waits for it. */
const UP_WAITS = `${NEVER_HEALTHY}  caddy:
    depends_on: { snac: { condition: service_healthy } }
`;

/** A wizard run while it starts containers. */
async function starting(override: string): Promise<{ run: Terminal; children: Process[] }> {
  const { cwd, folder, env } = site as Place;
  mkdirSync(folder);
  writeFileSync(join(folder, 'compose.override.yaml'), override);
  const run = terminal([], { cwd, env });
  await talk(run, SHORT);
  await run.choose('What now?', 'Go');
  if (override === NEVER_HEALTHY) {
    await run.until(/Containers: snac$/m);
    return { run, children: descendants(run.pid) };
  }
  const children = await eventually('docker compose up', () => {
    const now = descendants(run.pid);
    return now.some(({ command }) => / up --detach/.test(command)) && now;
  });
  // Compose waits for snac once its container runs.
  await run.until(/Waiting/);
  return { run, children };
}

async function expectNextRunCompletes(): Promise<void> {
  const { folder, env } = site as Place;
  rmSync(join(folder, 'compose.override.yaml'));
  const again = await tool(['apply', '--dir', folder], {
    env: {
      ...env,
      FEDI_APPS: 'snac',
    },
  });
  expect(again.stderr).toContain('✔ Log-in as anna');
  expect(again.code).toBe(0);
}

const WAYS: readonly (readonly [string, number, (run: Terminal) => void])[] = [
  ['Ctrl-C', 130, (run) => run.key('ctrl-c')],
  ['SIGTERM', 143, (run) => run.signal('SIGTERM')],
  ['SIGHUP', 129, (run) => run.signal('SIGHUP')],
];

/** Checks for every kind of interruption, with or without a terminal. */
async function expectNothingRuns(children: readonly Process[]): Promise<void> {
  await eventually('its programs are gone', () => !children.some(isAlive));
  expect(absent(join((site as Place).folder, '.fedi/lock'))).toBe(true);
}

function expectMessage(run: Terminal): void {
  expect(run.screen()).toMatch(/^Cancelled\. Completed steps are kept; run this again to finish\.$/m);
  // An interruption is no error: nothing failed.
  expect(run.screen()).not.toContain('Error:');
  expect(run.screen()).not.toMatch(/^ +at .*:\d+:\d+/m);
  expect(run.raw().lastIndexOf('\u001b[?25h')).toBeGreaterThanOrEqual(run.raw().lastIndexOf('\u001b[?25l'));
}

describe.each([
  ['while docker compose starts containers', UP_WAITS],
  ['while containers become healthy', NEVER_HEALTHY],
])('%s', (_, override) => {
  test.for(WAYS)('%s ends with %i', async ([, code, leave]) => {
    site = place('signals', 41);
    const { run, children } = await starting(override);
    leave(run);
    expect(await run.exit).toEqual({ code, signal: 0 });
    expectMessage(run);
    await expectNothingRuns(children);
    // The other ways end in the same state; faults/kill* tests every state.
    if (override === UP_WAITS && code === 143) await expectNextRunCompletes();
  });

  test('the terminal goes away', async () => {
    site = place('signals', 41);
    const { run, children } = await starting(override);
    run.hangUp();
    expect(asShell(await run.exit)).toBe(129);
    await expectNothingRuns(children);
    await expectNextRunCompletes();
  });
});

test('Ctrl-C twice is no worse than once', async () => {
  site = place('signals', 41);
  const { run, children } = await starting(UP_WAITS);
  run.key('ctrl-c');
  run.key('ctrl-c');
  expect(await run.exit).toEqual({ code: 130, signal: 0 });
  await expectNothingRuns(children);
});
