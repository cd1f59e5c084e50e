/** Valkey in a container of an app, for queues and caches. */
import type { ContainerServer, ServerImage } from './server.ts';

export const VALKEY: ServerImage = {
  reference: 'docker.io/valkey/valkey:8.1-trixie',
  data: { parts: 1 },
};

/** Its password is the secret `APP.valkey`. */
export const valkey = (app: string, service: string): ContainerServer => ({
  service,
  image: 'valkey',
  env: (secret) => ({ VALKEY_PASSWORD: secret(`${app}.valkey`) }),
});
