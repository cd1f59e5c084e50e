/** Ownership markers: each names, inside an app's data, the site they belong to. Read before anything starts on the data. */
import type { DataMarker, ServerMarker, VolumeMarker } from '../apps/shared/server.ts';
import { appOf } from '../apps/index.ts';
import type { AppConfig, Config } from '../config/config.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { runtimeOf } from '../docker/runtime.ts';
import type { Runtime } from '../docker/runtime.ts';
import { EXIT, Problem } from '../problem.ts';
import { exists } from '../atomic.ts';
import { placeKey, placeOf } from '../render/site.ts';
import type { RenderedSite } from '../render/site.ts';
import { revealAll } from '../secrets/secret.ts';
import type { Store } from '../secrets/store.ts';

interface Ownership {
  readonly app: string;
  /** Every domain of the app, the one of its handles first. */
  readonly names: readonly string[];
  /** Fingerprint over the app's forever secrets. */
  readonly secrets: string;
}

const FILE = '.fedi-setup.json';

function parseOwnership(text: string): Ownership | undefined {
  try {
    return JSON.parse(text) as Ownership;
  } catch {
    return undefined;
  }
}

function ownershipOf(app: AppConfig, store: Store): Ownership {
  const { names, secrets } = appOf(app.id);
  return {
    app: app.id,
    names: names?.(app) ?? [app.domain],
    secrets: store.identityFingerprint(secrets),
  };
}

/** Reads and writes the ownership marker of one app. */
interface MarkerStore {
  /** Undefined: there is none. */
  read(): Promise<string | undefined>;
  /** Whether the app has data there. */
  hasData(): Promise<boolean>;
  write(text: string): Promise<void>;
}

/** @param device data directory instead of a Docker volume */
function volumeMarkers(
  runtime: Runtime,
  marker: VolumeMarker,
  image: string,
  device: string | undefined,
): MarkerStore {
  const { engine, project } = runtime;
  const { service, mount, owner } = marker;
  const volume = `${project}_${marker.volume}`;
  /** Volume or directory to mount; undefined: there is none yet. */
  const source = async (): Promise<string | undefined> => {
    if ((await engine.volume(volume)) !== undefined) return volume;
    return device !== undefined && (await exists(device)) ? device : undefined;
  };
  /** Whether it succeeded, and what it printed. Exit code 1 is a no; others mean that nothing is known. */
  const look = async (...argv: string[]): Promise<{ ok: boolean; stdout: string }> => {
    const shot = { image, argv, mounts: [`${await source()}:${mount}`], user: owner };
    const { code, stdout, stderr } = await runtime.execOrRun(service, shot);
    if (code <= 1) return { ok: code === 0, stdout };
    throw new Problem(
      EXIT.FAILED,
      `The volume ${volume} cannot be read: ${stderr.trim() || `exit code ${code}`}`,
      { next: 'Run this again. If it fails again, check the file system of the volume.' },
    );
  };
  return {
    read: async () => {
      if ((await source()) === undefined) return undefined;
      const { ok, stdout } = await look('cat', `${mount}/${FILE}`);
      return ok ? stdout : undefined;
    },
    hasData: async () => (await source()) !== undefined && (await look('test', '-e', marker.data)).ok,
    write: async (text) => {
      if ((await engine.volume(volume)) === undefined)
        await engine.createVolume(volume, project, marker.volume);
      const { code, stderr } = await runOneShot(engine, {
        image,
        argv: ['install', '-m', '0644', '/dev/stdin', `${mount}/${FILE}`],
        mounts: [`${volume}:${mount}`],
        stdin: text,
        user: owner,
      });
      if (code === 0) return;
      throw new Problem(EXIT.FAILED, `The volume ${volume} cannot be written: ${stderr.trim()}`, {
        next: 'Check the file system of the volume, then run this again.',
      });
    },
  };
}

function serverMarkers(
  engine: Engine,
  marker: ServerMarker,
  store: Store,
  image: string,
  place: string,
  mounts: readonly string[],
): MarkerStore {
  const ask = async (argv: readonly string[], stdin = ''): Promise<string> => {
    const env = revealAll(marker.env((name) => store.get(name)));
    const { code, stdout, stderr } = await runOneShot(engine, {
      image,
      argv,
      stdin,
      env,
      network: 'bridge',
      mounts,
    });
    if (code === 0) return stdout.trim();
    throw new Problem(EXIT.FAILED, `Access to ${place} failed: ${stderr.trim()}`, {
      means: 'The site’s files were not changed.',
      next: 'Fix that and run this again.',
    });
  };
  return {
    read: async () => (await ask(marker.read)) || undefined,
    hasData: async () => (await ask(marker.data)) === 't',
    write: async (text) => {
      const { argv, stdin } = marker.write(text);
      await ask(argv, stdin);
    },
  };
}

