/** Checks Caddyfiles with a real Caddy, in a container without network; one container for many files. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { IMAGES } from './site.ts';
import { readTree, writeTree } from './temp.ts';

/** Runs a shell line in Caddy's image; the directory is mounted at /work, writable. */
export function inCaddy(folder: string, script: string): string {
  return execFileSync(
    'docker',
    [
      'run',
      '--rm',
      '--interactive',
      '--pull=never',
      '--network=none',
      `--volume=${folder}:/work`,
      '--workdir=/work',
      '--entrypoint=sh',
      IMAGES.FEDI_IMAGES_CADDY,
      '-s',
    ],
    { input: script, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['pipe', 'pipe', 'pipe'] },
  );
}

/** Caddyfiles → the adapted JSON of each; undefined if Caddy refuses it. Uses one process for all. */
export function adapt(folder: string, texts: readonly string[]): (unknown | undefined)[] {
  writeTree(folder, Object.fromEntries(texts.map((text, i) => [`in/${i}`, text])));
  inCaddy(
    folder,
    `mkdir -m 777 out; caddy start >/dev/null 2>&1
    for f in in/*; do curl --silent --fail --data-binary @"$f" --header 'Content-Type: text/caddyfile' --output "out/\${f#in/}" http://localhost:2019/adapt; done
    chmod -R a+rwX out; caddy stop >/dev/null 2>&1\n`,
  );
  const out = readTree(join(folder, 'out'));
  return texts.map((_, i) =>
    out[String(i)] === undefined
      ? undefined
      : (JSON.parse(out[String(i)] as string) as { result: unknown }).result,
  );
}
