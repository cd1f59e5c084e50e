/** Moves the media of an app between its volume and a bucket: the program in rclone's image, and the lists it works with. */
import type { MediaMoves, Uploads } from '../apps/app.ts';
import { appOf } from '../apps/index.ts';
import { shellProgram } from '../assets.ts';
import { ensureImage } from '../backup/access.ts';
import { trustMounts } from '../apply/trust.ts';
import { LONGEST_MS, STATS, rcloneFailed, rcloneImage, remoteEnv, trustEnv } from '../backup/buckets.ts';
import type { CopySite } from '../backup/buckets.ts';
import { readCompose } from '../backup/set.ts';
import type { Bucket } from '../config/bucket.ts';
import type { AppConfig } from '../config/config.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Output } from '../docker/engine.ts';
import { inPlace, placeText } from '../media-record.ts';
import type { MediaPlace, MediaSample } from '../media-record.ts';
import { EXIT, Problem } from '../problem.ts';
import { withLine } from '../progress.ts';
import type { Secret } from '../secrets/secret.ts';
import { isOf } from '../stack/compose.ts';

/** Exit codes of `move.sh`. */
const DIFFERENT = 20;
const INCOMPLETE = 21;

/** Mount points: the volume with the media, and the one with the lists. */
const MEDIA = '/media-volume';
const LISTS = '/lists';

/** What a program about the media of an app needs. */
export interface MediaSite extends Omit<CopySite, 'store'> {
  readonly folder: string;
  readonly app: AppConfig;
  readonly to: MediaPlace;
  readonly bucket: Bucket;
  readonly secretKey: Secret;
  /** When the move was started; ISO 8601. */
  readonly at: string;
}

/** The app's description of its media. Throws a Problem if they cannot be moved. */
export function movesOf({ id }: Pick<AppConfig, 'id'>): { moves: MediaMoves; uploads: Uploads } {
  const { moves, uploads } = appOf(id);
  if ('why' in moves)
    throw new Problem(EXIT.USAGE, moves.why, { means: 'Nothing was changed.', next: moves.next });
  if (uploads === undefined) throw new Error(`${id} has no uploads`);
  return { moves, uploads };
}

const keyOf = ({ id }: Pick<AppConfig, 'id'>): string => `media_${id}`;

/** Volume with the lists of a move. It has Compose's labels, so that `uninstall --data` removes it. */
const listsOf = ({ config, app }: Pick<MediaSite, 'config' | 'app'>): string =>
  `${config.name}_${keyOf(app)}`;

type Verb = 'plan' | 'copy' | 'check' | 'end' | 'fill' | 'remove';

/** @param more `ours` as in a decision; `stdin` of the program */
async function runProgram(
  site: MediaSite,
  verb: Verb,
  more: { readonly ours?: boolean; readonly stdin?: string } = {},
): Promise<Output> {
  const { engine, config, folder, app, to, bucket, secretKey, progress } = site;
  const { moves, uploads } = movesOf(app);
  const image = rcloneImage(site);
  await ensureImage(engine, image, progress);
  const { volumes } = await readCompose(folder);
  const lists = listsOf(site);
  const keeps = verb !== 'plan';
  if (keeps && (await engine.volume(lists)) === undefined)
    await engine.createVolume(lists, config.name, keyOf(app));
  const here = uploads.shown === '.' ? MEDIA : `${MEDIA}/${uploads.shown}`;
  const there = `bucket:${bucket.name}`;
  // The old copy is removed from where the media were.
  const [source, target] = to === 's3' ? [here, there] : [there, here];
  // A killed run may have left it.
  const name = `${config.name}-${keyOf(app)}`;
  if (keeps) await engine.removeContainer(name, 'disposable');
  return runOneShot(
    engine,
    {
      ...(keeps ? { name } : {}),
      image,
      argv: shellProgram('media/programs/move.sh', [
        verb,
        source,
        target,
        keeps ? LISTS : '/tmp',
        here,
        moves.folders.join(' '),
        moves.hidden.join(' '),
        moves.cacheControl,
        uploads.owner,
      ]),
      env: {
        ...trustEnv(config),
        ...remoteEnv(bucket, secretKey, config.backup?.limitKiB),
        TYPES: '/etc/mime.types',
        START: site.at.replaceAll(/\D/g, ''),
        OURS: more.ours === true ? '1' : '',
        ACL: bucket.acl === 'none' ? '' : '1',
      },
      ...(more.stdin === undefined ? {} : { stdin: more.stdin }),
      mounts: [
        `${volumes[uploads.volume]?.name ?? ''}:${MEDIA}${verb === 'plan' ? ':ro' : ''}`,
        ...(keeps ? [`${lists}:${LISTS}`] : []),
        ...(await trustMounts(folder, config)),
      ],
      network: 'bridge',
      user: '0:0',
      capabilities: ['DAC_OVERRIDE', 'CHOWN', 'FOWNER'],
    },
    {
      timeoutMs: LONGEST_MS,
      onLine: (line) => {
        if (STATS.test(line)) progress.update(line.replace(/^.*?NOTICE: */, '').trim());
      },
    },
  );
}

