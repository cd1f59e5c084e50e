/** A self-signed certificate and its key, as PEM. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** @param days of validity from now; negative: expired */
export function certificate(name: string, days = 1): { readonly key: string; readonly cert: string } {
  const folder = mkdtempSync(join(tmpdir(), 'fedi-certificate-'));
  const openssl = (line: string): void =>
    void execFileSync('openssl', line.split(' '), { cwd: folder, stdio: 'ignore' });
  try {
    openssl(
      `req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out request.pem -subj /CN=${name} -addext subjectAltName=DNS:${name}`,
    );
    openssl(`x509 -req -in request.pem -signkey key.pem -days ${days} -copy_extensions copy -out cert.pem`);
    const read = (path: string): string => readFileSync(join(folder, path), 'utf8');
    return { key: read('key.pem'), cert: read('cert.pem') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
