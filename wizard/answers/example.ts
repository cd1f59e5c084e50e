/** Text of env.example: a commented variable for every question. */
import { APP_IDS } from '../apps/index.ts';
import { variableOf } from '../config/question.ts';
import { ALL_QUESTIONS } from './questions.ts';

export function exampleText(): string {
  const rows = ALL_QUESTIONS.map((question) => {
    const words = question.choices ? ` (${question.choices.map(({ value }) => value).join(', ')})` : '';
    return `# ${question.message}${words}. ${question.help}\n#${variableOf(question)}=\n`;
  });
  return `# Answers for \`fedi-setup apply --answers FILE\`, or for the environment.
# Remove the # in front of a variable to set it; all others keep their default.
# With a single app you may omit its name: FEDI_DOMAIN instead of FEDI_${(APP_IDS[0] as string).toUpperCase()}_DOMAIN.
# Precedence: flag, environment, this file, fedi.yaml, default.
# Generated from the question table: npm run env-example.

${rows.join('\n')}`;
}
