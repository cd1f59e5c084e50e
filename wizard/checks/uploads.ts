/** Checks ownership and permissions of uploaded files. */
import { appOf } from '../apps/index.ts';
import type { Uploads } from '../apps/app.ts';
import { readProgram } from '../assets.ts';
import { EXIT, Problem } from '../problem.ts';
import type { CheckContext, Finding, CheckResult } from './check.ts';
import { runtimeOf } from '../docker/runtime.ts';

/** Upper limit when counting paths of one kind. */
const MANY = 1000;

interface Place {
  readonly name: string;
  readonly volume: string;
  readonly uploads: Uploads;
  readonly image: string;
  /** The custom data directory behind the volume, if any. */
  readonly device: string | undefined;
}

type Kind = 'foreign' | 'others' | 'closed' | 'missing';

async function run(
  { engine }: CheckContext,
  place: Place,
  program: 'find-wrong-uploads.sh' | 'fix-uploads.sh',
): Promise<string> {
  const { volume, uploads, image, device } = place;
  const { owner, shown, shipped } = uploads;
  const isReading = program === 'find-wrong-uploads.sh';
  const { code, stdout, stderr } = await engine.run({
    image,
    argv: [
      'sh',
      '-c',
      readProgram(`checks/programs/${program}`),
      'sh',
      // In a custom data directory, only files of root and of the app count as the app's.
      device === undefined ? '-true' : '-false',
      String(MANY),
      ...owner.split(':'),
      shown,
      shipped?.from ?? '',
      ...(shipped?.files ?? []),
    ],
    mounts: [`${volume}:/data${isReading ? ':ro' : ''}`],
    user: '0:0',
    capabilities: isReading ? ['DAC_READ_SEARCH'] : ['CHOWN', 'DAC_OVERRIDE', 'FOWNER'],
  });
  if (code === 0) return stdout;
  throw new Problem(EXIT.FAILED, `The volume ${volume} could not be ${isReading ? 'checked' : 'fixed'}.`, {
    means: 'Its file system may not support owners, or may be read-only for root.',
    next: `Change the owner of everything in it to ${owner}.`,
    log: stderr.trim().split('\n').slice(-10).join('\n'),
  });
}

/** Returns the affected paths by kind of problem. */
async function wrongIn(context: CheckContext, place: Place): Promise<Record<Kind, string[]>> {
  // Remove control characters: file names come from users.
  const lines = (await run(context, place, 'find-wrong-uploads.sh'))
    .replaceAll(/[^\P{Cc}\n]/gu, '?')
    .split('\n');
  const of = (kind: Kind): string[] =>
    lines.flatMap((line) => (line.startsWith(`${kind} `) ? [line.slice(kind.length + 1)] : []));
  return { foreign: of('foreign'), others: of('others'), closed: of('closed'), missing: of('missing') };
}

const howMany = (paths: readonly string[]): string =>
  paths.length >= MANY ? `${MANY} or more` : String(paths.length);
const names = (paths: readonly string[]): string =>
  `${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ' and others' : ''}`;
const count = (paths: readonly string[]): string => `${howMany(paths)} (${names(paths)})`;

async function repair(context: CheckContext, place: Place): Promise<string> {
  const before = await wrongIn(context, place);
  await run(context, place, 'fix-uploads.sh');
  let after = await wrongIn(context, place);
  const { shipped, owner } = place.uploads;
  if (after.missing.length > 0 && shipped !== undefined) {
    const { engine, config } = context;
    const web = await runtimeOf(engine, config.name).running(shipped.service);
    if (web !== undefined) await engine.exec(web.id, shipped.make());
    after = await wrongIn(context, place);
  }
  const done = (kind: Kind, what: string): string[] => {
    const gone = before[kind].filter((path) => !after[kind].includes(path));
    return gone.length === 0 ? [] : [`${what}: ${count(gone)}`];
  };
  return (
    [
      ...done('foreign', `owner set to ${owner}`),
      ...done('closed', 'made readable'),
      ...done('missing', 'restored'),
    ].join('; ') || 'nothing could be changed'
  );
}

