/** The seal: an ownership marker inside an app's data. It is read before anything starts on the data. */
import type { Seal as Kept, ServerSeal, VolumeSeal } from '../apps/app.ts';
import { appOf } from '../apps/index.ts';
import type { AppConfig, Config } from '../config/config.ts';
import { notStarted } from '../docker/engine.ts';
import type { Engine, Output } from '../docker/engine.ts';
import { EXIT, Problem } from '../problem.ts';
import { placeKey, placeOf } from '../render/site.ts';
import { revealAll } from '../secrets/secret.ts';
import type { Store } from '../secrets/store.ts';

interface Seal {
  readonly app: string;
  /** Every domain of the app, the one of its handles first. */
  readonly names: readonly string[];
  /** Fingerprint over the app's forever secrets. */
  readonly secrets: string;
}

const FILE = '.fedi-setup.json';

function parseSeal(text: string): Seal | undefined {
  try {
    return JSON.parse(text) as Seal;
  } catch {
    return undefined;
  }
}

function sealFor(config: Config, app: AppConfig, store: Store): Seal {
  const { names, secrets } = appOf(app.id);
  return { app: app.id, names: names?.(config, app) ?? [app.domain], secrets: store.sealOf(secrets) };
}

/** Reads and writes the ownership marker of one app. */
interface Keeper {
  /** Undefined: there is none. */
  read(): Promise<string | undefined>;
  /** Whether the app has data there. */
  hasData(): Promise<boolean>;
  write(text: string): Promise<void>;
}

function volumeKeeper(engine: Engine, project: string, seal: VolumeSeal, image: string): Keeper {
  const { service, mount, owner } = seal;
  const volume = `${project}_${seal.volume}`;
  /** Runs in the app's container; if that is stopped, in a new one without network. */
  const look = async (argv: string[]): Promise<Output> => {
    const running = (await engine.containers(project)).find(
      (one) => one.service === service && one.state === 'running',
    );
    return running
      ? engine.exec(running.id, argv)
      : engine.run({ image, argv, mounts: [`${volume}:${mount}`], user: owner });
  };
  return {
    read: async () => {
      if ((await engine.volume(volume)) === undefined) return undefined;
      const { code, stdout, stderr } = await look(['cat', `${mount}/${FILE}`]);
      // `cat` exits with 1 for a missing file; other codes are Docker's.
      if (code > 1) throw new Problem(EXIT.FAILED, `The volume ${volume} cannot be read: ${stderr.trim()}`);
      return code === 0 ? stdout : undefined;
    },
    hasData: async () =>
      (await engine.volume(volume)) !== undefined && (await look(['test', '-e', seal.data])).code === 0,
    write: async (text) => {
      if ((await engine.volume(volume)) === undefined)
        await engine.createVolume(volume, project, seal.volume);
      const { code, stderr } = await engine.run({
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

function serverKeeper(engine: Engine, seal: ServerSeal, store: Store, image: string, place: string): Keeper {
  const ask = async (argv: readonly string[], stdin = ''): Promise<string> => {
    const env = revealAll(seal.env((name) => store.get(name)));
    const output = await engine.run({ image, argv, stdin, env, network: 'bridge' });
    const failed = notStarted(image, output);
    if (failed !== undefined) throw failed;
    const { code, stdout, stderr } = output;
    if (code === 0) return stdout.trim();
    throw new Problem(EXIT.FAILED, `Access to ${place} failed: ${stderr.trim()}`, {
      means: 'The site’s files were not changed.',
      next: 'Fix that and run this again.',
    });
  };
  return {
    read: async () => (await ask(seal.read)) || undefined,
    hasData: async () => (await ask(seal.data)) === 't',
    write: async (text) => {
      const { argv, stdin } = seal.write(text);
      await ask(argv, stdin);
    },
  };
}

/** A location of data without an ownership marker. */
export interface Unsealed {
  readonly app: AppConfig;
  readonly write: () => Promise<void>;
}

/**
 * Returns the data locations without an ownership marker, in the order of the apps; the others belong to this site. Throws exit 3
 * if one belongs to another domain, other secrets or an unknown owner, or if it is empty and the data were elsewhere until now.
 * @param imageOf reference of an image by its name
 * @param before locations according to the current compose.yaml
 */
export async function checkSeals(
  engine: Engine,
  config: Config,
  store: Store,
  imageOf: (name: string) => string,
  before: Readonly<Record<string, string>>,
): Promise<Unsealed[]> {
  const unsealed: Unsealed[] = [];
  for (const app of config.apps) {
    for (const kept of appOf(app.id).seals(config.answers)) {
      const place = placeOf(config, kept, (name) => store.get(name));
      const image = imageOf(kept.image);
      const keeper =
        'volume' in kept
          ? volumeKeeper(engine, config.name, kept, image)
          : serverKeeper(engine, kept, store, image, place);
      const seal = sealFor(config, app, store);
      if ((await check(keeper, seal, kept, place, before[placeKey(app, kept)])) === 'empty')
        unsealed.push({ app, write: () => keeper.write(`${JSON.stringify(seal)}\n`) });
    }
  }
  return unsealed;
}

async function check(
  keeper: Keeper,
  wanted: Seal,
  kept: Kept,
  place: string,
  before: string | undefined,
): Promise<'sealed' | 'empty'> {
  const isServer = !('volume' in kept);
  const comesAgain = isServer && kept.beside !== undefined;
  const other = isServer
    ? 'choose another location for the new site'
    : 'choose another --name for the new site';
  const found = parseSeal((await keeper.read()) ?? '');
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
    return 'sealed';
  }
  // Disposable data of this site: a server without persistence lost the marker on a restart.
  if (comesAgain && before === place) return 'empty';
  if (await keeper.hasData()) {
    throw new Problem(EXIT.REFUSED, `There are data in ${place} that fedi-setup did not create.`, {
      means: 'They may belong to another server. Nothing was changed.',
      next: `Move them away, or ${other}.`,
    });
  }
  if (before !== undefined && before !== place && !comesAgain) {
    throw new Problem(
      EXIT.REFUSED,
      `The data of ${appOf(wanted.app).name} are in ${before}, but the answers name ${place}, which is empty.`,
      {
        means: 'The app would start without its accounts. Nothing was changed.',
        next: 'Change the answer back. Or stop the site (`docker compose down`), move the data there with a dump and a restore, and run this again.',
      },
    );
  }
  return 'empty';
}
