/** The policy for containers: every rule has a failing case, and an exception needs a reason. */
import { describe, expect, test } from 'vitest';
import { POLICY, violations } from '../../../wizard/docker/policy.ts';
import type { Rights } from '../../../wizard/docker/policy.ts';
import { STRICT } from '../../support/policy.ts';

const BROKEN: Readonly<Record<string, readonly Partial<Rights>[]>> = {
  user: [{ user: '' }, { user: '0:0' }, { user: 'root' }],
  isolation: [{ privileged: true }, { network: 'host' }, { sources: ['/run/docker.sock'] }],
  cap_drop: [{ capDrop: [] }, { capDrop: ['NET_RAW'] }],
  cap_add: [{ capAdd: ['NET_BIND_SERVICE'] }],
  'no-new-privileges': [{ securityOptions: [] }, { securityOptions: ['no-new-privileges:false'] }],
  read_only: [{ readOnly: false }],
  tmpfs: [{ tmpfs: { '/tmp': '' } }],
  memory: [{ memory: 0 }],
  pids: [{ pids: 0 }, { pids: -1 }],
  init: [{ init: false }],
  logs: [{ logSize: '' }],
};

const ids = (rights: Rights, exceptions = {}): string[] => violations(rights, exceptions).map(({ id }) => id);

test('a container that follows every rule', () => expect(ids(STRICT)).toEqual([]));

test('each rule has a failing case', () => expect(Object.keys(BROKEN)).toEqual(POLICY.map(({ id }) => id)));

describe.each(Object.entries(BROKEN))('%s', (id, cases) => {
  test.each(cases)('is violated by %o', (change) => expect(ids({ ...STRICT, ...change })).toEqual([id]));
  test.each(cases)('has an exception for %o', (change) =>
    expect(ids({ ...STRICT, ...change }, { [id]: 'a reason' })).toEqual([]),
  );
});

test.each(['DAC_READ_SEARCH', 'DAC_OVERRIDE', 'SYS_ADMIN', 'NET_RAW', 'CHOWN'])(
  'no reason allows the capability %s',
  (name) =>
    expect(ids({ ...STRICT, capAdd: ['NET_BIND_SERVICE', name] }, { cap_add: 'a reason' })).toEqual([
      'cap_add',
    ]),
);
