/** snac has no command that has other servers delete an account: `deluser` only ends the follows of its users. */
import { readProgram } from '../../assets.ts';
import type { Goodbye } from '../app.ts';

const sh = (name: string): string[] => ['sh', '-c', readProgram(`apps/snac/programs/${name}`)];

export const snacGoodbye = (): Goodbye => ({
  about:
    'snac cannot have other servers delete accounts: it unfollows all that its users follow, then deletes the users with their posts HERE. Other servers keep copies of the posts and find the accounts gone.',
  isLocal: true,
  service: 'snac',
  start: { argv: sh('delete-accounts.sh') },
  look: { argv: sh('count-deletions.sh') },
});
