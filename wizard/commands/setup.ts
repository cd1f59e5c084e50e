/** What `apply`, `lab`, `plan`, `rollback`, `add`, `remove` and the wizard share. They differ in where the answers come from. */
import { relative } from 'node:path';
import { APP_IDS, appOf, appsIn } from '../apps/index.ts';
import { apply } from '../apply/apply.ts';
import type { ApplyOptions, Applied, Edited } from '../apply/apply.ts';
import { dataOf, placesIn } from '../apply/data.ts';
import { readRecord } from '../backup-record.ts';
import type { DataPlace } from '../apply/data.ts';
import { keepDraft, readDraft } from '../apply/draft.ts';
import type { Change } from '../plan/diff.ts';
import { runningAnswers } from '../apply/generations.ts';
import { failedProofs } from '../apply/receipt.ts';
import { prepare, problemsOf, pullsOf } from '../apply/prepare.ts';
import type { PlanInput, Prepared } from '../apply/prepare.ts';
import { refuseInside } from '../backup/backup.ts';
import { tryRepositories } from '../backup/trial.ts';
import { appNames, olderDatabases, olderImages, olderText } from '../apps/majors.ts';
import { checkGit } from '../checks/git.ts';
import { thisHost } from '../checks/host.ts';
import { together } from '../checks/machine.ts';
import { inspect, preflight } from '../checks/preflight.ts';
import { configOf } from '../answers/config.ts';
import type { Config } from '../config/config.ts';
import { resolve, surplusFlags } from '../answers/resolve.ts';
import type { Resolved, Source } from '../answers/resolve.ts';
import { savedSource } from '../answers/sources.ts';
import type { Answers } from '../config/question.ts';
import { connect } from '../docker/docker.ts';
import type { Engine } from '../docker/engine.ts';
import { SWAP } from '../layout.ts';
import { patch } from '../plan/diff.ts';
import { readLock } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { hasChanges, isEmpty, pullsIn } from '../plan/plan.ts';
import { differenceLines, summaryLines } from '../plan/print.ts';
import { EXIT, Problem, gather } from '../problem.ts';
import type { Progress } from '../progress.ts';
import type { Receipt } from '../prove/proof.ts';
import { Store } from '../secrets/store.ts';
import type { SecretSpec } from '../secrets/store.ts';
import { columns } from '../wrap.ts';
import type { CommandContext } from './command.ts';
import { confirmed } from './confirm.ts';
import { showPassword } from './show-password.ts';
import { checkOptions } from './find-site.ts';
import { updatePage } from './status-page.ts';

export interface Answered {
  readonly resolved: Resolved;
  readonly savedText: string | undefined;
  /** The image lock for them, if it is not that of the site. */
  readonly lock?: Lock;
  /** A secret to rotate. */
  readonly renew?: SecretSpec;
  /** The run is part of an upgrade. */
  readonly upgrading?: true;
  /** The run changes the place of media. */
  readonly movesMedia?: true;
  /** Names of the images of database servers whose data the upgrade moves. */
  readonly moved?: readonly string[];
  /** The old containers serve until the one-shots of the new version are complete. */
  readonly jobsFirst?: boolean;
  /** Reads the answers again, after fedi.yaml has changed. */
  readonly reload: () => Promise<{ resolved: Resolved; savedText: string | undefined }>;
  /** The plan that the user accepted. */
  readonly accepted?: Prepared | undefined;
}

export async function answersFor(
  context: CommandContext,
  folder: string,
  weakest: readonly Source[],
  interactive: boolean,
): Promise<Answered> {
  const saved = await savedSource(folder);
  const sources = [...context.sources, ...(saved ? [saved.source] : []), ...weakest];
  if (interactive) return conversation(context, folder, sources, saved?.text, weakest);
  const resolved = await resolve(sources);
  if (resolved.problems.length > 0) {
    throw gather(
      EXIT.USAGE,
      saved === undefined && resolved.provided.size === 0
        ? `There is no site in ${folder}. These answers for a new one are missing:`
        : 'These answers are missing or cannot be used:',
      resolved.problems,
      saved === undefined && resolved.provided.size === 0
        ? 'If you have a site, give its directory with --dir. For a new one, run `fedi-setup`, or give these answers as flags, FEDI_… variables or with --answers FILE.'
        : resolved.wrong.length === resolved.problems.length
          ? `Correct ${resolved.problems.length === 1 ? 'it' : 'them'} and run this again. Nothing was changed.`
          : 'Give them as flags, FEDI_… variables or with --answers FILE (see env.example). Nothing was changed.',
    );
  }
  return { resolved, savedText: saved?.text, reload: () => answersFor(context, folder, weakest, false) };
}

