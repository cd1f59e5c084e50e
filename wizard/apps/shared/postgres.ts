/** PostgreSQL in a container of an app: its role and its database have the app's name. */
import { readProgram } from '../../assets.ts';
import { volumeMarker } from './server.ts';
import type { ContainerServer, ServerImage } from './server.ts';

export const POSTGRES: ServerImage = {
  reference: 'docker.io/library/postgres:17-trixie',
  data: { parts: 1, fixed: true },
};

const MOUNT = '/var/lib/postgresql/data';
/** Below the mount: initdb needs an empty directory, and the ownership marker is in the mount. */
const DATA = 'pgdata';

/** Text as an SQL literal. */
export const literal = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** Its password is the secret `APP.db`. */
export const postgres = (app: string, service: string): ContainerServer => ({
  service,
  image: 'postgres',
  // Read when the image creates a cluster.
  env: (secret) => ({
    POSTGRES_USER: app,
    POSTGRES_DB: app,
    POSTGRES_PASSWORD: secret(`${app}.db`),
    PGDATA: `${MOUNT}/${DATA}`,
    POSTGRES_INITDB_ARGS: '--data-checksums --locale-provider=builtin --locale=C.UTF-8 --encoding=UTF8',
    POSTGRES_HOST_AUTH_METHOD: 'scram-sha-256',
  }),
  rotations: {
    [`${app}.db`]: {
      service,
      // Over its socket, as the role itself.
      change: (password) => ({
        argv: ['sh', '-c', readProgram('apps/shared/programs/psql.sh')],
        stdin: `alter role ${app} password ${literal(password.reveal())};\n`,
      }),
    },
  },
  marker: volumeMarker(service, 'postgres', { mount: MOUNT, data: `${DATA}/PG_VERSION` }),
});
