/** Files that ship with the package: compose/ and caddy/. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// Both wizard/ (source) and dist/ (bundle) are directly below the package's root.
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Path of a shipped file or folder, such as `compose/snac.yaml`. */
export function assetPath(name: string): string {
  return join(ROOT, name);
}

export function readAsset(name: string): Promise<string> {
  return readFile(assetPath(name), 'utf8');
}
