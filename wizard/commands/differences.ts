/** What a run would change on a site: for `doctor`, in sentences. */
import { prepare } from '../apply/prepare.ts';
import type { Prepared } from '../apply/prepare.ts';
import { resolve } from '../answers/resolve.ts';
import { CONFIG_FILE, savedSource } from '../answers/sources.ts';
import type { Difference } from '../checks/check.ts';
import type { Container, Engine } from '../docker/engine.ts';
import { firstOf } from '../lists.ts';
import { lockedReference } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import type { Plan } from '../plan/plan.ts';
import { EXIT, gather } from '../problem.ts';
import { CONFIG_LABEL } from '../render/site.ts';
import type { Site } from './find-site.ts';

/** Paths that are listed. */
const LISTED = 5;

/** Running containers whose image is not the one in the image lock; service → reference in the lock. */
async function otherImages(
  engine: Engine,
  running: readonly Container[],
  { compose, lock }: { readonly compose: Prepared['site']['compose']; readonly lock: Lock },
): Promise<string[]> {
  const references = [...new Set(Object.values(lock).map(lockedReference))];
  const ids = new Map(
    await Promise.all(references.map(async (one) => [one, (await engine.image(one))?.id] as const)),
  );
  return running.flatMap(({ service, image }) => {
    const wanted = ids.get(String(compose.services[service]?.['image'] ?? ''));
    return wanted === undefined || image === undefined || wanted === image ? [] : [service];
  });
}

/**
 * The differences in a plan.
 * @param running the running containers
 * @param labels service → label of the rendered settings
 * @param images services that run another image than the lock names
 */
export function differencesIn(
  {
    files,
    ownFiles,
    containers,
    reload,
    images: missing,
  }: Pick<Plan, 'files' | 'ownFiles' | 'containers' | 'reload' | 'images'>,
  running: readonly Pick<Container, 'service' | 'labels'>[],
  labels: Readonly<Record<string, string | undefined>>,
  images: readonly string[],
): Difference[] {
  const found: Difference[] = [];
  const add = (names: readonly string[], what: (names: string) => string, means: string): void => {
    if (names.length > 0) found.push({ what: what(firstOf(names, LISTED)), means });
  };
  const paths = (edited: boolean): string[] =>
    files.filter((file) => file.edited === edited).map(({ path }) => path);
  add(
    paths(true),
    (names) => `Changed by hand: ${names}.`,
    'A container that started before does not have the change, and `fedi-setup apply` would replace it or ask.',
  );
  add(
    paths(false),
    (names) => `Not as ${CONFIG_FILE} and this version of fedi-setup say: ${names}.`,
    'A change of the answers, or an update of fedi-setup, was not applied.',
  );
  if (ownFiles)
    found.push({
      what: 'A file of yours was changed since the last run: compose.override.yaml, env/….local.env or a file that you kept.',
      means: 'Containers that started before run without the change.',
    });
  // Where files are not as the answers say, that is the cause.
  const other =
    paths(false).length > 0
      ? []
      : running.filter(
          ({ service, labels: own }) =>
            containers.recreate.includes(service) && own[CONFIG_LABEL] !== labels[service],
        );
  add(
    other.map(({ service }) => service),
    (names) => `Running with other settings than those of the site: ${names}.`,
    'compose.yaml or an env file changed after they started.',
  );
  add(
    images.filter((service) => !other.some((one) => one.service === service)),
    (names) => `Running another image than images.lock.yaml names: ${names}.`,
    'The image was replaced on this host after they started.',
  );
  if (
    reload &&
    paths(true).every((path) => !path.startsWith('caddy/')) &&
    running.some(({ service }) => service === 'caddy')
  )
    found.push({
      what: 'Caddy runs another configuration than that in caddy/Caddyfile.',
      means: 'The last reload failed, or the file was replaced.',
    });
  add(
    containers.remove,
    (names) => `Containers that the site no longer has: ${names}.`,
    'They run or keep data although nothing uses them.',
  );
  add(
    missing.map(({ reference }) => reference),
    (names) => `Images that are not on this host: ${names}.`,
    'A container that needs one cannot be created again.',
  );
  return found;
}

/** Reads only. Throws a Problem if no run is possible. */
export async function differencesOf(
  { folder, engine, config }: Pick<Site, 'folder' | 'engine' | 'config'>,
  now: () => Date,
): Promise<Difference[]> {
  const saved = await savedSource(folder);
  const resolved = await resolve(saved === undefined ? [] : [saved.source]);
  if (resolved.problems.length > 0)
    throw gather(EXIT.USAGE, `${CONFIG_FILE} cannot be used:`, resolved.problems, 'Correct it.');
  const { plan, site, lock } = await prepare(
    { folder, resolved, savedText: saved?.text, swapGiB: 0, discardKept: false, now },
    engine,
  );
  const running = (await engine.containers(config.name)).filter(({ state }) => state === 'running');
  const labels = Object.fromEntries(
    Object.entries(site.compose.services).map(([name, one]) => [name, one.labels?.[CONFIG_LABEL]]),
  );
  return differencesIn(
    plan,
    running,
    labels,
    await otherImages(engine, running, { compose: site.compose, lock }),
  );
}