const CONTINUES =
  'Fix that and run this again; it continues from here. The key of the bucket needs the right s3:ListBucket too.';

/** Runs the program. Throws a Problem if it fails. @param means what a failure means */
async function succeed(
  site: MediaSite,
  verb: Verb,
  means: string,
  more: Parameters<typeof runProgram>[2] = {},
): Promise<string> {
  const output = await runProgram(site, verb, more);
  if (output.code === 0) return output.stdout;
  const names = output.stdout.trim().split('\n');
  if (output.code === DIFFERENT || output.code === INCOMPLETE) {
    const listed = names.filter((line) => !/^\d+$/.test(line));
    throw new Problem(
      EXIT.FAILED,
      `${listed.length} ${listed.length === 1 ? 'file is' : 'files are'} ${output.code === DIFFERENT ? 'different' : 'missing'} ${inPlace(site.to, site.bucket)} after the copy: ${listed.slice(0, 3).join(', ')}${listed.length > 3 ? ', …' : ''}`,
      {
        means,
        next: 'The disk or the provider may be faulty. Check both, then run this again; it continues from here.',
      },
    );
  }
  throw rcloneFailed(output, `Copying media to ${placeText(site.to, site.bucket)}`, means, CONTINUES);
}

const STAYS = 'The site uses its media as before. What was copied is kept.';

/** What there is to move, as {@link readFigures} reads it. */
export const lookAtMedia = (site: MediaSite): Promise<string> =>
  withLine(site.progress, `media.${site.app.id}.look`, 'Files in both places', () =>
    succeed(site, 'plan', 'Nothing was changed.'),
  );

const many = (count: number): string => `${count} ${count === 1 ? 'file' : 'files'}`;

/** Copies all files and compares them, while the site runs. @param ours see `MediaDecision` */
export async function copyMedia(site: MediaSite, ours: boolean): Promise<void> {
  const { app, progress } = site;
  const copy = async (id: string, title: string): Promise<void> => {
    progress.start(`media.${app.id}.${id}`, title);
    try {
      const [files = 0] = (await succeed(site, 'copy', STAYS, { ours })).trim().split('\n').map(Number);
      if (files === 0) progress.already();
      else progress.done(many(files));
    } catch (error) {
      progress.fail();
      throw error;
    }
  };
  await copy('copy', 'Copied while the site runs');
  progress.start(`media.${app.id}.check`, 'Compared with the originals');
  try {
    const [byHash = 0, bySize = 0, again = 0] = (await succeed(site, 'check', STAYS))
      .trim()
      .split('\n')
      .map(Number);
    progress.done(
      `${byHash} by hash${bySize > 0 ? `, ${bySize} by size: they have no MD5 there` : ''}${again > 0 ? `, ${again} copied again` : ''}`,
    );
  } catch (error) {
    progress.fail();
    throw error;
  }
  await copy('since', 'Copied what was uploaded meanwhile');
}

/** The rest, while nothing writes. @param privates output of the app's `private` */
export async function endCopy(
  site: MediaSite,
  ours: boolean,
  privates: string,
): Promise<{ readonly files: number; readonly bytes: number; readonly samples: readonly MediaSample[] }> {
  const stdout = await succeed(site, 'end', STAYS, { ours, stdin: privates });
  const [files = '0', bytes = '0', ...samples] = stdout.trim().split('\n');
  return {
    files: Number(files),
    bytes: Number(bytes),
    samples: samples.map((line) => {
      const [path = '', md5 = ''] = line.split('\t');
      return { path, md5 };
    }),
  };
}

/** Copies files whose names the bucket lacks. @returns how many */
export const fillBucket = async (site: MediaSite): Promise<number> =>
  Number((await succeed(site, 'fill', 'What was copied is kept.')).trim());

/** Deletes the copy that a move to `site.to` left. */
export async function removeOldMedia(site: MediaSite): Promise<void> {
  const output = await runProgram(site, 'remove');
  if (output.code !== 0)
    throw rcloneFailed(
      output,
      'Removing the old media',
      'A part of them may be left. The site does not use them.',
      'Fix that and run this again.',
    );
  await forgetLists(site);
}

/** Removes the lists of a move. */
export async function forgetLists({
  engine,
  ...site
}: Pick<MediaSite, 'engine' | 'config' | 'app'>): Promise<void> {
  const name = listsOf(site);
  if ((await engine.volume(name)) !== undefined) await engine.removeVolume(name);
}

/** Services of an app that write to the volume with its media. */
export async function mediaWriters({ folder, app }: Pick<MediaSite, 'folder' | 'app'>): Promise<string[]> {
  const { services } = await readCompose(folder);
  const { uploads } = movesOf(app);
  return Object.entries(services)
    .filter(
      ([name, { volumes = [] }]) =>
        isOf(app.id, name) &&
        volumes.some((one) => one.startsWith(`${uploads.volume}:`) && !one.endsWith(':ro')),
    )
    .map(([name]) => name);
}