/** A location of data without an ownership marker. */
export interface Unmarked {
  readonly app: AppConfig;
  readonly write: () => Promise<void>;
}

/**
 * Returns the data locations without an ownership marker, in the order of the apps; the others belong to this site. Throws exit 3
 * if one belongs to another domain, other secrets or an unknown owner, or if it is empty and the data were in another place before.
 * @param imageOf reference of an image by its name
 * @param before locations according to the current compose.yaml
 * @param mounts of containers that connect to external servers
 * @param directories data directories by volume
 */
export async function checkMarkers(
  engine: Engine,
  config: Config,
  store: Store,
  imageOf: (name: string) => string,
  before: Readonly<Record<string, string>>,
  mounts: readonly string[],
  directories: RenderedSite['dataFolders'],
): Promise<Unmarked[]> {
  const unmarked: Unmarked[] = [];
  for (const app of config.apps) {
    for (const kept of appOf(app.id).markers(app.options)) {
      const place = placeOf(config, kept, (name) => store.get(name));
      const image = imageOf(kept.image);
      const markerStore =
        'volume' in kept
          ? volumeMarkers(runtimeOf(engine, config.name), kept, image, directories[kept.volume]?.device)
          : serverMarkers(engine, kept, store, image, place, mounts);
      const ownership = ownershipOf(app, store);
      if ((await check(markerStore, ownership, kept, place, before[placeKey(app, kept)])) === 'empty')
        unmarked.push({ app, write: () => markerStore.write(`${JSON.stringify(ownership)}\n`) });
    }
  }
  return unmarked;
}

/** Writes the ownership marker into the volume of a server whose data were restored. */
export async function writeMarkers(
  engine: Engine,
  config: Config,
  store: Store,
  imageOf: (name: string) => string,
  service: string,
): Promise<void> {
  for (const app of config.apps)
    for (const marker of appOf(app.id).markers(app.options))
      if ('volume' in marker && marker.service === service)
        await volumeMarkers(runtimeOf(engine, config.name), marker, imageOf(marker.image), undefined).write(
          `${JSON.stringify(ownershipOf(app, store))}\n`,
        );
}

async function check(
  markerStore: MarkerStore,
  wanted: Ownership,
  kept: DataMarker,
  place: string,
  before: string | undefined,
): Promise<'marked' | 'empty'> {
  const isServer = !('volume' in kept);
  const isDisposable = isServer && kept.storeName !== undefined;
  const other = isServer
    ? 'choose another location for the new site'
    : 'choose another --name for the new site';
  const found = parseOwnership((await markerStore.read()) ?? '');
  if (found !== undefined) {
    const [theirs, ours] = [found.names.join(' and '), wanted.names.join(' and ')];
    if (theirs !== ours) {
      throw new Problem(EXIT.REFUSED, `The data in ${place} belong to ${theirs}, not to ${ours}.`, {
        means:
          'A domain cannot change: other servers identify every account and post by it. Nothing was changed.',
        next: `Change the domain back to ${theirs}, or ${other}.`,
      });
    }
    if (found.secrets !== wanted.secrets) {
      throw new Problem(EXIT.REFUSED, `secrets.json does not belong to the data in ${place}.`, {
        means: 'The data were created with other secrets and would be lost with these. Nothing was changed.',
        next: `Restore the secrets.json of this site from a backup, or ${other}.`,
      });
    }
    return 'marked';
  }
  // Disposable data of this site: a server without persistence lost the marker on a restart.
  if (isDisposable && before === place) return 'empty';
  if (await markerStore.hasData()) {
    throw new Problem(EXIT.REFUSED, `There are data in ${place} that fedi-setup did not create.`, {
      means: 'They may belong to another server. Nothing was changed.',
      next: `Move them away, or ${other}.`,
    });
  }
  if (before === place) {
    throw new Problem(
      EXIT.REFUSED,
      `The data of ${appOf(wanted.app).name} are gone: ${place} is missing or empty.`,
      {
        means:
          'The last run left data there. A start now would create a new, empty server that other servers take for the old one. Nothing was changed.',
        next: 'Restore the data. If you removed them on purpose, `fedi-setup reset` removes the rest and starts again with the same answers.',
      },
    );
  }
  if (before !== undefined && before !== place && !isDisposable) {
    throw new Problem(
      EXIT.REFUSED,
      `The data of ${appOf(wanted.app).name} are in ${before}, but the answers name ${place}, which is empty.`,
      {
        means: 'The app would start without its accounts. Nothing was changed.',
        next: 'Change the answer back. fedi-setup cannot move data to another place yet.',
      },
    );
  }
  return 'empty';
}
