/** Valkey in a container of an app, for queues and caches. */
import { shellProgram } from '../../assets.ts';
import { valkeyExporter } from './exporters.ts';
import type { JobKeys } from './exporters.ts';
import type { ContainerServer, ServerImage } from './server.ts';

export const VALKEY: ServerImage = {
  reference: 'docker.io/valkey/valkey:8.1-trixie',
  data: { parts: 1 },
};

const program = (name: string, ...argv: readonly string[]): readonly string[] =>
  shellProgram(`apps/shared/programs/${name}`, argv);

/** Its password is the secret `APP.valkey`. */
export const valkey = (app: string, service: string, jobs: JobKeys): ContainerServer => ({
  service,
  image: 'valkey',
  env: (secret) => ({ VALKEY_PASSWORD: secret(`${app}.valkey`) }),
  exporter: valkeyExporter(service, jobs),
  dump: {
    file: `${service}.rdb`,
    what: `the queues of ${app}`,
    image: { name: 'valkey', reference: VALKEY.reference },
    service,
    env: (secret) => ({ DUMP_HOST: service, REDISCLI_AUTH: secret(`${app}.valkey`) }),
    dump: (path) => program('dump-valkey.sh', path),
    restore: (path) => program('restore-valkey.sh', path),
    volumeAt: '/data',
  },
});