/** The same without questions. Refuses flags that set nothing. Exit 2. */
export async function answersOnly(
  context: CommandContext,
  folder: string,
  weakest: readonly Source[] = [],
): Promise<Answered> {
  const answered = await answersFor(context, folder, weakest, false);
  const surplus = surplusFlags(context.sources, answered.resolved.answers);
  if (surplus.length > 0)
    throw gather(
      EXIT.USAGE,
      surplus.length === 1 ? 'This flag would have no effect:' : 'These flags would have no effect:',
      surplus,
      `Leave ${surplus.length === 1 ? 'it' : 'them'} out, or change the answer that ${surplus.length === 1 ? 'it depends' : 'they depend'} on. Nothing was changed.`,
    );
  return answered;
}

/** Runs the wizard. Saves every answer, so that an interrupted session can continue. */
async function conversation(
  context: CommandContext,
  folder: string,
  sources: readonly Source[],
  savedText: string | undefined,
  weakest: readonly Source[],
): Promise<Answered> {
  const { converse } = await import('../ask/wizard.ts');
  const { wrapToScreen } = await import('../ask/say.ts');
  const after = (typed: Source) => (): Promise<Answered> =>
    answersFor({ ...context, sources: [typed, ...context.sources] }, folder, weakest, false);
  const running = await runningAnswers(folder);
  const draft = await readDraft(folder);
  // Answers given to this run override saved ones.
  const isGiven = (key: string): boolean =>
    context.sources.some((source) => source.has(key) || source.has(key.replace(/^apps\.[^.]+\./, '')));
  let accepted: Prepared | undefined;
  const { resolved, typed } = await converse({
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
    together: (answers) => together(appsIn(answers)),
    check: (answers) => checkFor(context, folder, answers),
    agree: async (answered) => {
      if (running === undefined || context.flags.dryRun) return true;
      const prepared = await planFor(context, folder, { resolved: answered, savedText });
      if (!(await agreesTo(context, prepared))) return false;
      accepted = prepared;
      return true;
    },
  });
  return { resolved, savedText, reload: after(typed), accepted };
}

async function checkFor(context: CommandContext, folder: string, answers: Answers): Promise<string[]> {
  try {
    const [config, engine] = [configOf(answers), await connect()];
    const pulls = await pullsOf(folder, config, engine).catch(() => []);
    return await inspect({ ...checkOptions(context, { folder, config, engine }), pulls });
  } catch (error) {
    if (error instanceof Problem) return [`✖ ${error.message} ${error.next ?? ''}`];
    throw error;
  }
}

export const KEPT = 'Your answers (except passwords) are saved. Run this again to continue.';

/** Shows a plan and asks whether to continue; does not ask about an empty plan. */
export async function agreesTo(
  { progress }: CommandContext,
  { plan, config, changes }: Prepared,
): Promise<boolean> {
  if (isEmpty(plan)) return true;
  const { askChoice } = await import('../ask/prompts.ts');
  for (const line of summaryLines(plan, tuningOf(config), columns(process.stderr))) progress.say(line);
  for (;;) {
    progress.say();
    const answer = await askChoice('Apply this?', [
      { value: 'yes', name: 'Yes' },
      ...(plan.files.length > 0 ? [{ value: 'diff' as const, name: 'Show the differences' }] : []),
      { value: 'no', name: 'No' },
    ]);
    if (answer !== 'diff') return answer === 'yes';
    for (const line of await differenceLines(plan, changes)) progress.say(line);
  }
}

