/** Times for people. */

/** `2026-11-30 06:13 UTC`. @param at ISO 8601 */
export const timeText = (at: string | Date): string =>
  `${(typeof at === 'string' ? at : at.toISOString()).slice(0, 16).replace('T', ' ')} UTC`;

/** How long ago something was, for people. */
export const ago = (hours: number): string =>
  hours < 1
    ? 'less than an hour'
    : hours < 1.5
      ? '1 hour'
      : hours < 48
        ? `${Math.round(hours)} hours`
        : `${Math.round(hours / 24)} days`;

/** A time for people: `12 s`, `5 min`, `3 hours`, `2 days`. */
export const waited = (seconds: number): string =>
  seconds < 120 ? `${seconds} s` : seconds < 7200 ? `${Math.round(seconds / 60)} min` : ago(seconds / 3600);
