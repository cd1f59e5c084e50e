/** Regenerates env.example, the generated pages of docs/reference and parts of README.md. Tests fail if they are out of date. */
import { readFile, writeFile } from 'node:fs/promises';
import { pages } from './docs/pages.ts';
import { readmeText } from './docs/readme.ts';

const at = (path: string): URL => new URL(`../${path}`, import.meta.url);

for (const [path, text] of Object.entries(await pages())) await writeFile(at(path), text);
const [readme, transcript] = await Promise.all(
  ['README.md', 'docs/transcript.md'].map((path) => readFile(at(path), 'utf8')),
);
await writeFile(at('README.md'), await readmeText(readme ?? '', transcript ?? ''));
