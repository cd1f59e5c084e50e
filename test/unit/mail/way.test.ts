/** The output of the program that tries ports in a container, and the program itself on this host. */
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { reachedIn } from '../../../wizard/mail/way.ts';
import { shellProgram } from '../../../wizard/assets.ts';
import { runPiped } from '../../../wizard/docker/run.ts';
import { climb } from '../../../wizard/mail/ladder.ts';
import { certificate } from '../../support/certificate.ts';
import { directly, mailUser, settings, smtpServer } from '../../support/smtp.ts';

test('reads addresses and ports', () => {
  const stdout =
    'address 192.0.2.1\naddress 192.0.2.1\naddress 2001:db8::1\nport 587 0.000310 192.0.2.1 \nport 25 0.000000  Connection refused\nport 465 0.000000  \n';
  expect(reachedIn(stdout)).toEqual({
    addresses: ['192.0.2.1', '2001:db8::1'],
    ports: [
      { port: 587, isOpen: true, address: '192.0.2.1', cause: '' },
      { port: 25, isOpen: false, address: '', cause: 'Connection refused' },
      { port: 465, isOpen: false, address: '', cause: '' },
    ],
  });
});

const GOOD = certificate('mail.fedi.test');

/** A plain connection works as usual; a failed handshake on it must not end the process. */
test.each([
  ['starttls', 'recipient passed'],
  ['tls', 'tls failed'],
] as const)('the program that pipes, with %s', async (security, last) => {
  const server = await smtpServer({ certificate: GOOD });
  const rungs = await climb({
    server: settings({ port: server.port, security }),
    password: 'secret',
    users: [mailUser()],
    roots: [GOOD.cert],
    way: {
      ...directly,
      open: async (address, port) => {
        const [program = '', ...argv] = shellProgram('mail/programs/pipe.sh', [address, String(port)]);
        const stream = runPiped(program, argv);
        return { stream, close: async () => void stream.destroy() };
      },
    },
  });
  server.close();
  expect(`${rungs.at(-1)?.id} ${rungs.at(-1)?.state}`).toBe(last);
});

test('the program finds an open and a closed port', async () => {
  const server = createServer((socket) => void socket.end('220 hello\r\n'));
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const [program = '', ...argv] = shellProgram('mail/programs/reach.sh', ['127.0.0.1', String(port), '1']);
  // In another process: this one serves.
  const { stdout } = await new Promise<{ stdout: string }>((resolve) => {
    const { stdout: out } = spawnSync(program, argv, { encoding: 'utf8' });
    resolve({ stdout: out });
  });
  server.close();
  const { ports } = reachedIn(stdout);
  expect(ports.toSorted((a, b) => a.port - b.port)).toEqual([
    { port: 1, isOpen: false, address: '', cause: 'Connection refused' },
    { port, isOpen: true, address: '127.0.0.1', cause: '' },
  ]);
});