function findings(context: CheckContext, place: Place, wrong: Record<Kind, readonly string[]>): Finding[] {
  const { name, volume, uploads, device } = place;
  const { owner, shown } = uploads;
  const where = shown === '.' ? volume : `${shown} of ${volume}`;
  // One fix covers all findings.
  let repaired: Promise<string> | undefined;
  const fix = (): Promise<string> => (repaired ??= repair(context, place));
  const next = (does: string): string => `\`fedi-setup doctor --fix\` ${does}.`;
  const rows: [Kind, Omit<Finding, 'what' | 'fix'>, (paths: readonly string[]) => string][] = [
    [
      'foreign',
      {
        level: 'blocker',
        means: `${name} runs as ${owner} and cannot change or delete them, and perhaps not read them. A command run as root or a copied directory can cause this.`,
        next: next(`changes their owner to ${owner}`),
      },
      (paths) => `Files in ${volume} do not belong to ${owner}: ${count(paths)}.`,
    ],
    [
      'closed',
      {
        level: 'warning',
        means: `This site serves only those of ${owner}; another web server, a backup by another user or a network disk cannot read them.`,
        next: next('makes the files in that folder readable'),
      },
      (paths) => `Files in ${where} are not readable for everyone: ${count(paths)}.`,
    ],
    [
      'missing',
      {
        level: 'warning',
        means: `Pages of ${name} show broken images instead.`,
        next: next('restores them from the image'),
      },
      (paths) => `Default images are missing in ${where}: ${count(paths)}.`,
    ],
  ];
  return [
    ...rows.flatMap(([kind, finding, what]) =>
      wrong[kind].length === 0 ? [] : [{ ...finding, what: what(wrong[kind]), fix }],
    ),
    ...(wrong.others.length === 0 || device === undefined ? [] : [ofOthers(wrong.others, place, device)]),
  ];
}

/** @param lines `UID PATH` */
function ofOthers(lines: readonly string[], { name, uploads: { owner } }: Place, device: string): Finding {
  const uids = [...new Set(lines.map((line) => line.split(' ', 1)[0] ?? ''))];
  const paths = lines.map((line) => line.slice(line.indexOf(' ') + 1) || '.');
  const commands = uids.map((uid) => `\`sudo chown -hR --from=${uid} ${owner} ${device}\``);
  return {
    level: 'blocker',
    what: `Files in ${device} belong to other users (${uids.join(', ')}), not to ${name}: ${count(paths)}.`,
    means: `${name} runs as ${owner} and cannot change or delete them. They may belong to another program, so \`doctor --fix\` does not touch them.`,
    next: `If they are ${name}’s: ${commands.join(', ')}; otherwise move them elsewhere.`,
  };
}

export async function checkUploads(context: CheckContext): Promise<CheckResult | undefined> {
  const { config, engine, info, images } = context;
  if (info instanceof Problem) return undefined;
  const found: Finding[] = [];
  const seen: string[] = [];
  for (const { id } of config.apps) {
    const { uploads, name } = appOf(id);
    const image = uploads && images[uploads.image];
    if (uploads === undefined || image === undefined) continue;
    const volume = `${config.name}_${uploads.volume}`;
    // Docker creates a missing volume when a container names it.
    const there = await engine.volume(volume);
    if (there === undefined) continue;
    const place = { name, volume, uploads, image, device: there.device };
    try {
      const wrong = await wrongIn(context, place);
      const bad = Object.entries(wrong).flatMap(([kind, paths]) =>
        paths.length === 0 ? [] : [`${paths.length} ${kind}`],
      );
      seen.push(`${name}: ${bad.join(', ') || `all owned by ${uploads.owner} and readable`}`);
      found.push(...findings(context, place, wrong));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const { message, means = '', next = '', log } = error;
      seen.push(`${name}: not checked`);
      found.push({ level: 'warning', what: message, means, next, ...(log ? { log } : {}) });
    }
  }
  return seen.length === 0 ? undefined : { seen: seen.join('; '), found };
}
