/** Images of the monitoring, from Debian's packages; Grafana's is a stand-in. */
import { needImages } from './acme.ts';

const NAMES = [
  'node-exporter',
  'blackbox-exporter',
  'postgres-exporter',
  'mysqld-exporter',
  'redis-exporter',
  'prometheus',
  'alertmanager',
  'grafana',
];

/** Builds them, and returns the answers that name them. */
export function monitoringImages(): NodeJS.ProcessEnv {
  needImages(...NAMES);
  return Object.fromEntries(
    NAMES.map((name) => [
      `FEDI_IMAGES_${name.toUpperCase().replaceAll('-', '_')}`,
      `fedi-setup/${name}:trixie`,
    ]),
  );
}
