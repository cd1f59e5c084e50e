/** The seal: a file in an app's data volume that says whose data these are. Read before anything starts on them. */
import { APPS } from '../apps/index.ts';
import type { AppConfig, Config } from '../config/config.ts';
import type { Engine, Output } from '../docker/engine.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Store } from '../secrets/store.ts';

interface Seal {
  readonly app: string;
  readonly domain: string;
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

export function sealFor(app: AppConfig, store: Store): Seal {
  return { app: app.id, domain: app.domain, secrets: store.sealOf(APPS[app.id].secrets) };
}

export const volumeName = (config: Config, app: AppConfig): string =>
  `${config.name}_${APPS[app.id].seal.volume}`;

/** Runs a command on the volume: in the running container, else in one of its own without network. */
async function onVolume(
  engine: Engine,
  config: Config,
  app: AppConfig,
  image: string,
  argv: string[],
  stdin?: string,
  user?: string,
): Promise<Output> {
  const { service, mount } = APPS[app.id].seal;
  if (user === undefined) {
    const running = (await engine.containers(config.name)).find(
      (one) => one.service === service && one.state === 'running',
    );
    if (running) return engine.exec(running.id, argv);
  }
  return engine.run({
    image,
    argv,
    mounts: [`${volumeName(config, app)}:${mount}`],
    ...(stdin === undefined ? {} : { stdin }),
    ...(user === undefined ? {} : { user }),
  });
}

/**
 * `sealed`: these are this site's data. `empty`: there are none yet. Throws exit 3 when they belong to another domain,
 * other secrets, or nobody we know.
 */
export async function checkSeal(
  engine: Engine,
  config: Config,
  app: AppConfig,
  store: Store,
  image: string,
): Promise<'sealed' | 'empty'> {
  if (!(await engine.hasVolume(volumeName(config, app)))) return 'empty';
  const { mount, data } = APPS[app.id].seal;
  const { code, stdout, stderr } = await onVolume(engine, config, app, image, ['cat', `${mount}/${FILE}`]);
  const volume = volumeName(config, app);
  const found = code === 0 ? parseSeal(stdout) : undefined;
  if (found !== undefined) {
    const wanted = sealFor(app, store);
    if (found.domain !== wanted.domain) {
      throw new Problem(
        EXIT.REFUSED,
        `The data in ${volume} belong to ${found.domain}, not to ${wanted.domain}.`,
        {
          means:
            'A domain is for ever: other servers know every account and post by it, and would take this one for a stranger. Nothing was changed.',
          next: `Set the domain back to ${found.domain}, or give the new site another name with --name.`,
        },
      );
    }
    if (found.secrets !== wanted.secrets) {
      throw new Problem(EXIT.REFUSED, `secrets.json does not belong to the data in ${volume}.`, {
        means:
          'The data were made with other secrets; started with these they would be lost. Nothing was changed.',
        next: 'Put the secrets.json of this site back from a backup, or give a new site another name with --name.',
      });
    }
    return 'sealed';
  }
  // `cat` says 1 for a missing file; anything else is docker's own trouble.
  if (code > 1)
    throw new Problem(EXIT.FAILED, `The volume ${volume} cannot be looked into: ${stderr.trim()}`);
  const there = await onVolume(engine, config, app, image, ['test', '-e', data]);
  if (there.code === 0) {
    throw new Problem(EXIT.REFUSED, `The volume ${volume} holds data that this tool did not make.`, {
      means: 'They may be somebody’s server. Nothing was changed.',
      next: 'Give the new site another name with --name, or move the volume away.',
    });
  }
  return 'empty';
}

/** Writes the seal into the volume, which is created if need be. */
export async function writeSeal(
  engine: Engine,
  config: Config,
  app: AppConfig,
  store: Store,
  image: string,
): Promise<void> {
  const { mount, volume, owner } = APPS[app.id].seal;
  if (!(await engine.hasVolume(volumeName(config, app))))
    await engine.createVolume(volumeName(config, app), config.name, volume);
  const { code, stderr } = await onVolume(
    engine,
    config,
    app,
    image,
    ['install', '-m', '0644', '/dev/stdin', `${mount}/${FILE}`],
    `${JSON.stringify(sealFor(app, store))}\n`,
    owner,
  );
  if (code !== 0) {
    throw new Problem(
      EXIT.FAILED,
      `The volume ${volumeName(config, app)} cannot be written: ${stderr.trim()}`,
      {
        next: 'Look at what the volume is mounted on, then run this again.',
      },
    );
  }
}
