/** What people uploaded: whether the app may work on it and whoever serves it read it. The one check that can mend. */
import { appOf } from '../apps/index.ts';
import type { Uploads } from '../apps/app.ts';
import { EXIT, Problem } from '../problem.ts';
import type { CheckContext, Finding, Looked } from './check.ts';

/** More than these are not counted. */
const MANY = 1000;

/** A disk of the person's own brings this, and it belongs to the disk. */
const PRUNE = '-name lost+found -prune -o';
const CLOSED_FOLDER = '-type d ! -perm -701';
const CLOSED_FILE = '-type f ! -perm -604';

/** In a directory of the person's own others may keep files too: only what root left there is taken for the app's. */
const OURS = String.raw`\( -uid 0 -o -uid "$1" \)`;

/**
 * For `sh -c SCRIPT - UID GID SHOWN FROM FILE…` with the volume at /data. Prints `foreign PATH`, `others UID PATH`,
 * `closed PATH` and `missing FILE`. A folder of mode 0711, as the app makes it, is open enough.
 * @param ours what of `find` picks files that the app may be given
 */
const look = (ours: string): string => `cd /data || exit 1
tell() { head -n ${MANY} | sed "s|^\\(\\./\\)*||; s|^|$1 |"; }
find . ${PRUNE} ! -uid "$1" ${ours} -print | tell foreign
[ -z '${ours}' ] || find . ${PRUNE} ! ${ours} -printf '%U %P\\n' | tell others
{ find "./$3" ${PRUNE} ${CLOSED_FOLDER} ${ours} -print; find "./$3" ${PRUNE} ${CLOSED_FILE} ${ours} -print; } | tell closed
shown=$3; shift 4
for file; do [ -s "$shown/$file" ] || echo "missing $file"; done`;

/** Takes the same. Owners are put right everywhere; only what everybody may see is opened. */
const mending = (ours: string): string => `cd /data || exit 1
find . ${PRUNE} ! -uid "$1" ${ours} -exec chown -h "$1:$2" {} + &&
find "./$3" ${PRUNE} ${CLOSED_FOLDER} ${ours} -exec chmod u+rwx,go+rx {} + &&
find "./$3" ${PRUNE} ${CLOSED_FILE} ${ours} -exec chmod u+rw,go+r {} + || exit 1
owner=$1:$2; shown=$3; from=$4; shift 4
for file; do
  [ ! -s "$shown/$file" ] && [ -s "$from/$shown/$file" ] || continue
  folder=\${shown}/\${file%/*}
  [ "$file" != "\${file%/*}" ] || folder=$shown
  [ -d "$folder" ] || { mkdir -p "$folder" && chown "$owner" "$folder"; } || exit 1
  rm -f "$shown/$file" && cp "$from/$shown/$file" "$shown/$file" && chown "$owner" "$shown/$file" && chmod 644 "$shown/$file" || exit 1
done`;

interface Place {
  readonly name: string;
  readonly volume: string;
  readonly uploads: Uploads;
  readonly image: string;
  /** The directory of the person's own that it is. */
  readonly device: string | undefined;
}

type Kind = 'foreign' | 'others' | 'closed' | 'missing';

async function run(
  { engine }: CheckContext,
  place: Place,
  script: (ours: string) => string,
): Promise<string> {
  const { volume, uploads, image, device } = place;
  const { owner, shown, shipped } = uploads;
  const { code, stdout, stderr } = await engine.run({
    image,
    argv: [
      'sh',
      '-c',
      script(device === undefined ? '' : OURS),
      '-',
      ...owner.split(':'),
      shown,
      shipped?.from ?? '',
      ...(shipped?.files ?? []),
    ],
    mounts: [`${volume}:/data${script === look ? ':ro' : ''}`],
    user: '0:0',
    capabilities: script === look ? ['DAC_READ_SEARCH'] : ['CHOWN', 'DAC_OVERRIDE', 'FOWNER'],
  });
  if (code === 0) return stdout;
  throw new Problem(
    EXIT.FAILED,
    `The volume ${volume} could not be ${script === look ? 'looked at' : 'mended'}.`,
    {
      means: 'It may lie on a file system that knows no owners, or that root may not write on.',
      next: `Give everything in it to ${owner} where it is kept.`,
      log: stderr.trim().split('\n').slice(-10).join('\n'),
    },
  );
}

/** Paths by what is wrong with them. */
async function wrongIn(context: CheckContext, place: Place): Promise<Record<Kind, string[]>> {
  // What a terminal would obey is not shown: people name their files themselves.
  const lines = (await run(context, place, look)).replaceAll(/[^\P{Cc}\n]/gu, '?').split('\n');
  const of = (kind: Kind): string[] =>
    lines.flatMap((line) => (line.startsWith(`${kind} `) ? [line.slice(kind.length + 1)] : []));
  return { foreign: of('foreign'), others: of('others'), closed: of('closed'), missing: of('missing') };
}

