/** `apply`, `lab`, `plan` and the wizard: answers in, a proven site out. They differ in where answers come from. */
import { relative } from 'node:path';
import { APP_IDS, APPS } from '../apps/index.ts';
import { apply, prepare, problemsOf, pullsOf } from '../apply/apply.ts';
import type { ApplyOptions, Applied, Edited } from '../apply/apply.ts';
import type { Change } from '../apply/files.ts';
import { stale } from '../apply/containers.ts';
import { SWAP, swapIsThere } from '../apply/swap.ts';
import { preflight } from '../checks/preflight.ts';
import { configOf } from '../config/config.ts';
import { resolve } from '../config/resolve.ts';
import type { Given, Resolved, Source } from '../config/resolve.ts';
import { savedSource } from '../config/sources.ts';
import { connect } from '../docker/docker.ts';
import { patch, summary } from '../plan/diff.ts';
import { EXIT, gather } from '../problem.ts';
import { Store } from '../secrets/store.ts';
import { siteFolder } from './command.ts';
import type { Command, CommandContext } from './command.ts';

/** Answers of the lab where nobody gave others: all on this host, nothing leaves it. */
function labSource(apps: string): Source {
  const given = (text: string): Given => ({ text, from: 'the lab' });
  const source = new Map<string, Given>([
    ['apps', given(apps)],
    ['name', given('fedi-lab')],
    ['bind', given('127.0.0.1')],
    ['tls.mode', given('internal')],
    ['mail.mode', given('catcher')],
  ]);
  for (const id of apps.split(',')) {
    source.set(`apps.${id}.domain`, given(`${id}.localhost`));
    source.set(`apps.${id}.admin`, given('anna'));
    source.set(`apps.${id}.email`, given('anna@localhost'));
  }
  return source;
}

export interface Answered {
  readonly resolved: Resolved;
  readonly savedText: string | undefined;
  /** The same answers from where they came from, after fedi.yaml was changed underneath. */
  readonly reload: () => Promise<{ resolved: Resolved; savedText: string | undefined }>;
}

export async function answersFor(
  context: CommandContext,
  folder: string,
  weakest: readonly Source[],
  talk: boolean,
): Promise<Answered> {
  const saved = await savedSource(folder);
  const sources = [...context.sources, ...(saved ? [saved.source] : []), ...weakest];
  if (talk) {
    const { converse } = await import('../ask/wizard.ts');
    const { resolved, said } = await converse({
      sources,
      isNew: saved === undefined,
      known: new Set((await Store.open(folder)).list().map(({ name }) => name)),
      problemsOf: (answers) => problemsOf(configOf(answers)),
    });
    const again = { ...context, sources: [said, ...context.sources] };
    return { resolved, savedText: saved?.text, reload: () => answersFor(again, folder, weakest, false) };
  }
  const resolved = await resolve(sources);
  if (resolved.problems.length > 0) {
    throw gather(
      EXIT.USAGE,
      'These answers are missing or cannot be used:',
      resolved.problems,
      'Give them as flags, FEDI_… variables or with --answers FILE (see env.example). Nothing was changed.',
    );
  }
  return { resolved, savedText: saved?.text, reload: () => answersFor(context, folder, weakest, false) };
}

async function decideEdited(context: CommandContext, changes: readonly Change[]): Promise<Edited> {
  const { flags, progress, interactive } = context;
  if (flags.edited !== undefined) return flags.edited;
  if (!interactive) return 'abort';
  for (const change of changes) progress.say(await patch(change));
  const { askChoice } = await import('../ask/prompts.ts');
  return askChoice(`Changed by hand: ${changes.map(({ path }) => path).join(', ')}`, [
    { value: 'keep', name: 'Keep them as they are' },
    { value: 'replace', name: 'Replace them by ours' },
    { value: 'abort', name: 'Stop here, changing nothing' },
  ]);
}

async function acceptWarnings(swapGiB: number | undefined): Promise<'go' | 'swap' | 'stop'> {
  const { askChoice } = await import('../ask/prompts.ts');
  return askChoice('Go on with that?', [
    { value: 'go', name: 'Go on' },
    ...(swapGiB === undefined
      ? []
      : [{ value: 'swap' as const, name: `Make a swap file of ${swapGiB} GB first: ${SWAP.file}` }]),
    { value: 'stop', name: 'Stop here, changing nothing' },
  ]);
}

function optionsFor(
  context: CommandContext,
  folder: string,
  { resolved, savedText, reload }: Answered,
): ApplyOptions {
  return {
    folder,
    resolved,
    savedText,
    reload,
    connect,
    progress: context.progress,
    onEdited: (changes) => decideEdited(context, changes),
    skipChecks: context.flags.skipCheck,
    onWarnings: context.interactive && !context.flags.yes ? acceptWarnings : undefined,
    swapGiB: context.flags.swapGiB,
    now: context.now,
    onLocked: context.onLocked,
  };
}

/** Admins' passwords, each shown once. */
async function showPasswords(
  { progress }: CommandContext,
  folder: string,
  { config }: Applied,
): Promise<void> {
  const store = await Store.open(folder);
  for (const app of config.apps) {
    const name = APPS[app.id].adminSecret;
    const password = store.find(name);
    if (password === undefined || store.wasShown(name)) continue;
    progress.say(`\n  ${APPS[app.id].name}: https://${app.domain}`);
    progress.say(`    user      ${app.admin}`);
    progress.say(`    password  ${password.reveal()}`);
    progress.say('    It is shown this once. Write it down, or change it there.');
    progress.emit({
      event: 'admin',
      app: app.id,
      url: `https://${app.domain}`,
      user: app.admin,
      password: password.reveal(),
    });
    store.markShown(name);
  }
  await store.save();
}

