/** What `apply`, `lab`, `plan`, `rollback`, `add`, `remove` and the wizard share. They differ in where the answers come from. */
import { relative } from 'node:path';
import { APP_IDS, appOf } from '../apps/index.ts';
import { apply, ownFilesChanged, prepare, problemsOf, pullsOf, startsOf } from '../apply/apply.ts';
import type { ApplyOptions, Applied, Edited } from '../apply/apply.ts';
import { dataOf, placesIn } from '../apply/data.ts';
import type { DataPlace } from '../apply/data.ts';
import { keepDraft, readDraft } from '../apply/draft.ts';
import { readManifest } from '../apply/files.ts';
import type { Change } from '../plan/diff.ts';
import { runningAnswers } from '../apply/generations.ts';
import { leftovers, stale } from '../apply/containers.ts';
import { due } from '../apply/steps.ts';
import { swapIsThere } from '../apply/swap.ts';
import { together } from '../checks/machine.ts';
import { inspect, preflight } from '../checks/preflight.ts';
import { configOf } from '../config/config.ts';
import type { Config } from '../config/config.ts';
import { resolve } from '../answers/resolve.ts';
import type { Resolved, Source } from '../answers/resolve.ts';
import { savedSource } from '../answers/sources.ts';
import type { Answers } from '../config/question.ts';
import { connect } from '../docker/docker.ts';
import { SWAP } from '../layout.ts';
import { patch, summary } from '../plan/diff.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem, gather } from '../problem.ts';
import type { Event, Progress } from '../progress.ts';
import { Store } from '../secrets/store.ts';
import type { SecretSpec } from '../secrets/store.ts';
import type { CommandContext } from './command.ts';
import { confirmed } from './confirm.ts';

