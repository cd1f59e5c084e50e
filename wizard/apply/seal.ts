/** The seal: a mark inside an app's data that says whose they are. Read before anything starts on them. */
import type { ServerSeal, VolumeSeal } from '../apps/app.ts';
import { appOf } from '../apps/index.ts';
import type { AppConfig, Config } from '../config/config.ts';
import type { Engine, Output } from '../docker/engine.ts';
import { EXIT, Problem } from '../problem.ts';
import { placeOf } from '../render/site.ts';
import { revealAll } from '../secrets/secret.ts';
import type { Store } from '../secrets/store.ts';

interface Seal {
  readonly app: string;
  /** Every name of the app, that of its handles first. */
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

/** The place where the seal of one app is kept. */
interface Keeper {
  /** Undefined: there is none, or nothing that could be one. */
  read(): Promise<string | undefined>;
  /** Whether the app has data there. */
  hasData(): Promise<boolean>;
  write(text: string): Promise<void>;
}

function keeperOf(engine: Engine, config: Config, app: AppConfig, store: Store, image: string): Keeper {
  const seal = appOf(app.id).seal(config.answers);
  return 'volume' in seal
    ? volumeKeeper(engine, config.name, seal, image)
    : serverKeeper(engine, seal, store, image, placeOf(config, app, store));
}

function volumeKeeper(engine: Engine, project: string, seal: VolumeSeal, image: string): Keeper {
  const { service, mount, owner } = seal;
  const volume = `${project}_${seal.volume}`;
  /** In the running container, else in one of its own without network. */
  const look = async (argv: string[]): Promise<Output> => {
    const running = (await engine.containers(project)).find(
      (one) => one.service === service && one.state === 'running',
    );
    return running
      ? engine.exec(running.id, argv)
      : engine.run({ image, argv, mounts: [`${volume}:${mount}`] });
  };
  return {
    read: async () => {
      if ((await engine.volume(volume)) === undefined) return undefined;
      const { code, stdout, stderr } = await look(['cat', `${mount}/${FILE}`]);
      // `cat` says 1 for a missing file; anything else is docker's own trouble.
      if (code > 1)
        throw new Problem(EXIT.FAILED, `The volume ${volume} cannot be looked into: ${stderr.trim()}`);
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
        next: 'Look at what the volume is mounted on, then run this again.',
      });
    },
  };
}

function serverKeeper(engine: Engine, seal: ServerSeal, store: Store, image: string, place: string): Keeper {
  const ask = async (argv: readonly string[], stdin = ''): Promise<string> => {
    const env = revealAll(seal.env((name) => store.get(name)));
    const { code, stdout, stderr } = await engine.run({ image, argv, stdin, env, network: 'bridge' });
    if (code === 0) return stdout.trim();
    throw new Problem(EXIT.FAILED, `In ${place} this was refused: ${stderr.trim()}`, {
      means: 'The site’s files were not changed.',
      next: 'Mend that and run this again.',
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

/**
 * `sealed`: these are this site's data. `empty`: there are none yet. Throws exit 3 when they belong to another domain,
 * other secrets, or nobody we know, or when this place is empty and the data were elsewhere until now.
 */
export async function checkSeal(
  engine: Engine,
  config: Config,
  app: AppConfig,
  store: Store,
  image: string,
  before: string | undefined,
): Promise<'sealed' | 'empty'> {
  const keeper = keeperOf(engine, config, app, store, image);
  const place = placeOf(config, app, store);
  const found = parseSeal((await keeper.read()) ?? '');
  if (found !== undefined) {
    const wanted = sealFor(config, app, store);
    const [theirs, ours] = [found.names.join(' and '), wanted.names.join(' and ')];
    if (theirs !== ours) {
      throw new Problem(EXIT.REFUSED, `The data in ${place} belong to ${theirs}, not to ${ours}.`, {
        means:
          'A domain is for ever: other servers know every account and post by it, and would take this one for a stranger. Nothing was changed.',
        next: `Set the domain back to ${theirs}, or give the new site data of its own (another --name).`,
      });
    }
    if (found.secrets !== wanted.secrets) {
      throw new Problem(EXIT.REFUSED, `secrets.json does not belong to the data in ${place}.`, {
        means:
          'The data were made with other secrets; started with these they would be lost. Nothing was changed.',
        next: 'Put the secrets.json of this site back from a backup, or give a new site data of its own (another --name).',
      });
    }
    return 'sealed';
  }
  if (await keeper.hasData()) {
    throw new Problem(EXIT.REFUSED, `There are data in ${place} that this tool did not make.`, {
      means: 'They may be somebody’s server. Nothing was changed.',
      next: 'Give the new site data of its own (another --name), or move these away.',
    });
  }
  if (before !== undefined && before !== place) {
    throw new Problem(
      EXIT.REFUSED,
      `The data of ${appOf(app.id).name} are in ${before}; ${place}, where the answers say they are, is empty.`,
      {
        means: 'The server would start with nobody in it. Nothing was changed.',
        next: 'Set the answer back; or stop the site (`docker compose down`), bring the data there by a dump and a restore, and run this again.',
      },
    );
  }
  return 'empty';
}

/** Writes the seal where the data will be. */
export function writeSeal(
  engine: Engine,
  config: Config,
  app: AppConfig,
  store: Store,
  image: string,
): Promise<void> {
  return keeperOf(engine, config, app, store, image).write(
    `${JSON.stringify(sealFor(config, app, store))}\n`,
  );
}
