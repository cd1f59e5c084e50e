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

/**
 * For `sh -c SCRIPT - UID GID SHOWN FROM FILE…` with the volume at /data. Prints `foreign PATH`, `closed PATH` and
 * `missing FILE`. A folder of mode 0711, as the app makes it, is open enough.
 */
const LOOK = `cd /data || exit 1
tell() { head -n ${MANY} | sed "s|^\\(\\./\\)*||; s|^|$1 |"; }
find . ${PRUNE} ! -uid "$1" -print | tell foreign
{ find "./$3" ${PRUNE} ${CLOSED_FOLDER} -print; find "./$3" ${PRUNE} ${CLOSED_FILE} -print; } | tell closed
shown=$3; shift 4
for file; do [ -s "$shown/$file" ] || echo "missing $file"; done`;

/** Takes the same. Owners are put right everywhere; only what everybody may see is opened. */
const MEND = `cd /data || exit 1
find . ${PRUNE} ! -uid "$1" -exec chown -h "$1:$2" {} + &&
find "./$3" ${PRUNE} ${CLOSED_FOLDER} -exec chmod u+rwx,go+rx {} + &&
find "./$3" ${PRUNE} ${CLOSED_FILE} -exec chmod u+rw,go+r {} + || exit 1
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
}

type Kind = 'foreign' | 'closed' | 'missing';

async function run({ engine }: CheckContext, place: Place, script: string): Promise<string> {
  const { volume, uploads, image } = place;
  const { owner, shown, shipped } = uploads;
  const { code, stdout, stderr } = await engine.run({
    image,
    argv: [
      'sh',
      '-c',
      script,
      '-',
      ...owner.split(':'),
      shown,
      shipped?.from ?? '',
      ...(shipped?.files ?? []),
    ],
    mounts: [`${volume}:/data${script === LOOK ? ':ro' : ''}`],
    user: '0:0',
  });
  if (code === 0) return stdout;
  throw new Problem(
    EXIT.FAILED,
    `The volume ${volume} could not be ${script === LOOK ? 'looked at' : 'mended'}.`,
    {
      means: 'It may lie on a file system that knows no owners, or that root may not write on.',
      next: `Give everything in it to ${owner} where it is kept.`,
      log: stderr.trim().split('\n').slice(-10).join('\n'),
    },
  );
}

/** Paths by what is wrong with them. */
async function look(context: CheckContext, place: Place): Promise<Record<Kind, string[]>> {
  // What a terminal would obey is not shown: people name their files themselves.
  const lines = (await run(context, place, LOOK)).replaceAll(/[^\P{Cc}\n]/gu, '?').split('\n');
  const of = (kind: Kind): string[] =>
    lines.flatMap((line) => (line.startsWith(`${kind} `) ? [line.slice(kind.length + 1)] : []));
  return { foreign: of('foreign'), closed: of('closed'), missing: of('missing') };
}

const howMany = (paths: readonly string[]): string =>
  paths.length >= MANY ? `${MANY} or more` : String(paths.length);
const names = (paths: readonly string[]): string =>
  `${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ' and others' : ''}`;
const count = (paths: readonly string[]): string => `${howMany(paths)} (${names(paths)})`;

async function mend(context: CheckContext, place: Place): Promise<string> {
  const before = await look(context, place);
  await run(context, place, MEND);
  let after = await look(context, place);
  const { shipped, owner } = place.uploads;
  if (after.missing.length > 0 && shipped !== undefined) {
    const { engine, config } = context;
    const web = (await engine.containers(config.name)).find(
      (one) => one.service === shipped.service && one.state === 'running',
    );
    if (web !== undefined) await engine.exec(web.id, shipped.make.argv, shipped.make.stdin);
    after = await look(context, place);
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
  const { name, volume, uploads } = place;
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
        means:
          'This site’s Caddy still shows them; another web server, a backup as another user, or a network disk does not.',
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
  return rows.flatMap(([kind, finding, what]) =>
    wrong[kind].length === 0 ? [] : [{ ...finding, what: what(wrong[kind]), fix }],
  );
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
    if ((await engine.volume(volume)) === undefined) continue;
    const place = { name, volume, uploads, image };
    try {
      const wrong = await look(context, place);
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
