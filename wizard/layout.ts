/** Names in a site directory. */

/** Directory of manifest, generations, receipts and run lock. */
export const OWN = '.fedi';

/**
 * Paths with secrets, or that change with every run, as Git patterns. The last two are the default names of `secrets export` and
 * of the recovery sheet, which belong on another computer.
 */
export const IGNORED = ['/secrets.json', '/env/', `/${OWN}/`, '*recovery*.json', '*recovery*.yaml'] as const;

/** Paths with secrets, and the widest mode that they may have. */
export const CLOSED = [
  ['secrets.json', 0o600],
  ['env', 0o700],
  [OWN, 0o700],
] as const;

/** Prefix of a directory where a rendered set is tested before it replaces anything. */
export const TRIAL = 'trial-';

/** Directory of pictures that Caddy serves in place of an app's own, inside its mount. */
export const PICTURES = 'caddy/pictures';

/** Volume of the access logs. */
export const ACCESS_LOGS = 'caddy_logs';

/** In the site directory: the CA certificates of the administrator's own servers, and in a lab its own. */
export const OWN_CAS_FILE = 'trust/ca.crt';
/** Directory of the administrator's CA certificates for external servers. */
export const CUSTOM_TRUST = 'trust/custom';

/** What `maintain` knows, as metrics: the exporter of the host reads all files of that directory. */
export const MAINTAIN_METRICS = 'monitoring/textfile/maintain.prom';

/** Answers of an interrupted conversation. */
export const DRAFT = 'conversation.json';

/** The swap file that a run creates on request, and the file that enables it after a restart. */
export const SWAP = { file: '/swapfile', fstab: '/etc/fstab' } as const;

/** Directory of the status page, the only one that Caddy serves it from. */
export const STATUS_PAGE = '.fedi/status-page';

/** Its path in URLs, on each name of the site (caddy/status-page.caddy). No app uses paths with such a first part. */
export const STATUS_PATH = '/.fedi-setup/status';

/** How long services took to become healthy, for the next plan. */
export const STARTS = 'starts.json';

/** A file that a site should have. */
export interface PlannedFile {
  /** Relative to the site directory. */
  readonly path: string;
  readonly text: string;
  /** Written instead of the text, which then describes it: a picture. */
  readonly bytes?: Buffer;
  readonly mode: number;
  /** Has secrets: its text is never shown and not kept in a generation. */
  readonly secret: boolean;
  /** Generated files are compared with the manifest; answers and lock are for the user to edit. */
  readonly generated: boolean;
}