export interface Answered {
  readonly resolved: Resolved;
  readonly savedText: string | undefined;
  /** The image lock for them, if it is not that of the site. */
  readonly lock?: Lock;
  /** A secret to rotate. */
  readonly renew?: SecretSpec;
  /** Reads the answers again, after fedi.yaml has changed. */
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
  if (talk) return conversation(context, folder, sources, saved?.text, weakest);
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

/** Asks for the answers. Saves them as it goes, so that an interrupted conversation can continue. */
async function conversation(
  context: CommandContext,
  folder: string,
  sources: readonly Source[],
  savedText: string | undefined,
  weakest: readonly Source[],
): Promise<Answered> {
  const { converse } = await import('../ask/wizard.ts');
  const { wrapToScreen } = await import('../ask/say.ts');
  const after = (said: Source) => (): Promise<Answered> =>
    answersFor({ ...context, sources: [said, ...context.sources] }, folder, weakest, false);
  const running = await runningAnswers(folder);
  const draft = await readDraft(folder);
  // Answers given to this run override saved ones.
  const isGiven = (key: string): boolean =>
    context.sources.some((source) => source.has(key) || source.has(key.replace(/^apps\.[^.]+\./, '')));
  const { resolved, said } = await converse({
    sources,
    isNew: savedText === undefined,
    known: new Set((await Store.open(folder)).list().map(({ name }) => name)),
    running,
    earlier: draft && { ...draft, answers: new Map([...draft.answers].filter(([key]) => !isGiven(key))) },
    keep: async (answers) => {
      const kept = await keepDraft(folder, { at: context.now().toISOString(), answers });
      context.onLeaving(kept ? wrapToScreen(KEPT) : undefined);
    },
    problemsOf: (answered) => problemsOf(folder, answered),
    together,
    check: (answers) => checkFor(context, folder, answers),
    agree: async (answered, by) =>
      running === undefined ||
      context.flags.dryRun ||
      agreesTo(context, await planOf(context, folder, { resolved: answered, savedText, reload: after(by) })),
  });
  return { resolved, savedText, reload: after(said) };
}

async function checkFor(
  { flags, progress, now }: CommandContext,
  folder: string,
  answers: Answers,
): Promise<string[]> {
  try {
    const [config, engine] = [configOf(answers), await connect()];
    const pulls = await pullsOf(folder, config, engine).catch(() => []);
    return await inspect({ folder, config, engine, skip: flags.skipCheck, progress, now, pulls });
  } catch (error) {
    if (error instanceof Problem) return [`✖ ${error.message} ${error.next ?? ''}`];
    throw error;
  }
}

export const KEPT = 'Your answers (except passwords) are saved. Run this again to continue.';

/** Shows a plan and asks whether to continue; does not ask about a plan without changes. */
export async function agreesTo({ progress }: CommandContext, plan: Plan): Promise<boolean> {
  if (!plan.pending) return true;
  for (const line of plan.lines) progress.say(line);
  const { askYes } = await import('../ask/prompts.ts');
  progress.say();
  return askYes('Apply this', true);
}

async function decideEdited(context: CommandContext, changes: readonly Change[]): Promise<Edited> {
  const { flags, progress, interactive } = context;
  if (flags.edited !== undefined) return flags.edited;
  if (!interactive) return 'abort';
  for (const change of changes) progress.say(await patch(change));
  const { askChoice } = await import('../ask/prompts.ts');
  return askChoice(`Changed by hand: ${changes.map(({ path }) => path).join(', ')}`, [
    { value: 'keep', name: 'Keep them' },
    { value: 'replace', name: 'Overwrite them' },
    { value: 'abort', name: 'Stop without changes' },
  ]);
}

async function acceptWarnings(swapGiB: number | undefined): Promise<'go' | 'swap' | 'stop'> {
  const { askChoice } = await import('../ask/prompts.ts');
  return askChoice('Continue anyway?', [
    { value: 'go', name: 'Continue' },
    ...(swapGiB === undefined
      ? []
      : [{ value: 'swap' as const, name: `Create a swap file of ${swapGiB} GB first: ${SWAP.file}` }]),
    { value: 'stop', name: 'Stop without changes' },
  ]);
}

function optionsFor(
  context: CommandContext,
  folder: string,
  { resolved, savedText, reload, lock, renew }: Answered,
): ApplyOptions {
  return {
    folder,
    lock,
    renew,
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
    onSetUp: (config, store) => showPasswords(context.progress, config, store),
    onLocked: context.onLocked,
  };
}

/** Admins' passwords, each shown once. */
async function showPasswords(progress: Progress, config: Config, store: Store): Promise<void> {
  for (const app of config.apps) {
    const name = appOf(app.id).adminSecret;
    const password = store.find(name);
    if (password === undefined || store.wasShown(name)) continue;
    progress.say(`\n  ${appOf(app.id).name}: https://${app.domain}`);
    progress.say(`    user      ${app.admin}`);
    progress.say(`    password  ${password.reveal()}`);
    progress.say('    It is shown only once. Save it now, or change it in the app.');
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

/**
 * Removing an app needs its name, whether the cause is an answer, an edited fedi.yaml or an earlier generation. The data stay;
 * the message says where.
 */
async function confirmRemovals(context: CommandContext, folder: string, answers: Answers): Promise<void> {
  const ids = (from: Answers): string[] => String(from['apps'] ?? '').split(',');
  const gone = ids((await runningAnswers(folder)) ?? {}).filter(
    (id) => APP_IDS.includes(id) && !ids(answers).includes(id),
  );
  if (gone.length === 0) return;
  // The checks report an engine that does not answer.
  const data = await connect()
    .then((engine) => dataOf(engine, configOf(answers).name))
    .catch(() => new Map<string, readonly DataPlace[]>());
  const lines = gone.map((id) => {
    const places = data.get(id) ?? [];
    return `removes the containers of ${appOf(id).name}; its data stay${places.length > 0 ? `: ${placesIn(places)}` : ''}`;
  });
  await confirmed(context, gone.join(','), lines.join('. It '));
  for (const id of gone)
    context.progress.say(
      `  ${appOf(id).name} will be removed. Its data stay${(data.get(id) ?? []).length > 0 ? ` in ${placesIn(data.get(id) ?? [])}` : ''}; \`fedi-setup add ${id}\` restores it.`,
    );
}

/** @param isConfirmed the removal of apps is confirmed already */
export async function setUp(
  context: CommandContext,
  folder: string,
  answered: Answered,
  isConfirmed = false,
): Promise<Applied['exit']> {
  const { progress, flags } = context;
  if (flags.dryRun) return showPlan(context, folder, answered);
  if (!isConfirmed) await confirmRemovals(context, folder, answered.resolved.answers);
  progress.emit({ event: 'begin', folder });
  const applied = await apply(optionsFor(context, folder, answered));

  const { receipt, config } = applied;
  progress.emit({ event: 'end', exit: applied.exit, proven: receipt?.proven ?? false });
  const open = receipt?.proofs.filter(({ ok, skipped }) => !ok && skipped !== true) ?? [];
  if (open.length > 0) {
    progress.say(`\n  Running, but not proven yet: ${open.map(({ title }) => title).join('; ')}.`);
    progress.say('  `fedi-setup prove` tries again.');
  }
  if (!applied.changed) return applied.exit;
  const where = relative(process.cwd(), folder) || '.';
  progress.say('');
  const root = ` (your browser will warn; the CA certificate is ${where}/trust/root.crt)`;
  progress.say(
    `  Open    ${config.apps.map(({ domain }) => `https://${domain}`).join(' ')}${config.tls.mode === 'internal' ? root : ''}`,
  );
  progress.say(`  Change  edit ${where}/fedi.yaml, then \`npx fedi-setup apply --dir ${where}\``);
  progress.say(`  Remove  \`npx fedi-setup uninstall --dir ${where}\``);
  return applied.exit;
}

interface Plan {
  /** `apply` would change something. */
  readonly pending: boolean;
  /** For people. */
  readonly lines: readonly string[];
  /** For programs. */
  readonly event: Event;
}

/** What `apply` would do with these answers. Changes nothing. */
export async function planOf(context: CommandContext, folder: string, answered: Answered): Promise<Plan> {
  const engine = await connect();
  await engine.info();
  const { changes, missing, site, config, leaves, store } = await prepare(
    optionsFor(context, folder, answered),
    engine,
  );
  const swapGiB = context.flags.swapGiB > 0 && !(await swapIsThere()) ? context.flags.swapGiB : 0;
  if (context.flags.dryRun) {
    await preflight({
      folder,
      config,
      engine,
      skip: context.flags.skipCheck,
      progress: context.progress,
      now: context.now,
      pulls: await pullsOf(folder, config, engine),
      swapGiB,
    });
  }
  const files = summary(changes);
  const isNew = (await readManifest(folder)).generation === 0;
  const wanted = Object.keys(site.compose.services);
  const running = await engine.containers(config.name);
  const behind = isNew ? wanted : await stale(running, folder, site);
  const there = running.map(({ service }) => service);
  const containers = {
    create: behind.filter((name) => !there.includes(name)),
    replace: behind.filter((name) => there.includes(name)),
    remove: there.filter((name) => !wanted.includes(name)),
  };
  const several = config.apps.length > 1;
  const steps = config.apps.flatMap((app) =>
    due(appOf(app.id).steps(config, app), store).map(({ id, title }) => ({
      id,
      title: several ? `${appOf(app.id).name}: ${title}` : title,
    })),
  );
  const ownFiles = await ownFilesChanged(folder);
  const pending =
    ownFiles ||
    files.length > 0 ||
    behind.length > 0 ||
    leftovers(running, site).length > 0 ||
    missing.length > 0 ||
    swapGiB > 0;
  const reloads =
    changes.some(({ path, kind }) => kind !== 'same' && path.startsWith('caddy/')) &&
    !behind.includes('caddy');

  const lines: string[] = [];
  const list = (title: string, names: readonly string[]): void => {
    if (names.length > 0) lines.push(`${title}: ${names.join(', ')}`);
  };
  if (pending) {
    lines.push(`Site in ${folder}`, '');
    if (swapGiB > 0) lines.push(`Swap file of ${swapGiB} GB: ${SWAP.file}, added to ${SWAP.fstab}`);
    if (several) lines.push(`${together(config.answers)}.`, '');
    list('Images to pull or build', missing);
    if (files.length > 0) lines.push('Files:', ...files.map((line) => `  ${line}`));
    for (const change of changes.filter(({ kind }) => kind === 'update' || kind === 'remove'))
      lines.push('', await patch(change));
    list('Containers to create', containers.create);
    list('Containers to recreate (each is down while it restarts)', containers.replace);
    const starts = await startsOf(folder);
    list(
      'Last start took (seconds)',
      containers.replace.flatMap((name) => (starts[name] === undefined ? [] : [`${name} ${starts[name]}`])),
    );
    list('Containers to remove', containers.remove);
    if (ownFiles)
      lines.push(
        'Your own files changed (compose.override.yaml, env/*.local.env, caddy/custom). Compose recreates the affected containers.',
      );
    if (reloads) lines.push('Caddy is reloaded, not restarted.');
    for (const line of leaves) lines.push(`Note: ${line}`);
    lines.push(
      'Steps (completed ones are skipped):',
      ...steps.map(({ title }) => `  ${title}`),
      'Then the site is proven.',
    );
  }
  return {
    pending,
    lines,
    event: {
      event: 'plan',
      folder,
      images: missing,
      files: changes
        .filter(({ kind }) => kind !== 'same')
        .map(({ path, kind, edited }) => ({ path, kind, edited })),
      containers: behind,
      remove: containers.remove,
      ownFiles,
      leaves,
      ...(swapGiB > 0 ? { swap: { file: SWAP.file, gib: swapGiB } } : {}),
      steps,
    },
  };
}

export async function showPlan(
  context: CommandContext,
  folder: string,
  answered: Answered,
): Promise<Applied['exit']> {
  const { pending, lines, event } = await planOf(context, folder, answered);
  if (context.flags.json) context.progress.emit(event);
  else
    context.progress.print(
      pending ? `${lines.join('\n')}\n\nDry run: nothing was changed.` : 'Nothing to change.',
    );
  return context.flags.check && pending ? EXIT.FAILED : EXIT.OK;
}
