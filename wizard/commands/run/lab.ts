import { LAB_MAIL } from '../../config/mail.ts';
import { LAB_MODE } from '../../ingress/tls.ts';
import { APP_IDS } from '../../apps/index.ts';
import type { Given, Source } from '../../answers/resolve.ts';
import { ownFolder } from '../find-site.ts';
import { answersFor, setUp } from '../setup.ts';
import type { Run } from '../command.ts';

/** Default answers of the lab: everything stays on this host. */
function labSource(apps: string): Source {
  const given = (text: string): Given => ({ text, from: 'the lab' });
  const source = new Map<string, Given>([
    ['apps', given(apps)],
    ['name', given('fedi-lab')],
    ['bind', given('127.0.0.1')],
    ['tls.mode', given(LAB_MODE)],
    ['mail.mode', given(LAB_MAIL)],
  ]);
  for (const id of apps.split(',')) {
    source.set(`apps.${id}.domain`, given(`${id}.localhost`));
    source.set(`apps.${id}.admin`, given('anna'));
    source.set(`apps.${id}.email`, given('anna@localhost'));
  }
  return source;
}

export const run: Run = async (context) => {
  const folder = await ownFolder(context.flags, 'fedi-lab');
  const asked = context.sources.map((source) => source.get('apps')?.text).find((text) => text !== undefined);
  return setUp(
    context,
    folder,
    await answersFor(context, folder, [labSource(asked ?? (APP_IDS[0] as string))], false),
  );
};
