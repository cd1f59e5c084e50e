/** `mail test`: tries the mail server from inside a container, and sends a mail if an address is given. */
import { thisHost } from '../../checks/host.ts';
import { parseEmail } from '../../config/parse.ts';
import { messageText } from '../../config/mail-text.ts';
import { MAIL_PROVIDERS } from '../../config/mail-providers.ts';
import { climb } from '../../mail/ladder.ts';
import { readRecords } from '../../mail/records.ts';
import type { Rung } from '../../mail/rung.ts';
import { climbFor } from '../../mail/site.ts';
import { lockedReference, readLock } from '../../plan/lock.ts';
import { EXIT, Problem } from '../../problem.ts';
import type { Progress } from '../../progress.ts';
import { mailText } from '../../prove/mail.ts';
import { Store } from '../../secrets/store.ts';
import { readOwnCas } from '../../trust.ts';
import type { CommandContext } from '../command.ts';
import type { Site } from '../find-site.ts';

export async function testMail(
  { progress, now }: CommandContext,
  { folder, config, engine }: Site,
  address: string | undefined,
): Promise<number> {
  const to = address === undefined ? undefined : addressIn(address);
  const caddy = (await readLock(folder))['caddy'];
  if (caddy === undefined)
    throw new Problem(EXIT.FAILED, 'The site has never been set up.', { next: 'Run `fedi-setup apply`.' });
  const store = await Store.open(folder);
  const input = await climbFor({
    config,
    engine,
    secret: (name) => store.find(name),
    image: lockedReference(caddy),
    ownCas: await readOwnCas(folder, config),
    addressRecords: thisHost.addressRecords,
  });
  if (input === undefined)
    throw new Problem(EXIT.USAGE, 'This site sends no mail: mail.mode is none.', {
      next: 'Set up outgoing mail: `fedi-setup apply --mail-mode smtp …`.',
    });
  const users = to === undefined ? input.users : input.users.map((user) => ({ ...user, to }));
  progress.say(
    `  ${input.server.host}:${input.server.port}, from inside a container, as ${users.map(({ name }) => name).join(', ')}`,
  );
  const rungs = await climb(
    {
      ...input,
      users,
      ...(to === undefined
        ? {}
        : {
            message: ({ domain, sender }) =>
              messageText({ from: sender, to, ...mailText(domain), now: now() }),
          }),
    },
    (rung) => show(progress, rung),
  );
  if (!input.server.isCatcher) await adviseOnRecords(progress, config.mail.provider, users);
  const open = rungs.filter(({ state }) => state !== 'passed');
  const sent = rungs.filter(({ id, state }) => id === 'mail' && state === 'passed').length;
  if (open.some(({ state }) => state === 'failed') || (to !== undefined && sent < users.length))
    throw new Problem(
      EXIT.FAILED,
      `The mail test did not pass: ${open.map(({ title }) => title).join(', ')}.`,
      {
        means: 'With these settings, mail of this site does not reach its recipients. Nothing was changed.',
        next: [...new Set(open.map(({ next }) => next))].join('\n'),
      },
    );
  if (to === undefined) progress.say('  No mail was sent. To send one: `fedi-setup mail test ADDRESS`.');
  return EXIT.OK;
}

function addressIn(text: string): string {
  const parsed = parseEmail(text);
  if ('value' in parsed) return parsed.value;
  throw new Problem(EXIT.USAGE, `${text}: ${parsed.problem}`, { means: 'Nothing was sent.' });
}

function show(progress: Progress, { id, title, state, seen, next }: Rung): void {
  progress.start(`mail.${id}`, title);
  if (state === 'passed') progress.done(seen);
  else if (state === 'failed') progress.fail(seen);
  else progress.skip(`${seen}. ${next}`);
}

/** Advice only: it changes no exit code. */
async function adviseOnRecords(
  progress: Progress,
  providerId: string | undefined,
  users: readonly { readonly sender: string }[],
): Promise<void> {
  const provider = MAIL_PROVIDERS.find(({ id }) => id === providerId);
  const domains = new Set(users.map(({ sender }) => sender.slice(sender.lastIndexOf('@') + 1)));
  for (const domain of domains)
    for (const { kind, isFine, seen, next } of await readRecords(domain, provider, thisHost.textRecords)) {
      progress.start(`mail.${kind.toLowerCase()}`, `${kind} of ${domain}`);
      if (isFine && next === undefined) progress.done(seen);
      else progress.skip(next === undefined ? seen : `${seen}. ${next}`);
    }
}
