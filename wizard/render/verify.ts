/** Checks rendered files before they replace anything: with Compose, reading back every variable, and with Caddy. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { cannotWrite, exists } from '../atomic.ts';
import { OWN, TRIAL } from '../layout.ts';
import { EXIT, Problem } from '../problem.ts';
import { reveal } from '../secrets/secret.ts';
import { STORE_FILE } from '../secrets/store.ts';
import type { Lock } from '../plan/lock.ts';
import { lockedReference } from '../plan/lock.ts';
import { ROOT_FOLDER } from './site.ts';
import type { RenderedSite } from './site.ts';

const CUSTOM = 'caddy/custom';

/** Names of the administrator's override, which Compose merges with compose.yaml. */
export const OVERRIDES = [
  'compose.override.yaml',
  'compose.override.yml',
  'docker-compose.override.yaml',
  'docker-compose.override.yml',
] as const;

/** The administrator's files, which are checked together with ours. */
export async function customFiles(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of OVERRIDES) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
    if (text !== undefined) found[name] = text;
  }
  for (const [inner, ending] of [
    ['env', '.local.env'],
    // Snippets, and the files that they or tls.directory-root refer to.
    [CUSTOM, ''],
  ] as const) {
    for (const name of (await readdir(join(folder, inner)).catch(() => [] as string[])).toSorted()) {
      if (!name.endsWith(ending)) continue;
      const text = await readFile(join(folder, inner, name), 'utf8').catch(() => undefined);
      if (text !== undefined) found[join(inner, name)] = text;
    }
  }
  return found;
}

/** Throws a Problem if Compose or Caddy rejects the files. Writes only into a temporary directory. */
export async function verifySite(
  engine: Engine,
  folder: string,
  lock: Lock,
  site: RenderedSite,
): Promise<void> {
  const custom = await customFiles(folder);
  let trial: string | undefined;
  try {
    try {
      trial = await mkdtemp(join(folder, OWN, TRIAL));
      await copyInto(trial, folder, [
        ...site.files,
        ...Object.entries(custom).map(([path, text]) => ({ path, text })),
      ]);
    } catch (error) {
      throw cannotWrite(folder, error);
    }
    // Wait for both: a container that is still starting would have Docker recreate the removed directory for its mount.
    const ends = await Promise.allSettled([
      verifyCompose(engine, trial, site, custom),
      verifyCaddy(engine, folder, trial, lock, site),
    ]);
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  } finally {
    if (trial !== undefined) await rm(trial, { recursive: true, force: true });
  }
}

/** Writes the future files, and links to the administrator's other files, which an override may refer to. */
async function copyInto(
  trial: string,
  folder: string,
  files: readonly { path: string; text: string; bytes?: Buffer }[],
): Promise<void> {
  for (const { path, text, bytes } of files) {
    await mkdir(dirname(join(trial, path)), { recursive: true });
    // The temporary directory is closed to others; Caddy's container needs files that are readable for all.
    await writeFile(join(trial, path), bytes ?? text, { mode: path.startsWith('caddy/') ? 0o644 : 0o600 });
  }
  const ours = new Set([OWN, STORE_FILE, ...files.map(({ path }) => path.split('/')[0] ?? '')]);
  for (const name of await readdir(folder)) {
    if (!ours.has(name)) await symlink(join(folder, name), join(trial, name));
  }
}

async function verifyCompose(
  engine: Engine,
  trial: string,
  site: RenderedSite,
  custom: Readonly<Record<string, string>>,
): Promise<void> {
  const { code, stdout, stderr } = await engine.compose(trial, ['config', '--format=json']);
  if (code !== 0) {
    const theirs = [
      ...Object.keys(custom).filter((name) => !name.startsWith('caddy/')),
      ...((await exists(join(trial, '.env'))) ? ['.env'] : []),
    ];
    throw new Problem(
      EXIT.FAILED,
      `Compose rejects the rendered files: ${stderr.trim().split('\n').at(-1)}`,
      {
        means: 'Nothing was changed.',
        next:
          theirs.length > 0
            ? `Look at your own ${theirs.join(', ')}.`
            : 'This is a fault of fedi-setup: please report it.',
      },
    );
  }
  const read = JSON.parse(stdout) as {
    name: string;
    networks?: Record<string, { name?: string; external?: boolean }>;
    volumes?: Record<string, { name?: string; external?: boolean }>;
    services: Record<string, { environment?: Record<string, string> }>;
  };
  if (read.name !== site.compose.name) {
    throw new Problem(EXIT.REFUSED, `Compose uses the project name ${read.name}, not ${site.compose.name}.`, {
      means:
        'A `.env` or an override sets another name, so the data would not be found. Nothing was changed.',
      next: 'Remove COMPOSE_PROJECT_NAME from `.env` and `name:` from compose.override.yaml.',
    });
  }
  await refuseMissing(engine, read);
  // Overrides may change variables.
  if (Object.keys(custom).some((name) => !name.startsWith('caddy/'))) return;
  for (const [name, { env_file: files }] of Object.entries(site.compose.services)) {
    for (const file of files ?? []) {
      const group = site.env[(typeof file === 'string' ? file : file.path).replace(/^env\/|\.env$/g, '')];
      for (const [variable, value] of Object.entries(group ?? {})) {
        if (value === undefined) continue;
        // Compose shows a literal $ doubled.
        const shown = read.services[name]?.environment?.[variable]?.replaceAll('$$', '$');
        if (shown !== (typeof value === 'number' ? String(value) : reveal(value))) {
          throw new Problem(EXIT.FAILED, `The value of ${variable} would arrive changed in the container.`, {
            means: 'Nothing was changed.',
            next: 'This is a fault of fedi-setup: please report it, with the kinds of characters in the value.',
          });
        }
      }
    }
  }
}

