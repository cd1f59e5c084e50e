/** A real registry in a container, on the loopback address: Docker accepts it without TLS there. */
import { attempt, needImages, until } from './acme.ts';
import { docker } from './site.ts';

/** Removes the registry and its images from this host. By name: other names of the same image stay. */
export function removeRegistry(name: string, address: string): void {
  attempt('rm', '--force', '--volumes', name);
  const names = docker(
    'image',
    'ls',
    '--digests',
    '--format',
    '{{.Repository}}:{{.Tag}}@{{.Digest}}',
    `${address}/*/*`,
  );
  for (const one of names.split('\n').filter(Boolean)) {
    const [, repository = '', tag = '', digest = ''] = /^(.+):([^:@]+)@(.+)$/.exec(one) ?? [];
    attempt('rmi', tag === '<none>' ? `${repository}@${digest}` : `${repository}:${tag}`);
  }
}

/** @param address `127.0.0.1:PORT` */
export async function startRegistry(name: string, address: string): Promise<void> {
  needImages('registry');
  removeRegistry(name, address);
  docker('run', '--detach', '--name', name, '--publish', `${address}:5000`, 'fedi-setup/registry:trixie');
  await until('the registry', () => attempt('exec', name, 'curl', '-sf', 'http://127.0.0.1:5000/v2/'));
}

/** Publishes an image of this host under another reference. */
export function publish(image: string, reference: string): void {
  docker('tag', image, reference);
  docker('push', '--quiet', reference);
  docker('rmi', reference);
}

/** Publishes a changed copy of an image under a reference. @param changes instructions of a Dockerfile */
export function publishChanged(image: string, reference: string, ...changes: readonly string[]): void {
  const name = `${reference.replaceAll(/[^\w.-]/g, '-')}-changed`;
  docker('run', '--name', name, '--entrypoint=true', image);
  docker('commit', ...changes.map((one) => `--change=${one}`), name, reference);
  docker('rm', name);
  docker('push', '--quiet', reference);
  docker('rmi', reference);
}
