/** Addresses of a lab's network: two labs fit on one host. */
import { describe, expect, test } from 'vitest';
import type { Network } from '../../../wizard/docker/engine.ts';
import { EXIT } from '../../../wizard/problem.ts';
import { labSubnet } from '../../../wizard/render/lab-network.ts';
import { problemFrom } from '../../support/problem.ts';

const KEY = 'pixelfed_front_lab';
const network = (name: string, subnets: string[], project?: string): Network => ({
  name,
  project,
  key: project === undefined ? undefined : KEY,
  subnets,
});
const select = (networks: readonly Network[]): string => labSubnet('fedi', KEY, networks);
const ALL = Array.from({ length: 16 }, (_, index) => `192.88.99.${index * 16}/28`);

describe('addresses of a lab’s network', () => {
  test('without other networks they depend on the project’s name only', () => {
    expect(ALL).toContain(select([]));
    expect(select([network('bridge', ['172.17.0.0/16'])])).toBe(select([]));
  });

  test.each([
    ['the same subnet', (taken: string) => taken],
    ['a smaller one inside it', (taken: string) => taken.replace('/28', '/30')],
    [
      'a larger one around it',
      (taken: string) => taken.replace(/\d+\/28/, (last) => `${parseInt(last) & 224}/27`),
    ],
  ])('another network has %s: another subnet is selected', (_, other) => {
    const used = other(select([]));
    const selected = select([network('other', [used], 'other')]);
    expect(ALL).toContain(selected);
    expect(select([network('other', [used, selected])])).not.toBe(selected);
    expect(selected).not.toBe(select([]));
  });

  test('an existing network keeps its subnet, although the preferred one is free', () => {
    const later = ALL.find((one) => one !== select([])) ?? '';
    expect(select([network('fedi_x', [later], 'fedi')])).toBe(later);
  });

  test('an existing network with other addresses gets new ones', () => {
    expect(ALL).toContain(select([network('fedi_x', ['172.20.0.0/16'], 'fedi')]));
  });

  test('none is free: names the networks that use them', async () => {
    const problem = await problemFrom(async () =>
      select([network('wide', ['192.88.0.0/16']), network('bridge', ['172.17.0.0/16'])]),
    );
    expect(problem.exit).toBe(EXIT.PREFLIGHT);
    expect(problem.means).toMatch(/^They are wide\./);
  });
});
