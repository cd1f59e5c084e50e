/** Times for people. */

/** `2026-11-30 06:13 UTC`. @param at ISO 8601 */
export const timeText = (at: string | Date): string =>
  `${(typeof at === 'string' ? at : at.toISOString()).slice(0, 16).replace('T', ' ')} UTC`;
