/** The deletion of accounts on other servers: when it is complete, how it continues, and its variables. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  addVariables,
  judge,
  leftText,
  refuseGoodbye,
  refuseStarted,
  removeVariables,
  sayGoodbye,
} from '../../../wizard/apply/goodbye.ts';
import type { GoodbyeLeft } from '../../../wizard/apps/app.ts';
import { appOf } from '../../../wizard/apps/index.ts';
import type { AppConfig, Config } from '../../../wizard/config/config.ts';
import type { Engine, Output } from '../../../wizard/docker/engine.ts';
import type { Event } from '../../../wizard/events.ts';
import { forgetGoodbye, keepGoodbye, readGoodbyes } from '../../../wizard/goodbye-record.ts';
import { EXIT } from '../../../wizard/problem.ts';
import { FakeClock, OK, failed, fakeContainer, fakeProgress } from '../../support/fake-engine.ts';
import { problemFrom } from '../../support/problem.ts';
import { modeOf, readTree, tempFolder } from '../../support/temp.ts';

const APP = { id: 'mastodon', domain: 'social.example.org' } as AppConfig;
const AT = '2026-01-02T03:04:05.000Z';
const BY = 'remove mastodon --goodbye';
const NOTHING: GoodbyeLeft = { accounts: 0, deliveries: 0, failed: {} };

let folder = '';
beforeEach(() => {
  folder = tempFolder();
  mkdirSync(join(folder, '.fedi'));
  mkdirSync(join(folder, 'env'));
});

describe('it is complete', () => {
  test.each<[string, GoodbyeLeft, boolean]>([
    ['when nothing is left', NOTHING, true],
    ['when the app records no failures', { accounts: 0, deliveries: 0 }, true],
    ['not while an account is left', { ...NOTHING, accounts: 1 }, false],
    ['not while a delivery waits', { ...NOTHING, deliveries: 1 }, false],
    ['not while a server failed less often than the limit', { ...NOTHING, failed: { a: 3, b: 2 } }, false],
    ['when each server that is left failed that often', { ...NOTHING, failed: { b: 3, a: 16 } }, true],
    [
      'not while an account is left, however often servers failed',
      { accounts: 1, deliveries: 0, failed: { a: 9 } },
      false,
    ],
  ])('%s', (_name, left, isComplete) => {
    // prettier-ignore
    expect(judge(left, 3)).toEqual({ isComplete, unreached: Object.keys(left.failed ?? {}).toSorted() });
  });
});

test.each<[GoodbyeLeft, string]>([
  [{ accounts: 1, deliveries: 1, failed: { a: 1 } }, '1 account left, 1 delivery waiting, no answer yet from a (attempt 1 of 8)'],
  [{ accounts: 12, deliveries: 340, failed: { b: 3, a: 1 } }, '12 accounts left, 340 deliveries waiting, no answer yet from a (attempt 1 of 8), b (attempt 3 of 8)'],
  [{ ...NOTHING, failed: { a: 1, b: 1, c: 1, d: 9, e: 1 } }, '0 accounts left, 0 deliveries waiting, no answer yet from a (attempt 1 of 8), b (attempt 1 of 8), c (attempt 1 of 8) and 2 more'],
  [NOTHING, '0 accounts left, 0 deliveries waiting'],
])('says what is left: %o', (left, text) => expect(leftText(left, 8)).toBe(text)); // prettier-ignore

/** A site whose app prints `looks`, one after the other; the last one again and again. */
function siteWith(
  looks: readonly (GoodbyeLeft | Output)[],
  started: Output = { ...OK, stdout: 'SELF_DESTRUCT=abc--1\n' },
) {
  const calls: string[] = [];
  const events: Event[] = [];
  const said: string[] = [];
  const notes: (string | undefined)[] = [];
  let at = 0;
  const engine = {
    containers: async () => [fakeContainer('mastodon_web'), fakeContainer('mastodon_sidekiq')],
    compose: async (_folder: string, argv: readonly string[]) => {
      calls.push(argv[0] ?? '');
      return OK;
    },
    exec: async (_id: string, { argv }: { argv: readonly string[] }) => {
      if (argv[0] === 'tootctl') {
        calls.push('start');
        return started;
      }
      const look = looks[Math.min(at++, looks.length - 1)] as GoodbyeLeft | Output;
      return 'code' in look ? look : { ...OK, stdout: `a warning\n${JSON.stringify(look)}\n` };
    },
  } as unknown as Engine;
  const progress = {
    ...fakeProgress(),
    say: (text = '') => void said.push(text),
    done: (note?: string) => void notes.push(note),
    emit: (event: Event) => void events.push(event),
  };
  const run = (): Promise<readonly string[]> =>
    sayGoodbye(
      {
        folder,
        config: { name: 'fedi', apps: [APP] } as unknown as Config,
        engine,
        progress,
        now: () => new Date(AT),
        by: BY,
        attempts: 3,
        clock: new FakeClock(),
      },
      APP,
    );
  return { run, calls, events, said, notes, looks: () => at };
}

