/** An app's PostgreSQL container, whose role and database have the app's name. */
import { readProgram } from '../assets.ts';
import type { Command } from '../docker/engine.ts';
import type { EnvGroup } from '../render/env.ts';
import type { Secret } from '../secrets/secret.ts';

/** Variables of the official image, read when it creates a cluster. */
export const postgresEnv = (role: string, password: Secret): EnvGroup => ({
  POSTGRES_USER: role,
  POSTGRES_DB: role,
  POSTGRES_PASSWORD: password,
  // A directory below the mount: initdb needs an empty one, and the ownership marker is in the mount.
  PGDATA: '/var/lib/postgresql/data/pgdata',
  POSTGRES_INITDB_ARGS: '--data-checksums --locale-provider=builtin --locale=C.UTF-8 --encoding=UTF8',
  POSTGRES_HOST_AUTH_METHOD: 'scram-sha-256',
});

/** Text as an SQL literal. */
export const literal = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** Sets a new password: over its socket, as the role itself. */
export const changePostgresPassword =
  (role: string) =>
  (password: Secret): Command => ({
    argv: ['sh', '-c', readProgram('apps/programs/psql.sh')],
    stdin: `alter role ${role} password ${literal(password.reveal())};\n`,
  });
