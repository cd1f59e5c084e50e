/** How Pixelfed's photos move into a bucket. It has no code that moves them back. */
import type { OwnMoves } from '../app.ts';
import { laravel } from './php.ts';

/** Pixelfed itself moves only older ones: others may still be in its queues. */
const DAYS = 2;
/** Of one call. */
const LIMIT = 100;

export const pixelfedMoves: OwnMoves = {
  why: 'Pixelfed stores with each photo where it is, and has no code that moves photos from a bucket to the host.',
  next: '`fedi-setup apply --pixelfed-media local` keeps new photos on this host. Keep the bucket for the others: they are served from there.',
  about: `Pixelfed moves photos and videos of posts older than ${DAYS} days itself, and deletes each on this host when it is in the bucket. Avatars stay on this host.`,
  service: 'pixelfed_web',
  program: (after) =>
    laravel('move-photos.php', { days: DAYS, limit: after === undefined ? 0 : LIMIT, after: after ?? '' }),
};
