/** snac has no command that has other servers delete an account, but its queue sends any message to followers and known servers. */
import { readProgram } from '../../assets.ts';
import type { Goodbye } from '../app.ts';

const sh = (name: string): string[] => ['sh', '-c', readProgram(`apps/snac/programs/${name}`)];

export const snacGoodbye = (): Goodbye => ({
  about:
    'snac sends the deletion of each account to the servers of its followers, and to those whose shared inbox it knows. It tries a server that it cannot connect to only once.',
  service: 'snac',
  start: { argv: sh('delete-accounts.sh') },
  look: { argv: sh('count-deletions.sh') },
});
