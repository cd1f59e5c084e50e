/** Ownership markers in a volume while the container of an interrupted run ends: an unknown state never counts as "no data". */
import { expect, test } from 'vitest';
import { checkMarkers } from '../../../wizard/apply/marker.ts';
import type { Engine, Output } from '../../../wizard/docker/engine.ts';
import { Store, randomToken } from '../../../wizard/secrets/store.ts';
import { contextOf } from '../../support/checks.ts';
import { OK, failed, fakeContainer } from '../../support/fake-engine.ts';
import { tempFolder } from '../../support/temp.ts';

const CONFIG = contextOf().config;
const KILLED = failed('', 137);
const GONE = new Error('container is not running');

/** @param inside result of a command in the running container; @param apart the same in a new one */
async function check(
  inside: (argv: readonly string[]) => Output | Error,
  apart: (argv: readonly string[]) => Output,
  before: Readonly<Record<string, string>> = {},
): Promise<number> {
  const engine: Partial<Engine> = {
    containers: async () => [fakeContainer('snac')],
    volume: async () => ({}) as Awaited<ReturnType<Engine['volume']>>,
    exec: async (_id, { argv }) => {
      const result = inside(argv);
      if (result instanceof Error) throw result;
      return result;
    },
    run: async ({ argv }) => apart(argv),
  };
  const store = await Store.open(tempFolder());
  for (const name of ['site.key', 'snac.seal']) store.put(name, 'forever', randomToken(), new Date());
  return (await checkMarkers(engine as Engine, CONFIG, store, () => 'snac:1', before, [], {})).length;
}
const no = failed('', 1);
const data = ([program]: readonly string[]): Output => (program === 'test' ? OK : no);

test.each([
  ['is killed', () => KILLED],
  ['is gone', () => GONE],
])('a container that %s during the call: uses a new container', async (_, inside) => {
  expect(await check(inside, () => no)).toBe(1);
  await expect(check(inside, data)).rejects.toMatchObject({ exit: 3 });
});

test('uses the output of the running container', async () => {
  const never = (): Output => {
    throw new Error('a new container was started');
  };
  expect(await check(() => no, never)).toBe(1);
  await expect(check(data, never)).rejects.toMatchObject({ exit: 3 });
});

test('reports that neither container returned a result', async () => {
  await expect(
    check(
      () => KILLED,
      () => KILLED,
    ),
  ).rejects.toThrow('The volume fedi_snac_data cannot be read: exit code 137');
});

test('data that the last run left there are gone: refused, since a new server would take the place of the old one', async () => {
  const before = { snac: 'the volume fedi_snac_data' };
  await expect(
    check(
      () => no,
      () => no,
      before,
    ),
  ).rejects.toMatchObject({
    exit: 3,
    message: 'The data of snac are gone: the volume fedi_snac_data is missing or empty.',
  });
});
