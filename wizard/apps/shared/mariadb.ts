/** MariaDB in a container of an app: its user and its database have the app's name. */
import { readProgram, shellProgram, shellQuoted } from '../../assets.ts';
import { mariadbExporter } from './exporters.ts';
import type { Rotation } from './server.ts';
import { volumeMarker } from './server.ts';
import type { ContainerServer, Dump, ServerImage } from './server.ts';

export const MARIADB: ServerImage = {
  reference: 'docker.io/library/mariadb:11.8',
  data: { parts: 2, fixed: 1 },
};

const MOUNT = '/var/lib/mysql';

const program = (name: string, ...argv: readonly string[]): readonly string[] =>
  shellProgram(`apps/shared/programs/${name}`, argv, 'bash');

/** What the dumps of all MariaDB and MySQL servers have in common. */
export const mariadbDump: Pick<Dump, 'dump' | 'restore' | 'count' | 'state' | 'byHand' | 'drill'> = {
  dump: (path) => program('dump-mariadb.sh', path),
  restore: (path) => program('restore-mariadb.sh', path),
  count: () => program('count-mariadb.sh'),
  state: (table) => program('state-mariadb.sh', table),
  byHand: ({ DUMP_DATABASE: name }, file) => [
    `mariadb -e ${shellQuoted(`drop database ${String(name)}; create database ${String(name)} character set utf8mb4 collate utf8mb4_unicode_ci`)}`,
    `mariadb ${shellQuoted(String(name))} <${file}`,
  ],
  drill: { start: (folder, path) => program('drill-mariadb.sh', folder, path), port: 3306 },
};

/** Its passwords are the secrets `APP.db` and, for root, `APP.db-root`. */
export function mariadb(app: string, service: string): ContainerServer {
  /** As root, with the container's password or, if an interrupted run has changed that already, with the new one. */
  const rotation = (account: string): Rotation => ({
    service,
    change: (password, secret) => ({
      argv: ['sh', '-c', readProgram('apps/shared/programs/change-mariadb-password.sh'), 'sh', account],
      stdin: `${password.reveal()}\n${secret(`${app}.db-root`).reveal()}\n`,
    }),
  });
  return {
    service,
    image: 'mariadb',
    env: (secret) => ({
      MARIADB_DATABASE: app,
      MARIADB_USER: app,
      MARIADB_PASSWORD: secret(`${app}.db`),
      MARIADB_ROOT_PASSWORD: secret(`${app}.db-root`),
      MARIADB_ROOT_HOST: 'localhost',
      // Upgrades the system tables after an upgrade of MariaDB.
      MARIADB_AUTO_UPGRADE: 1,
    }),
    rotations: {
      [`${app}.db`]: rotation(`'${app}'@'%'`),
      [`${app}.db-root`]: rotation("'root'@'localhost'"),
    },
    marker: volumeMarker(service, 'mariadb', { mount: MOUNT, data: 'ibdata1' }),
    majors: {
      product: 'MariaDB',
      short: 'mariadb',
      mount: MOUNT,
      version: () => program('version-mariadb.sh', MOUNT),
      traits: () => program('traits-mariadb.sh'),
      besides: () => program('besides-mariadb.sh'),
    },
    exporter: mariadbExporter(service),
    dump: {
      ...mariadbDump,
      file: `${service}.sql`,
      what: `the database of ${app}`,
      image: { name: 'mariadb', reference: MARIADB.reference },
      service,
      env: (secret) => ({
        DUMP_HOST: service,
        DUMP_PORT: 3306,
        DUMP_USER: app,
        DUMP_DATABASE: app,
        MYSQL_PWD: secret(`${app}.db`),
      }),
    },
  };
}
