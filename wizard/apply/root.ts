/** Writes the internal CA to Caddy's volume: Caddy cannot read a file that is private to another user. */
import { readProgram } from '../assets.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { EXIT, Problem } from '../problem.ts';
import type { RenderedSite } from '../render/site.ts';

const VOLUME = 'caddy_data';

/** Writes certificate and key where the rendered configuration expects them. `image` has `sh` and `sed`. */
export async function installRoot(
  engine: Engine,
  { compose, root }: RenderedSite,
  image: string,
): Promise<void> {
  if (root === undefined) return;
  const volume = compose.volumes[VOLUME]?.name ?? '';
  if ((await engine.volume(volume)) === undefined) await engine.createVolume(volume, compose.name, VOLUME);
  const { code, stderr } = await runOneShot(engine, {
    image,
    argv: ['sh', '-c', readProgram('apply/programs/install-root.sh'), 'sh', root.path],
    mounts: [`${volume}:/data`],
    user: '0:0',
    stdin: `${root.certificate}${root.key}`,
  });
  if (code === 0) return;
  throw new Problem(
    EXIT.FAILED,
    `The internal CA could not be written to the volume ${volume}: ${stderr.trim()}`,
    {
      means: 'Without it Caddy has no certificates. The site’s files were not changed.',
      next: 'Check that Docker can write to its volumes, then run this again.',
    },
  );
}
