/** Pixelfed's job that sends the deletion of an account. Nothing in Pixelfed starts it: a deleted account is only deleted here. */
import type { Goodbye } from '../app.ts';
import { laravel } from './php.ts';

/** Only jobs of administrators use this queue. */
const QUEUE = 'adelete';

export const pixelfedGoodbye = (): Goodbye => ({
  about:
    'Pixelfed sends the deletion of each account once to each server that it knows, and does not record which servers did not answer. Meanwhile it cannot be used.',
  service: 'pixelfed_web',
  start: laravel('delete-accounts.php', { queue: QUEUE }),
  look: laravel('count-deletions.php', { queue: QUEUE }),
});