interface External {
  readonly name?: string;
  readonly external?: boolean;
}

/** Refuses an override with an external network or volume that does not exist: `up` would fail. */
async function refuseMissing(
  engine: Engine,
  read: {
    readonly networks?: Readonly<Record<string, External>>;
    readonly volumes?: Readonly<Record<string, External>>;
  },
): Promise<void> {
  const externals = (all: Readonly<Record<string, External>> = {}): string[] =>
    Object.entries(all).flatMap(([key, { name = key, external }]) => (external === true ? [name] : []));
  const [networks, volumes] = [externals(read.networks), externals(read.volumes)];
  const known = networks.length === 0 ? [] : (await engine.networks()).map(({ name }) => name);
  const missing = networks.filter((name) => !known.includes(name)).map((name) => `network ${name}`);
  for (const name of volumes) if ((await engine.volume(name)) === undefined) missing.push(`volume ${name}`);
  if (missing.length === 0) return;
  throw new Problem(
    EXIT.PREFLIGHT,
    `Your override uses an external ${missing.join(' and ')}, which does not exist.`,
    {
      means: 'Nothing was changed.',
      next: `Create it (${missing.map((one) => `\`docker ${one.replace(' ', ' create ')}\``).join(', ')}), or correct its name.`,
    },
  );
}

/** Runs `caddy validate` with the permissions of the real container, so that it cannot read more. */
async function verifyCaddy(
  engine: Engine,
  folder: string,
  trial: string,
  lock: Lock,
  { root }: RenderedSite,
): Promise<void> {
  const entry = lock['caddy'];
  if (entry === undefined) throw new Error('no image for caddy');
  const mounts = [`${join(trial, 'caddy')}:/etc/caddy:ro`];
  // Mount the administrator's files themselves, since their owners and modes count.
  if (await exists(join(trial, CUSTOM))) mounts.push(`${join(folder, CUSTOM)}:/etc/caddy/custom:ro`);
  if (root !== undefined) {
    const name = root.path.slice(ROOT_FOLDER.length + 1);
    try {
      await mkdir(join(trial, 'root'));
      await writeFile(join(trial, 'root', `${name}.crt`), root.certificate, { mode: 0o644 });
      await writeFile(join(trial, 'root', `${name}.key`), root.key, { mode: 0o644 });
    } catch (error) {
      throw cannotWrite(folder, error);
    }
    mounts.push(`${join(trial, 'root')}:${ROOT_FOLDER}:ro`);
  }
  const image = lockedReference(entry);
  const { code, stderr } = await runOneShot(engine, {
    image,
    argv: ['caddy', 'validate', '--config', '/etc/caddy/Caddyfile', '--adapter', 'caddyfile'],
    mounts,
    capabilities: ['NET_BIND_SERVICE'],
  });
  if (code !== 0) {
    const line =
      stderr
        .trim()
        .split('\n')
        .findLast((one) => /error/i.test(one)) ?? stderr.trim();
    throw new Problem(EXIT.FAILED, `Caddy rejects the rendered files: ${line}`, {
      means: 'Nothing was changed.',
      next: /permission denied/.test(line)
        ? 'Caddy cannot read files of other users. Give that file to root (`sudo chown root FILE`), or make it readable for all.'
        : 'Check your snippets in caddy/custom, if you have any; otherwise this is a fault of fedi-setup: please report it.',
    });
  }
}