describe('a run', () => {
  test('starts it once, says each change, and ends when nothing is left for a while', async () => {
    const site = siteWith([
      { accounts: 2, deliveries: 0 },
      { accounts: 0, deliveries: 4 },
      { accounts: 0, deliveries: 4 },
      NOTHING,
      { accounts: 0, deliveries: 1 },
      NOTHING,
    ]);
    expect(await site.run()).toEqual([]);
    expect(site.calls).toEqual(['up', 'start', 'up']);
    expect(site.said).toEqual(
      ['2 accounts left, 0 deliveries', '0 accounts left, 4 deliveries', '0 accounts left, 0 deliveries', '0 accounts left, 1 delivery', '0 accounts left, 0 deliveries'].map((text) => `  Mastodon: ${text} waiting`), // prettier-ignore
    );
    // 15 s after the last delivery, with a look every 5 s.
    expect(site.looks()).toBe(9);
    expect(site.notes).toEqual([undefined, undefined]);
    expect(await readGoodbyes(folder)).toEqual({ mastodon: { at: AT, domain: APP.domain, by: BY, complete: { at: AT, unreached: [] } } }); // prettier-ignore
    expect(readTree(join(folder, 'env'))['mastodon.local.env']).toMatch(/^SELF_DESTRUCT=abc--1$/m);
  });

  test('ends when only servers are left that failed too often, and names them', async () => {
    const site = siteWith([{ ...NOTHING, failed: { 'b.example': 2, 'a.example': 5 } }, { ...NOTHING, failed: { 'b.example': 3, 'a.example': 5 } }]); // prettier-ignore
    expect(await site.run()).toEqual(['a.example', 'b.example']);
    expect(site.notes[1]).toBe('2 servers did not answer and keep them: a.example, b.example');
    expect(site.events.filter(({ event }) => event === 'goodbye').map((one) => 'complete' in one && one.complete)).toEqual([false, true, true, true, true]); // prettier-ignore
  });

  test('names what cannot be sent', async () => {
    const site = siteWith([{ ...NOTHING, lost: 2 }]);
    await site.run();
    expect(site.notes[1]).toBe('2 could not be sent');
  });

  test('that was interrupted continues: the time of its start stays', async () => {
    await keepGoodbye(folder, 'mastodon', { at: '2026-01-01T00:00:00.000Z', domain: APP.domain, by: BY });
    const site = siteWith([NOTHING], { ...OK, stdout: 'Self-destruct mode is already enabled\n' });
    await site.run();
    expect(site.calls).toEqual(['up', 'start']);
    expect((await readGoodbyes(folder))['mastodon']?.at).toBe('2026-01-01T00:00:00.000Z');
  });

  test('after a complete one does nothing', async () => {
    await keepGoodbye(folder, 'mastodon', {
      at: AT,
      domain: APP.domain,
      by: BY,
      complete: { at: AT, unreached: ['a.example'] },
    });
    const site = siteWith([NOTHING]);
    expect(await site.run()).toEqual(['a.example']);
    expect([site.calls, site.looks()]).toEqual([[], 0]);
  });

  test('survives looks that fail while containers are replaced', async () => {
    const site = siteWith([failed('no'), { ...OK, stdout: 'half a li' }, { ...OK, stdout: '{"accounts":1}' }, NOTHING]); // prettier-ignore
    expect(await site.run()).toEqual([]);
  });

  test('counts only looks that fail in a row', async () => {
    const nine = Array.from({ length: 9 }, () => failed('no'));
    expect(await siteWith([...nine, { accounts: 1, deliveries: 0 }, ...nine, NOTHING]).run()).toEqual([]);
  });

  test('ends if the app never reports what is left; it stays started', async () => {
    const site = siteWith([failed('uninitialized constant Account')]);
    const { exit, message, log } = await problemFrom(site.run);
    expect([exit, message, log]).toEqual([EXIT.FAILED, 'Mastodon did not report what is left to send (exit code 1).', 'uninitialized constant Account']); // prettier-ignore
    expect((await readGoodbyes(folder))['mastodon']?.complete).toBeUndefined();
    expect(site.looks()).toBe(10);
  });

  test('ends if the app refuses to start; nothing is written to its variables', async () => {
    const site = siteWith([NOTHING], failed('Domains do not match.'));
    const { exit, message, means } = await problemFrom(site.run);
    expect([exit, message, means]).toEqual([EXIT.FAILED, 'Mastodon did not start the deletion of its accounts (exit code 1).', 'Nothing was removed.']); // prettier-ignore
    expect(readTree(join(folder, 'env'))).toEqual({});
  });
});

