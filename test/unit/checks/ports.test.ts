/** Listeners: our result compared with the kernel's. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { listeners, ownerOf, parseTable } from '../../../wizard/checks/listeners.ts';
import type { Listener } from '../../../wizard/checks/listeners.ts';
import { collides } from '../../../wizard/checks/ports.ts';

const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

async function listen(host: string, port = 0): Promise<number> {
  const server: Server = createServer();
  server.listen({ host, port });
  await once(server, 'listening');
  open.push(server);
  return (server.address() as AddressInfo).port;
}

/** The error code of listening there; undefined: success. */
const refusal = (host: string, port: number): Promise<string | undefined> =>
  listen(host, port).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  );

const ADDRESSES = ['0.0.0.0', '127.0.0.91', '127.0.0.92', '::', '::1'];

describe('compared with the kernel', () => {
  test.each(ADDRESSES)('finds a listener on %s, with its address and owner', async (address) => {
    const port = await listen(address);
    const found = (await listeners()).filter((one) => one.protocol === 'tcp' && one.port === port);
    expect(found.map((one) => one.address)).toEqual([address]);
    expect(await ownerOf(found[0] as Listener)).toMatch(new RegExp(`^\\S.* \\(process ${process.pid}\\)$`));
  });

  test('finds a UDP socket, and no longer when it is closed', async () => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.91');
    await once(socket, 'listening');
    const { port } = socket.address();
    const seen = async (): Promise<string[]> =>
      (await listeners())
        .filter((one) => one.protocol === 'udp' && one.port === port)
        .map((one) => one.address);
    expect(await seen()).toEqual(['127.0.0.91']);
    socket.close();
    await once(socket, 'close');
    expect(await seen()).toEqual([]);
  });

  // [listener, bind address]: the kernel allows the same port on an IPv4 and an IPv6 address.
  const WRONG = new Set(['::1 0.0.0.0', '0.0.0.0 ::1']);
  for (const there of ADDRESSES) {
    for (const bind of ADDRESSES) {
      (WRONG.has(`${there} ${bind}`) ? test : test)(`listener on ${there}, bind to ${bind}`, async () => {
        const port = await listen(there);
        expect(collides(bind, there)).toBe((await refusal(bind, port)) === 'EADDRINUSE');
      });
    }
  }

  test('the owner of an unknown inode is unknown', async () => {
    expect(await ownerOf({ protocol: 'tcp', address: '::', port: 1, inode: '1' })).toBeUndefined();
  });
});

const row = (local: string, state: string, inode = '42'): string =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0000000000000000 100 0 0 10 0`;
const table = (...rows: string[]): string =>
  ['  sl  local_address rem_address   st …', ...rows, ''].join('\n');

describe('parseTable', () => {
  test.each([
    ['0100007F:0050', '127.0.0.1', 80],
    ['00000000:01BB', '0.0.0.0', 443],
    ['5B00007F:FFFF', '127.0.0.91', 65_535],
    ['00000000000000000000000000000000:0050', '::', 80],
    ['00000000000000000000000001000000:0050', '::1', 80],
    ['0000000000000000FFFF00000100007F:0050', '127.0.0.1', 80],
    ['B80D0120000000000000000001000000:0050', '2001:db8::1', 80],
    ['000080FE00000000FF005450A1B2C3D4:0050', 'fe80::5054:ff:d4c3:b2a1', 80],
    ['B80D0120020001000400030006000500:0050', '2001:db8:1:2:3:4:5:6', 80],
  ])('%s is %s port %i', (local, address, port) => {
    expect(parseTable(table(row(local, '0A')), 'tcp')).toEqual([
      { protocol: 'tcp', address, port, inode: '42' },
    ]);
  });

  // Only the longest run of zeros is shortened (RFC 5952), and users write it this way in --bind.
  test('the longest run of zeros is abbreviated', () => {
    expect(parseTable(table(row('00000120020000000000000003000000:0050', '0A')), 'tcp')[0]?.address).toBe(
      new URL('http://[2001:0:0:2:0:0:0:3]').hostname.slice(1, -1),
    );
  });

  test.each([
    ['tcp', '0A', 1],
    ['tcp', '01', 0],
    ['tcp', '06', 0],
    ['udp', '07', 1],
    ['udp', '01', 0],
  ] as const)('%s in state %s: %i', (protocol, state, count) => {
    expect(parseTable(table(row('0100007F:0050', state)), protocol)).toHaveLength(count);
  });

  test.each(['', '\n', 'sl local\n', 'sl\ngarbage\n', 'sl\n   0:\n'])('%j contains no listener', (text) => {
    expect(parseTable(text, 'tcp')).toEqual([]);
  });
});