const howMany = (paths: readonly string[]): string =>
  paths.length >= MANY ? `${MANY} or more` : String(paths.length);
const names = (paths: readonly string[]): string =>
  `${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ' and others' : ''}`;
const count = (paths: readonly string[]): string => `${howMany(paths)} (${names(paths)})`;

async function mend(context: CheckContext, place: Place): Promise<string> {
  const before = await wrongIn(context, place);
  await run(context, place, mending);
  let after = await wrongIn(context, place);
  const { shipped, owner } = place.uploads;
  if (after.missing.length > 0 && shipped !== undefined) {
    const { engine, config } = context;
    const web = (await engine.containers(config.name)).find(
      (one) => one.service === shipped.service && one.state === 'running',
    );
    if (web !== undefined) await engine.exec(web.id, shipped.make.argv, shipped.make.stdin);
    after = await wrongIn(context, place);
  }
  const done = (kind: Kind, what: string): string[] => {
    const gone = before[kind].filter((path) => !after[kind].includes(path));
    return gone.length === 0 ? [] : [`${what}: ${count(gone)}`];
  };
  return (
    [
      ...done('foreign', `given to ${owner}`),
      ...done('closed', 'opened for reading'),
      ...done('missing', 'put back'),
    ].join('; ') || 'nothing could be changed'
  );
}

function findings(context: CheckContext, place: Place, wrong: Record<Kind, readonly string[]>): Finding[] {
  const { name, volume, uploads, device } = place;
  const { owner, shown } = uploads;
  const where = shown === '.' ? volume : `${shown} of ${volume}`;
  // One repair for all of them, whichever it is asked for.
  let mended: Promise<string> | undefined;
  const fix = (): Promise<string> => (mended ??= mend(context, place));
  const next = (does: string): string => `\`fedi-setup doctor --fix\` ${does}.`;
  const rows: [Kind, Omit<Finding, 'what' | 'fix'>, (paths: readonly string[]) => string][] = [
    [
      'foreign',
      {
        level: 'blocker',
        means: `${name} works as ${owner}: it cannot change or delete them, nor perhaps read them. A command as root, or a copied directory, makes such files.`,
        next: next(`gives them to ${owner}`),
      },
      (paths) => `Not all in ${volume} belongs to ${owner}: ${count(paths)} does not.`,
    ],
    [
      'closed',
      {
        level: 'warning',
        means: `This site still shows those that are ${owner}’s, and no others; another web server, a backup as another user, or a network disk shows none.`,
        next: next('lets everybody read them, in that folder only'),
      },
      (paths) => `Not all in ${where} may be read by everybody: ${count(paths)} may not.`,
    ],
    [
      'missing',
      {
        level: 'warning',
        means: `Pages of ${name} show them without asking whether they are there.`,
        next: next('puts those of the image there'),
      },
      (paths) => `Default pictures are missing in ${where}: ${count(paths)}.`,
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
    what: `In ${device} ${count(paths)} belong to others than ${name}: to ${uids.join(', ')}.`,
    means: `${name} works as ${owner} and cannot change or delete them. They may be somebody’s own, so \`doctor --fix\` leaves them alone.`,
    next: `If they are ${name}’s, ${commands.join(', ')}; else move them out of there.`,
  };
}

export async function checkUploads(context: CheckContext): Promise<Looked | undefined> {
  const { config, engine, info, images } = context;
  if (info instanceof Problem) return undefined;
  const found: Finding[] = [];
  const seen: string[] = [];
  for (const { id } of config.apps) {
    const { uploads, name } = appOf(id);
    const image = uploads && images[uploads.image];
    if (uploads === undefined || image === undefined) continue;
    const volume = `${config.name}_${uploads.volume}`;
    // Naming one that is not there would make it.
    const there = await engine.volume(volume);
    if (there === undefined) continue;
    const place = { name, volume, uploads, image, device: there.device };
    try {
      const wrong = await wrongIn(context, place);
      const bad = Object.entries(wrong).flatMap(([kind, paths]) =>
        paths.length === 0 ? [] : [`${paths.length} ${kind}`],
      );
      seen.push(`${name}: ${bad.join(', ') || `all of them ${uploads.owner}’s and readable`}`);
      found.push(...findings(context, place, wrong));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const { message, means = '', next = '', log } = error;
      seen.push(`${name}: not looked at`);
      found.push({ level: 'warning', what: message, means, next, ...(log ? { log } : {}) });
    }
  }
  return seen.length === 0 ? undefined : { seen: seen.join('; '), found };
}
