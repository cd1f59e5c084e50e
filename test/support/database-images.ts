/** Images of database servers of two major versions, under the names of the originals, and new versions with faults. */
import { spawnSync } from 'node:child_process';
import { needImages } from './acme.ts';
import { docker } from './site.ts';

/** Old and new reference; the new one is the default of fedi-setup. */
export const SERVERS = {
  postgres: { old: 'docker.io/library/postgres:15-bookworm', now: 'docker.io/library/postgres:17-trixie' },
  mariadb: { old: 'docker.io/library/mariadb:10.11', now: 'docker.io/library/mariadb:11.8' },
} as const;

/** Reference of a new version with a fault. */
export const faulty = (server: keyof typeof SERVERS, version: string): string =>
  `fedi.test/${server}:${version}`;

/**
 * Makes the images. @param faults version → lines of a Dockerfile
 * @returns removes them
 */
export function serverImages(
  server: keyof typeof SERVERS,
  faults: Readonly<Record<string, string>>,
): () => void {
  needImages(server);
  needImages('--release', 'bookworm', server);
  const { old, now } = SERVERS[server];
  docker('tag', `fedi-setup/${server}:bookworm`, old);
  docker('tag', `fedi-setup/${server}:trixie`, now);
  for (const [version, lines] of Object.entries(faults)) {
    const { status, stderr } = spawnSync(
      'docker',
      ['build', '--quiet', '--tag', faulty(server, version), '-'],
      {
        input: `FROM fedi-setup/${server}:trixie\n${lines}\n`,
        encoding: 'utf8',
      },
    );
    if (status !== 0) throw new Error(stderr);
  }
  return () => {
    for (const one of [old, now, ...Object.keys(faults).map((version) => faulty(server, version))])
      spawnSync('docker', ['rmi', '--force', one]);
  };
}

/** A line of a Dockerfile that puts a shell program in the place of another, which stays as NAME.real. */
export const replaced = (path: string, script: string): string =>
  `RUN mv ${path} ${path}.real && printf '%s\\n' '#!/bin/sh' '${script}' >${path} && chmod 0755 ${path}`;
