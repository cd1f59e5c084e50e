/** All generated pages, and the generated parts of README.md. */
import { exampleText } from '../../wizard/answers/example.ts';
import { checksText } from './checks.ts';
import { commandsText } from './commands.ts';
import { exitCodesText } from './exit-codes.ts';
import { eventsText } from './json-events.ts';
import { fediYamlText, optionsText } from './options.ts';

/** Path from the root of the repository → text. */
export const pages = async (): Promise<Readonly<Record<string, string>>> => ({
  'env.example': exampleText(),
  'docs/reference/options.md': optionsText(),
  'docs/reference/fedi-yaml.md': fediYamlText(),
  'docs/reference/commands.md': await commandsText(),
  'docs/reference/checks.md': await checksText(),
  'docs/reference/exit-codes.md': exitCodesText(),
  'docs/reference/json-events.md': eventsText(),
});
