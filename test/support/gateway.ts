/** A real S3 server for tests: the RADOS Gateway of Ceph, in a container. */
import { client } from '../../wizard/prove/http.ts';
import { until } from './acme.ts';
import { docker } from './site.ts';

/**
 * Starts it, and waits until it answers.
 * @param project label and start of the name, for `wipe`
 * @param host `address:port`
 */
export async function startGateway(
  project: string,
  host: string,
  key: string,
  secret: string,
): Promise<void> {
  docker(
    'run',
    '--detach',
    `--name=${project}-s3`,
    `--label=com.docker.compose.project=${project}`,
    `--publish=${host}:9000`,
    `--env=ACCESS_KEY=${key}`,
    `--env=SECRET_KEY=${secret}`,
    'fedi-setup/radosgw:trixie',
  );
  // `fetch` of Node.js 20 never settles if Docker's proxy ends the connection before the server listens.
  const direct = client(undefined, undefined);
  await until('an answer of the S3 server', () =>
    direct(`http://${host}/`).then(
      () => true as const,
      () => undefined,
    ),
  );
}
