/** Regenerates env.example, docs/reference/json-events.md and the table of checks in the README. Tests fail if they are out of date. */
import { readFile, writeFile } from 'node:fs/promises';
import { checksInWords } from '../wizard/checks/table.ts';
import { exampleText } from '../wizard/answers/example.ts';
import { eventsText } from './docs/json-events.ts';

await writeFile(new URL('../env.example', import.meta.url), exampleText());
await writeFile(new URL('../docs/reference/json-events.md', import.meta.url), eventsText());
const readme = new URL('../README.md', import.meta.url);
await writeFile(
  readme,
  (await readFile(readme, 'utf8')).replace(
    /(<!-- checks: .*-->\n)[^]*?(<!-- \/checks -->)/,
    (_, begin: string, end: string) => `${begin}${checksInWords()}${end}`,
  ),
);
