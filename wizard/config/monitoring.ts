/** Whether the site is monitored, and by what. Only this file knows the modes by name. */
import type { Answers } from './question.ts';

export interface Monitoring {
  /** Prometheus, Alertmanager and Grafana run too; otherwise only the exporters. */
  readonly isFull: boolean;
  /** Port of Grafana on the loopback address of this host. */
  readonly port: number;
}

/** In the order of the wizard; the first is the default. */
export const MONITORING_MODES = [
  { value: 'off', name: 'None' },
  { value: 'exporters', name: 'Exporters only, for your own Prometheus; about 100 MB of memory' },
  { value: 'full', name: 'Prometheus, alerts by mail and Grafana too; up to 600 MB of memory' },
] as const;

export const GRAFANA_PORT = 3000;

/** Where Grafana listens: on a loopback address, the site's own if it is one, so that only this host reaches it. */
export const grafanaAddress = (bind: string): string => (bind.startsWith('127.') ? bind : '127.0.0.1');

/** Whether Prometheus, Alertmanager and Grafana are wanted. */
export const isFullyMonitored = (answers: Answers): boolean => answers['monitoring.mode'] === 'full';

/** Undefined: it is not monitored. */
export function monitoringOf(answers: Answers): Monitoring | undefined {
  const mode = answers['monitoring.mode'] ?? 'off';
  if (mode === 'off') return undefined;
  return { isFull: mode === 'full', port: Number(answers['monitoring.port'] ?? GRAFANA_PORT) };
}
