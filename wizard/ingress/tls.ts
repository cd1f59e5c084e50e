/** Where Caddy's certificates come from. Only this file knows the modes by name; everything else asks what a mode means. */

const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';

/** A way to get certificates. Caddy's part of it is in `caddy/tls/ID`. */
interface TlsMode {
  readonly id: string;
  /** Entry in the wizard. */
  readonly title: string;
  /** Keys of the options that apply to it. */
  readonly options: readonly string[];
  /** The CA is this site's own, and its names need not be in DNS: a lab. */
  readonly isLab?: true;
  /** Another reverse proxy terminates TLS in front of Caddy. */
  readonly isBehindProxy?: true;
  /** The ACME CA that issues the certificates; absent: there is none. */
  readonly ca?: (values: Values) => Ca;
}

/** Values of options by key, validated. */
type Values = Readonly<Record<string, string | number | undefined>>;

/** An ACME CA. */
export interface Ca {
  /** URL of its directory. */
  readonly directory: string;
  /** File in caddy/custom with its CA certificates; undefined: those of the system. */
  readonly root: string | undefined;
  /** Browsers and other servers trust it without configuration, and CAA records apply to it. */
  readonly isPublic: boolean;
}

/** In the order of the wizard; the first is the default. */
const MODES = [
  {
    id: 'acme',
    title: 'From Let’s Encrypt or ZeroSSL, renewed by Caddy',
    options: ['tls.email'],
    ca: () => ({ directory: LETS_ENCRYPT, root: undefined, isPublic: true }),
  },
  {
    id: 'internal',
    title: 'Self-signed by a CA generated on this host (for testing)',
    options: ['tls.root'],
    isLab: true,
  },
  {
    id: 'proxy',
    title: 'None: my own reverse proxy handles HTTPS',
    options: ['tls.port', 'tls.proxies'],
    isBehindProxy: true,
  },
  {
    id: 'directory',
    title: 'From another ACME CA, such as my own',
    options: ['tls.email', 'tls.directory', 'tls.directory-root'],
    ca: (values) => ({
      directory: String(values['tls.directory']),
      root: values['tls.directory-root'] === undefined ? undefined : String(values['tls.directory-root']),
      isPublic: false,
    }),
  },
] as const satisfies readonly TlsMode[];

export type TlsModeId = (typeof MODES)[number]['id'];

/** The value of `tls.mode` for a trial server on this host. */
export const LAB_MODE = 'internal' satisfies TlsModeId;

/** Ids and titles, the default first. */
export const TLS_MODES: readonly { readonly id: TlsModeId; readonly title: string }[] = MODES;

const modeOf = (values: Values): TlsMode | undefined => MODES.find(({ id }) => id === values['tls.mode']);

/** Whether an option applies to the mode that was chosen. */
export const appliesTls = (key: string, values: Values): boolean =>
  modeOf(values)?.options.includes(key) === true;

/** Whether those answers are of a lab. */
export const isLab = (values: Values): boolean => modeOf(values)?.isLab === true;

/** Whether with those answers another reverse proxy terminates TLS. */
export const isBehindProxy = (values: Values): boolean => modeOf(values)?.isBehindProxy === true;

/** TLS of a site. */
export interface Tls {
  readonly mode: TlsModeId;
  readonly isLab: boolean;
  /** The other reverse proxy; undefined: Caddy terminates TLS itself. */
  readonly proxy: Proxy | undefined;
  readonly ca: Ca | undefined;
  /** Contact address for the CA. */
  readonly email: string | undefined;
}

export interface Proxy {
  /** Port of this host that it sends requests to, as plain HTTP. */
  readonly port: number;
  /** Addresses that are trusted for the client's: `private_ranges` or one network. */
  readonly trusted: string;
}

/** Default of `tls.proxies`. */
export const PRIVATE_RANGES = 'private_ranges';

/** Throws if there is no mode in the values, which were validated before. */
export function tlsOf(values: Values): Tls {
  const mode = modeOf(values);
  if (mode === undefined) throw new Error(`no TLS mode ${String(values['tls.mode'])}`);
  return {
    mode: mode.id as TlsModeId,
    isLab: mode.isLab === true,
    proxy:
      mode.isBehindProxy === true
        ? {
            port: Number(values['tls.port'] ?? 8080),
            trusted: String(values['tls.proxies'] ?? PRIVATE_RANGES),
          }
        : undefined,
    ca: mode.ca?.(values),
    email: values['tls.email'] === undefined ? undefined : String(values['tls.email']),
  };
}
