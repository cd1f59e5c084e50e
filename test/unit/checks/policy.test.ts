/** The check of containers' rights. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Container } from '../../../wizard/docker/engine.ts';
import type { Rights } from '../../../wizard/docker/policy.ts';
import { contextOf, runCheck } from '../../support/checks.ts';
import { STRICT } from '../../support/policy.ts';
import { tempFolder } from '../../support/temp.ts';

const folder = tempFolder();
writeFileSync(
  join(folder, 'compose.yaml'),
  'name: fedi\nservices:\n  web: {}\n  caddy: { x-exceptions: { cap_add: It needs the port. } }\n',
);
const container = (service: string, rights: Partial<Rights> = {}): Container =>
  ({ id: service, service, state: 'running', rights: { ...STRICT, ...rights } }) as Container;
const caddy = container('caddy', { capAdd: ['NET_BIND_SERVICE'] });

// prettier-ignore
const rows: [wrong: string, containers: Container[], what: string[]][] = [
  ['all well', [container('web'), caddy], []],
  ['the administrator’s own service', [container('web'), caddy, container('backup', { user: '', capDrop: [] })], []],
  ['a writable root', [container('web', { readOnly: false }), caddy], ['The container web violates the policy: read_only.']],
  ['a capability without a reason', [container('web', { capAdd: ['NET_BIND_SERVICE'] }), caddy], ['The container web violates the policy: cap_add.']],
  ['one that is never allowed', [container('web'), container('caddy', { capAdd: ['DAC_READ_SEARCH'] })], ['The container caddy violates the policy: cap_add.']],
  ['no limits', [container('web', { memory: 0, pids: 0 }), caddy], ['The container web violates the policy: memory, pids.']],
];
test.each(rows)('%s', async (_, containers, what) => {
  const result = await runCheck(
    'policy',
    contextOf({}, { folder, engine: { containers: async () => containers } }),
  );
  expect(result?.found.map((one) => one.what)).toEqual(what);
  expect(result?.found.map(({ level }) => level)).toEqual(what.map(() => 'warning'));
  expect(result?.seen).toMatch(/Exceptions: caddy: cap_add: It needs the port\./);
});

test('names the administrator’s own services', async () => {
  const containers = [container('web'), container('backup', { privileged: true })];
  const result = await runCheck(
    'policy',
    contextOf({}, { folder, engine: { containers: async () => containers } }),
  );
  expect(result?.found).toEqual([]);
  expect(result?.seen).toMatch(/Yours, not checked: backup$/);
});

test('a site that was never set up', async () =>
  expect(await runCheck('policy', contextOf({}, { folder: '/nonexistent' }))).toBeUndefined());
