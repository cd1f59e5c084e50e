/** Writes env.example anew from the question table; a test fails when it lags behind. */
import { writeFile } from 'node:fs/promises';
import { exampleText } from '../wizard/config/example.ts';

await writeFile(new URL('../env.example', import.meta.url), exampleText());