export async function setUp(
  context: CommandContext,
  folder: string,
  answered: Answered,
): Promise<Applied['exit']> {
  const { progress, flags } = context;
  if (flags.dryRun) return showPlan(context, folder, answered);
  progress.emit({ event: 'begin', folder });
  const applied = await apply(optionsFor(context, folder, answered));
  if (applied.changed) await showPasswords(context, folder, applied);

  const { receipt, config } = applied;
  progress.emit({ event: 'end', exit: applied.exit, proven: receipt?.proven ?? false });
  const open = receipt?.proofs.filter(({ ok }) => !ok) ?? [];
  if (open.length > 0) {
    progress.say(`\n  Up, but not proven yet: ${open.map(({ title }) => title).join('; ')}.`);
    progress.say('  `fedi-setup prove` tries again.');
  }
  if (!applied.changed) return applied.exit;
  const where = relative(process.cwd(), folder) || '.';
  progress.say('');
  if (config.tls.mode === 'internal') {
    const [first] = config.apps;
    progress.say(
      `  Open    https://${first?.domain ?? ''} (your browser asks about the certificate: its root is ${where}/trust/root.crt)`,
    );
  } else {
    progress.say(`  Open    ${config.apps.map(({ domain }) => `https://${domain}`).join(' ')}`);
  }
  progress.say(`  Change  edit ${where}/fedi.yaml, then \`npx fedi-setup apply --dir ${where}\``);
  progress.say(`  Remove  \`npx fedi-setup uninstall --dir ${where}\``);
  return applied.exit;
}

async function showPlan(
  context: CommandContext,
  folder: string,
  answered: Answered,
): Promise<Applied['exit']> {
  const { progress, flags } = context;
  const engine = await connect();
  await engine.info();
  const { changes, missing, site, config } = await prepare(
    { ...optionsFor(context, folder, answered) },
    engine,
  );
  const swapGiB = flags.swapGiB > 0 && !(await swapIsThere()) ? flags.swapGiB : 0;
  if (flags.dryRun) {
    const pulls = await pullsOf(folder, config, engine);
    await preflight({
      folder,
      config,
      engine,
      skip: flags.skipCheck,
      progress,
      now: context.now,
      pulls,
      swapGiB,
    });
  }
  const out = (line: string): void => {
    process.stdout.write(`${line}\n`);
  };
  const files = summary(changes);
  const containers =
    changes.some(({ kind }) => kind !== 'create' && kind !== 'same') || files.length === 0
      ? await stale(await engine.containers(config.name), folder, site).catch(() => [])
      : Object.keys(site.compose.services);
  if (flags.json) {
    progress.emit({
      event: 'plan',
      folder,
      images: missing,
      files: changes
        .filter(({ kind }) => kind !== 'same')
        .map(({ path, kind, edited }) => ({ path, kind, edited })),
      containers,
      ...(swapGiB > 0 ? { swap: { file: SWAP.file, gib: swapGiB } } : {}),
      steps: config.apps.flatMap((app) =>
        APPS[app.id].steps(config, app).map(({ id, title }) => ({ id, title })),
      ),
    });
  } else if (files.length === 0 && containers.length === 0 && missing.length === 0 && swapGiB === 0) {
    out('Nothing to change.');
  } else {
    out(`Site in ${folder}\n`);
    if (swapGiB > 0) out(`Swap file of ${swapGiB} GB: ${SWAP.file}, noted in ${SWAP.fstab}`);
    if (missing.length > 0) out(`Images to fetch: ${missing.join(', ')}`);
    if (files.length > 0) out(`Files:\n${files.map((line) => `  ${line}`).join('\n')}`);
    for (const change of changes.filter(({ kind }) => kind === 'update' || kind === 'remove'))
      out(`\n${await patch(change)}`);
    if (containers.length > 0) out(`Containers to create or replace: ${containers.join(', ')}`);
    out('Steps, each only if it is not done yet:');
    for (const app of config.apps) for (const { title } of APPS[app.id].steps(config, app)) out(`  ${title}`);
    out('Then the receipt. Nothing was changed.');
  }
  const pending = files.length > 0 || containers.length > 0 || missing.length > 0 || swapGiB > 0;
  return flags.check && pending ? EXIT.FAILED : EXIT.OK;
}

export const applyCommand: Command = async (context) => {
  const folder = await siteFolder(context.flags, 'fedi');
  return setUp(context, folder, await answersFor(context, folder, [], false));
};

export const planCommand: Command = async (context) => {
  const folder = await siteFolder(context.flags, 'fedi');
  return showPlan(context, folder, await answersFor(context, folder, [], false));
};

export const labCommand: Command = async (context) => {
  const folder = await siteFolder(context.flags, 'fedi-lab');
  const asked = context.sources.map((source) => source.get('apps')?.text).find((text) => text !== undefined);
  return setUp(
    context,
    folder,
    await answersFor(context, folder, [labSource(asked ?? (APP_IDS[0] as string))], false),
  );
};

/** `fedi-setup` alone. */
export const wizardCommand: Command = async (context) => {
  const folder = await siteFolder(context.flags, 'fedi');
  const answered = await answersFor(context, folder, [], context.interactive && !context.flags.yes);
  const exit = await setUp(context, folder, answered);
  if (context.interactive) {
    const { unattendedTwin } = await import('../ask/wizard.ts');
    context.progress.say(
      `\n  The same without questions:\n    ${unattendedTwin(answered.resolved, relative(process.cwd(), folder) || '.')}`,
    );
  }
  return exit;
};
