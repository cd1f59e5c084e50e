import { lockedReference, readLock } from '../../plan/lock.ts';
import { EXIT, Problem } from '../../problem.ts';
import { existingSite } from '../find-site.ts';
import type { Site } from '../find-site.ts';
import type { CommandContext, Run } from '../command.ts';
import { testMail } from './mail-test.ts';

interface CaughtMail {
  readonly ID: string;
  readonly From: { readonly Address: string };
  readonly To: readonly { readonly Address: string }[];
  readonly Subject: string;
  readonly Created: string;
}

export const run: Run = async (context) => {
  const [action, address] = context.words;
  const site = await existingSite(context);
  await site.engine.info();
  if (action === undefined) return showMails(context, site);
  if (action === 'test') return testMail(context, site, address);
  throw new Problem(EXIT.USAGE, `There is no \`mail ${action}\`.`, {
    next: 'Use `mail` or `mail test [ADDRESS]`.',
  });
};

/** Shows the mails in the catcher, oldest first. It has no published port, so it is asked from its own network. */
async function showMails(context: CommandContext, { folder, config, engine }: Site): Promise<number> {
  if (config.mail.server?.isCatcher !== true) {
    throw new Problem(EXIT.USAGE, `This site has no mail catcher: mail.mode is ${config.mail.mode}.`, {
      next: 'To get one, set mail.mode to catcher in fedi.yaml and run `fedi-setup apply`.',
    });
  }
  const caddy = (await readLock(folder))['caddy'];
  if (caddy === undefined)
    throw new Problem(EXIT.FAILED, 'The site has never been set up.', { next: 'Run `fedi-setup apply`.' });
  const catcher = (await engine.containers(config.name)).find(({ service }) => service === 'mail');
  const get = async <T>(path: string): Promise<T> => {
    const { code, stdout, stderr } = await engine.run({
      image: lockedReference(caddy),
      argv: ['curl', '--silent', '--show-error', '--fail', `http://127.0.0.1:8025${path}`],
      network: catcher === undefined ? 'none' : `container:${catcher.id}`,
    });
    if (code !== 0) {
      throw new Problem(EXIT.FAILED, `The mail catcher does not answer: ${stderr.trim()}`, {
        next: 'Check with `fedi-setup status` that the site runs.',
      });
    }
    return JSON.parse(stdout) as T;
  };
  const { messages } = await get<{ messages: CaughtMail[] }>('/api/v1/messages');
  for (const mail of messages.toReversed()) {
    const { Text: text } = await get<{ Text: string }>(`/api/v1/message/${mail.ID}`);
    const to = mail.To.map(({ Address }) => Address).join(', ');
    context.progress.emit({
      event: 'mail',
      from: mail.From.Address,
      to,
      subject: mail.Subject,
      at: mail.Created,
      text,
    });
    context.progress.print(
      `${mail.Created}  ${mail.From.Address} → ${to}\n${mail.Subject}\n\n${text.trim().replace(/^/gm, '  ')}\n`,
    );
  }
  if (messages.length === 0) context.progress.say('No mail yet.');
  return EXIT.OK;
}
