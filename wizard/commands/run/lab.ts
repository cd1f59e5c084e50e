import { LAB_MAIL } from '../../config/mail.ts';
import { LAB_MODE } from '../../ingress/tls.ts';
import { APP_IDS } from '../../apps/index.ts';
import type { RawAnswer, Source } from '../../answers/resolve.ts';
import { ownFolder } from '../find-site.ts';
import { answersOnly, setUp } from '../setup.ts';
import type { Run } from '../command.ts';

/** Default answers of the lab: everything stays on this host. */
function labSource(apps: string): Source {
  const answer = (text: string): RawAnswer => ({ text, from: 'the lab' });
  const source = new Map<string, RawAnswer>([
    ['apps', answer(apps)],
    ['name', answer('fedi-lab')],
    ['bind', answer('127.0.0.1')],
    ['tls.mode', answer(LAB_MODE)],
    ['mail.mode', answer(LAB_MAIL)],
  ]);
  for (const id of apps.split(',')) {
    source.set(`apps.${id}.domain`, answer(`${id}.localhost`));
    source.set(`apps.${id}.admin`, answer('anna'));
    source.set(`apps.${id}.email`, answer('anna@localhost'));
  }
  return source;
}

export const run: Run = async (context) => {
  const folder = await ownFolder(context.flags, 'fedi-lab');
  const chosen = context.sources.map((source) => source.get('apps')?.text).find((text) => text !== undefined);
  return setUp(
    context,
    folder,
    await answersOnly(context, folder, [labSource(chosen ?? (APP_IDS[0] as string))]),
  );
};