/** What several apps are tuned for in sum; undefined: there is one app. */
const tuningOf = ({ apps }: Config): string | undefined => (apps.length > 1 ? together(apps) : undefined);

async function decideEdited(context: CommandContext, changes: readonly Change[]): Promise<Edited> {
  const { flags, progress, interactive } = context;
  if (flags.edited !== undefined) {
    if (flags.edited !== 'abort')
      progress.say(
        `  Changed by hand, and ${flags.edited === 'keep' ? 'kept' : 'overwritten'}: ${changes.map(({ path }) => path).join(', ')}`,
      );
    return flags.edited;
  }
  if (!interactive) return 'abort';
  for (const change of changes) progress.say(await patch(change));
  const { askChoice } = await import('../ask/prompts.ts');
  return askChoice(`Changed by hand: ${changes.map(({ path }) => path).join(', ')}`, [
    // Otherwise the change needs new versions of them.
    ...(changes.every(({ keepable }) => keepable) ? [{ value: 'keep' as const, name: 'Keep them' }] : []),
    { value: 'abort', name: 'Stop without changes' },
    { value: 'replace', name: 'Overwrite them' },
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

const inputOf = (
  { flags, now }: CommandContext,
  folder: string,
  {
    resolved,
    savedText,
    lock,
    renew,
    upgrading,
    movesMedia,
    moved,
    jobsFirst,
  }: Omit<Answered, 'reload' | 'accepted'>,
): PlanInput => ({
  folder,
  resolved,
  savedText,
  lock,
  renew,
  upgrading,
  movesMedia,
  moved,
  jobsFirst,
  swapGiB: flags.swapGiB,
  discardKept: flags.edited === 'replace',
  now,
});

/** What `apply` gets for answers. */
export function optionsFor(context: CommandContext, folder: string, answered: Answered): ApplyOptions {
  return {
    input: inputOf(context, folder, answered),
    accepted: answered.accepted,
    reload: answered.reload,
    connect,
    progress: context.progress,
    onEdited: (changes) => decideEdited(context, changes),
    skipChecks: context.flags.skipCheck,
    onWarnings: context.interactive && !context.flags.yes ? acceptWarnings : undefined,
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
    showPassword(progress, 'admin', app, app.admin, password);
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
  const wanted = configOf(answered.resolved.answers);
  const { backup } = wanted;
  const engine = await connect();
  if (backup !== undefined) await refuseInside({ folder, config: wanted, engine }, backup.repositories);
  const applied = await apply(optionsFor(context, folder, answered));

  const { receipt, config } = applied;
  if (applied.changed) {
    const { repositories } = await readRecord(folder);
    const untried = (backup?.repositories ?? []).filter(({ text }) => repositories[text]?.last === undefined);
    await tryRepositories({ folder, config, engine }, untried, progress, context.now());
  }
  const pageLines = applied.changed
    ? await updatePage({ folder, config, engine }, progress, context.now())
    : [];
  progress.emit({ event: 'end', exit: applied.exit, proven: receipt?.proven ?? false });
  if (receipt !== undefined) sayFailed(progress, receipt, config);
  if (applied.changed && receipt?.untested !== undefined)
    progress.say(`\n  Not tried before it was written (--skip-check): ${receipt.untested.join(', ')}.`);
  if (!applied.changed) return applied.exit;
  for (const { what, next } of (await checkGit({ folder, host: thisHost }))?.found ?? [])
    progress.say(`\n  ! ${what}\n    ${next}`);
  const where = relative(process.cwd(), folder) || '.';
  progress.say('');
  const root = ` (your browser will warn; the CA certificate is ${where}/trust/root.crt)`;
  progress.say(
    `  Open    ${config.apps.map(({ domain }) => `https://${domain}`).join(' ')}${config.tls.isLab ? root : ''}`,
  );
  const outside = config.apps.filter(({ domain }) => !domain.endsWith('.localhost'));
  if (config.tls.isLab && outside.length > 0)
    progress.say(
      `  Names   if the DNS does not have ${outside.map(({ domain }) => domain).join(', ')}: add ${outside.length > 1 ? 'them' : 'it'} to /etc/hosts of the computer with your browser`,
    );
  progress.say(`  Change  edit ${where}/fedi.yaml, then \`fedi-setup apply --dir ${where}\``);
  for (const line of mailLines(config)) progress.say(line);
  for (const line of await backupLines(folder, config, where)) progress.say(line);
  for (const line of pageLines) progress.say(line);
  progress.say(`  Remove  \`fedi-setup uninstall --dir ${where}\``);
  const images = Object.entries(await readLock(folder)).map(([name, { tag }]): [string, string] => [
    name,
    tag,
  ]);
  for (const older of olderImages(config, Object.fromEntries(images)))
    progress.say(`\n  ! ${olderText(older)}\n    \`fedi-setup upgrade --images --check\``);
  for (const { product, from, to, servers } of olderDatabases(config, Object.fromEntries(images)))
    progress.say(
      `\n  ! ${appNames(servers)}: the database runs on ${product} ${from}; ${product} ${to} is available.\n    \`fedi-setup upgrade --databases --check\``,
    );
  return applied.exit;
}

/** What does not work without mail. */
function mailLines({ apps, mail }: Config): string[] {
  if (mail.server !== undefined) return [];
  const several = apps.length > 1;
  return apps.map(({ id }, i) => {
    const { name, withoutMail } = appOf(id);
    return `  ${i === 0 ? 'Mail    none. ' : '        '}${several ? `${name}: ` : ''}${withoutMail}`;
  });
}

/** What is left to do for the first backup. */
async function backupLines(folder: string, { backup }: Config, where: string): Promise<string[]> {
  if (backup === undefined) return [];
  const { repositories, timer } = await readRecord(folder);
  const open = backup.repositories.filter(({ text }) => repositories[text]?.last === undefined);
  const steps = [
    ...(open.some(({ kind }) => kind === 'sftp') ? ['backup key'] : []),
    ...(open.length > 0 ? ['backup', 'backup sheet FILE', 'backup drill'] : []),
    ...(timer === undefined ? ['maintain install'] : []),
  ];
  return steps.length === 0
    ? []
    : [`  Backup  next, in ${where}: ${steps.map((step) => `\`fedi-setup ${step}\``).join(', ')}`];
}

/** Names the proofs that failed, and what to do. */
export function sayFailed(progress: Progress, receipt: Receipt, config: Config): void {
  const failed = failedProofs(receipt, config);
  if (failed.length === 0) return;
  progress.say(`\n  Running, but not proven yet: ${failed.join('; ')}.`);
  progress.say('  Fix the causes above, then run `fedi-setup prove`.');
}

/** The plan of a run with these answers. Changes nothing. */
export async function planFor(
  context: CommandContext,
  folder: string,
  answered: Omit<Answered, 'reload' | 'accepted'>,
  engine?: Engine,
): Promise<Prepared> {
  const used = engine ?? (await connect());
  await used.info();
  return prepare(inputOf(context, folder, answered), used);
}

export async function showPlan(
  context: CommandContext,
  folder: string,
  answered: Answered,
): Promise<Applied['exit']> {
  const { flags, progress } = context;
  const engine = await connect();
  const { plan, config, changes } = await planFor(context, folder, answered, engine);
  if (flags.dryRun)
    await preflight({
      ...checkOptions(context, { folder, config, engine }),
      pulls: pullsIn(plan),
      swapGiB: plan.swap?.gib ?? 0,
    });
  progress.emit({ event: 'plan', ...plan });
  if (isEmpty(plan)) progress.print('Nothing to change.');
  else {
    for (const line of summaryLines(plan, tuningOf(config), columns(process.stderr))) progress.print(line);
    const differences = flags.diff ? await differenceLines(plan, changes) : [];
    for (const line of differences) progress.print(line);
    progress.print(
      `\n${hasChanges(plan) ? '' : 'Nothing to change. '}Dry run: nothing was changed.${flags.diff || plan.files.length === 0 ? '' : ' --diff shows the differences.'}`,
    );
  }
  return flags.check && hasChanges(plan) ? EXIT.FAILED : EXIT.OK;
}
