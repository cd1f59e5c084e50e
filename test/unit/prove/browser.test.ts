/** Cookies of a log-in are sent to the server that set them, and to no other. */
import { expect, test } from 'vitest';
import { Browser } from '../../../wizard/prove/browser.ts';
import type { Client, RequestOptions } from '../../../wizard/prove/http.ts';

const BASE = 'https://social.example.org';

function browser() {
  const asked: [string, string | undefined][] = [];
  const http = (async (url: string, { headers }: RequestOptions = {}) => {
    asked.push([url, headers?.['Cookie']]);
    return { status: 200, headers: { 'set-cookie': ['session=secret; HttpOnly', 'a=b'] } };
  }) as unknown as Client;
  return { visit: new Browser(http, BASE), asked };
}

test('sends cookies back to their server', async () => {
  const { visit, asked } = browser();
  await visit.visit(`${BASE}/login`);
  await visit.visit(`${BASE}/home`);
  expect(asked).toEqual([
    [`${BASE}/login`, ''],
    [`${BASE}/home`, 'session=secret; a=b'],
  ]);
});

test.each([
  'https://evil.example.org/',
  'http://social.example.org/',
  'https://social.example.org:8443/',
  'https://social.example.org.evil.org/',
  'https://social.example.org@evil.org/',
])('does not visit %s', async (url) => {
  const { visit, asked } = browser();
  await visit.visit(`${BASE}/login`);
  await expect(visit.visit(url)).rejects.toThrow(/redirects the log-in to another server/);
  expect(asked).toHaveLength(1);
});
