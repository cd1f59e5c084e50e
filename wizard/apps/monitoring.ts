/** What an app tells about itself for its monitoring. */

/** A service of an app with metrics for Prometheus, at `/metrics`. */
export interface MetricsEndpoint {
  /** Job of Prometheus. */
  readonly job: string;
  /** Compose service. */
  readonly service: string;
  readonly port: number;
  /** It does nothing else, so it may share a network with Prometheus. Otherwise Caddy passes its metrics on. */
  readonly isExporter: boolean;
}

/** The boards, in the order of their list. */
export const BOARDS = ['overview', 'web', 'queues', 'database', 'storage'] as const;
export type BoardId = (typeof BOARDS)[number];

/** Units of Grafana. */
export type Unit = 'short' | 'percentunit' | 'bytes' | 's' | 'reqps' | 'ops' | 'Bps';

/** A diagram over time. */
export interface Panel {
  readonly board: BoardId;
  readonly title: string;
  /** What it shows, and what is normal; a sentence or two. */
  readonly about: string;
  readonly unit: Unit;
  /** PromQL, and the name of each line, in Grafana's form: `{{queue}}`. */
  readonly queries: readonly { readonly expr: string; readonly legend: string }[];
  /** The latest values as numbers instead. */
  readonly isNumber?: true;
}

export interface AppMonitoring {
  /** URLs that are requested every minute, as a visitor does. The app itself answers them. */
  readonly probes: readonly string[];
  readonly endpoints?: readonly MetricsEndpoint[];
  /** Diagrams that only this app has. */
  readonly panels?: readonly Panel[];
}
