/** Reads the time of a server, to compare this host's clock with it. */
import { request } from 'node:https';
import type { RequestOptions } from 'node:https';

/**
 * The `Date` of a reply. The certificate is not verified: with a wrong clock none is valid.
 * @param wholeMs deadline of the whole request
 */
export function dateAt(
  url: string,
  wholeMs: number,
  more: Readonly<Pick<RequestOptions, 'lookup'>> = {},
): Promise<Date> {
  return new Promise((resolve, reject) => {
    // Only the time of the reply is used, and only to compare it.
    const sent = request(url, {
      method: 'HEAD',
      agent: false,
      maxHeaderSize: 64 * 1024,
      rejectUnauthorized: false,
      ...more,
    });
    const deadline = AbortSignal.timeout(wholeMs);
    const late = (): void => void sent.destroy(new Error(`no answer within ${wholeMs / 1000} s`));
    deadline.addEventListener('abort', late);
    sent.on('response', (reply) => {
      const date = new Date(reply.headers.date ?? '');
      if (Number.isNaN(date.getTime())) reject(new Error('the reply has no date'));
      else resolve(date);
      // A reply to HEAD has no body.
      sent.destroy();
    });
    sent.on('error', reject);
    sent.on('close', () => deadline.removeEventListener('abort', late));
    sent.end();
  });
}

/** Clock difference in milliseconds above which the clock is reported as the cause. */
const SLACK_MS = 5 * 60_000;
const DATE_MS = 5000;

/** Certificate errors that a wrong clock can cause. */
export const isAboutTime = (code: string | undefined): boolean =>
  code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID';

/** A sentence that reports this host's clock as the cause, if the server's clock differs; else ''. */
export async function clockHint(
  url: string,
  more: Parameters<typeof dateAt>[2] = {},
  now: () => number = Date.now,
): Promise<string> {
  const theirs = await dateAt(url, DATE_MS, more).catch(() => undefined);
  if (theirs === undefined) return '';
  const ahead = now() - theirs.getTime();
  if (Math.abs(ahead) < SLACK_MS) return '';
  return `. The clock of this host may be wrong: it says ${new Date(now()).toISOString()}, the server says ${theirs.toISOString()}. Set it: timedatectl set-ntp true`;
}