describe('other commands', () => {
  test('are refused for an app that has started, with the command that continues it', async () => {
    await keepGoodbye(folder, 'mastodon', { at: AT, domain: APP.domain, by: BY });
    const { exit, message, next } = await problemFrom(() => refuseGoodbye(folder, [{ id: 'snac' }, APP]));
    expect([exit, message, next]).toEqual([EXIT.REFUSED, 'The accounts of Mastodon are being deleted on other servers.', `\`fedi-setup ${BY}\` continues it.`]); // prettier-ignore
  });
  test('are refused for an app that has completed it', async () => {
    await keepGoodbye(folder, 'mastodon', {
      at: AT,
      domain: APP.domain,
      by: BY,
      complete: { at: AT, unreached: [] },
    });
    const { exit, next } = await problemFrom(() => refuseGoodbye(folder, [APP, { id: 'snac' }]));
    expect([exit, next]).toEqual([
      EXIT.REFUSED,
      expect.stringContaining('`fedi-setup remove mastodon --data`'),
    ]);
    // The only app of a site cannot be removed.
    const only = await problemFrom(() => refuseGoodbye(folder, [APP]));
    expect(only.next).toBe('`fedi-setup uninstall --data` removes what is left of the site.');
    // What is complete may be stopped.
    await expect(refuseStarted(folder, [APP])).resolves.toBeUndefined();
  });
  test('are not refused without that app, nor after it is forgotten', async () => {
    await keepGoodbye(folder, 'mastodon', { at: AT, domain: APP.domain, by: BY });
    await keepGoodbye(folder, 'snac', { at: AT, domain: APP.domain, by: BY });
    await refuseGoodbye(folder, [{ id: 'pixelfed' }]);
    await forgetGoodbye(folder, 'mastodon');
    await refuseGoodbye(folder, [APP]);
    expect(Object.keys(await readGoodbyes(folder))).toEqual(['snac']);
    await forgetGoodbye(folder, 'snac');
    expect(readTree(folder)).toEqual({});
  });
});

describe('the variables', () => {
  const path = (): string => join(folder, 'env/mastodon.local.env');
  const text = (): string | undefined => readTree(join(folder, 'env'))['mastodon.local.env'];

  test('are in a new file that only its owner reads, and go with it', async () => {
    expect(await addVariables(folder, 'mastodon', { SELF_DESTRUCT: 'a=b--c' })).toBe(true);
    expect([text()?.split('\n')[1], modeOf(path())]).toEqual(['SELF_DESTRUCT=a=b--c', 0o600]);
    // A second value would not match the first.
    expect(await addVariables(folder, 'mastodon', { SELF_DESTRUCT: 'other' })).toBe(false);
    await removeVariables(folder, 'mastodon');
    expect(text()).toBeUndefined();
  });

  test.each([['A=1'], ['A=1\n'], ['A=1\n\n# mine\nB=2\n']])(
    'leave those of the administrator: %j',
    async (own) => {
      writeFileSync(path(), own);
      chmodSync(path(), 0o640);
      await addVariables(folder, 'mastodon', { SELF_DESTRUCT: 'x' });
      expect(text()).toMatch(/^A=1\n[^]*\nSELF_DESTRUCT=x\n$/);
      await removeVariables(folder, 'mastodon');
      expect([text(), modeOf(path())]).toEqual([own.endsWith('\n') ? own : `${own}\n`, 0o640]);
    },
  );

  test('that the administrator wrote stay', async () => {
    writeFileSync(path(), 'SELF_DESTRUCT=mine\n');
    expect(await addVariables(folder, 'mastodon', { SELF_DESTRUCT: 'x' })).toBe(false);
    await removeVariables(folder, 'mastodon');
    expect(text()).toBe('SELF_DESTRUCT=mine\n');
  });
});

test.each(['mastodon', 'pixelfed', 'snac'])('%s says what other servers get', (id) => {
  const { about, service, start, look } = appOf(id).goodbye({ ...APP, id });
  expect(about).toMatch(/^\S.*\.$/);
  expect(service === id || service.startsWith(`${id}_`)).toBe(true);
  expect([start.argv.length > 0, look.argv.length > 0]).toEqual([true, true]);
});
