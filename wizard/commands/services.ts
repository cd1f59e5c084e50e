/** What the commands share that pass the names of services to Compose. */
import type { Argument } from './command.ts';

export const SERVICES: Argument = {
  name: 'SERVICE',
  optional: true,
  many: true,
  about: 'Service of the Compose file, as `status` lists them, or an app: all its services (default: all).',
};
