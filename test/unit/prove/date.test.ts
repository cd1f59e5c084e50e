/** A certificate refused because of its dates: the message names a wrong clock of this host. */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { client } from '../../../wizard/prove/http.ts';
import { clockHint, isAboutTime } from '../../../wizard/prove/date.ts';
import { certificate } from '../../support/certificate.ts';

const NAME = 'localhost';
const HOUR = 3_600_000;
const expired = certificate(NAME, -1);
let serverTime = new Date();
const server = createServer(expired, (_, response) => {
  response.setHeader('Date', serverTime.toUTCString());
  response.end();
});
let url = '';
beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `https://${NAME}:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => server.close());

const http = client('127.0.0.1', expired.cert);

test('the server’s time is ours: reports only the expired certificate', async () => {
  serverTime = new Date();
  await expect(http(url)).rejects.toThrow(/^localhost:\d+: certificate has expired$/);
});

test.each([
  ['behind', -48 * HOUR],
  ['ahead', 400 * 24 * HOUR],
])('the server’s time is %s', async (_, by) => {
  serverTime = new Date(Date.now() + by);
  await expect(http(url)).rejects.toThrow(
    /certificate has expired\. The clock of this host may be wrong: it says 20.*Z, the server says 20.*Z\. Set it: timedatectl set-ntp true$/,
  );
});

test('a server without a date, or no server, gives no hint about the clock', async () => {
  expect(await clockHint('https://127.0.0.1:1/')).toBe('');
});

test('other certificate errors have nothing to do with the clock', () => {
  expect(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'].every(isAboutTime)).toBe(true);
  expect([undefined, 'SELF_SIGNED_CERT_IN_CHAIN', 'ECONNREFUSED'].some(isAboutTime)).toBe(false);
});
