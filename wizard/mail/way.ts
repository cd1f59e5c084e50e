/** How to reach a mail server as the apps do: from inside a container. */
import type { Duplex } from 'node:stream';
import { shellProgram } from '../assets.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { EXIT, Problem } from '../problem.ts';

/** Ports of mail servers: TLS from the first byte, submission, what many providers offer besides, servers among themselves. */
export const MAIL_PORTS = [465, 587, 2525, 25] as const;

export interface Reached {
  readonly port: number;
  readonly isOpen: boolean;
  /** The address that answered; empty: none. */
  readonly address: string;
  /** Why there is no connection: `Connection refused`, …; empty: no answer in time. */
  readonly cause: string;
}

export interface Connection {
  readonly stream: Duplex;
  close(): Promise<void>;
}

export interface Way {
  /** Addresses that a host has there, and whether its ports accept connections. */
  reach(
    host: string,
    ports: readonly number[],
  ): Promise<{ readonly addresses: readonly string[]; readonly ports: readonly Reached[] }>;
  open(address: string, port: number): Promise<Connection>;
  /** The addresses in the DNS of this host, to explain why there are none. */
  lookUp(host: string): Promise<{ readonly a: readonly string[]; readonly aaaa: readonly string[] }>;
}

const PROBE_MS = 60_000;

/** @param network as for {@link OneShot} @param image Caddy's */
export function wayInside(
  engine: Engine,
  image: string,
  network: string,
  addressRecords: (name: string, type: 'A' | 'AAAA') => Promise<string[]>,
): Way {
  return {
    async reach(host, ports) {
      const { code, stdout, stderr } = await runOneShot(
        engine,
        { image, network, argv: shellProgram('mail/programs/reach.sh', [host, ...ports.map(String)]) },
        { timeoutMs: PROBE_MS },
      );
      if (code !== 0)
        throw new Problem(
          EXIT.FAILED,
          `A container could not try the mail server: ${stderr.trim() || `exit code ${code}`}`,
          {
            means: 'It runs in Caddy’s image, which needs curl, getent, and nc or bash. Nothing was changed.',
            next: 'Use the official image of Caddy, or --skip-check mail.',
          },
        );
      return reachedIn(stdout);
    },
    async open(address, port) {
      const { stream, close } = await engine.pipe({
        image,
        network,
        argv: shellProgram('mail/programs/pipe.sh', [address, String(port)]),
      });
      return { stream, close };
    },
    async lookUp(host) {
      const records = (type: 'A' | 'AAAA'): Promise<string[]> => addressRecords(host, type).catch(() => []);
      return { a: await records('A'), aaaa: await records('AAAA') };
    },
  };
}

/** The output of programs/reach.sh. */
export function reachedIn(stdout: string): {
  readonly addresses: readonly string[];
  readonly ports: readonly Reached[];
} {
  const lines = stdout.split('\n');
  return {
    addresses: [...new Set(lines.flatMap((line) => /^address (\S+)$/.exec(line)?.[1] ?? []))],
    ports: lines.flatMap((line) => {
      const [, port, seconds, address = '', cause = ''] = /^port (\d+) ([\d.]+) (\S*) (.*)$/.exec(line) ?? [];
      const isOpen = Number(seconds) > 0;
      return port === undefined ? [] : [{ port: Number(port), isOpen, address, cause: cause.trim() }];
    }),
  };
}
