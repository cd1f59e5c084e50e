/** env.example: every answer as a variable with its comment, made from the question table. */
import { APP_IDS } from '../apps/index.ts';
import { variableOf } from '../config/question.ts';
import { ALL_QUESTIONS } from './questions.ts';

export function exampleText(): string {
  const rows = ALL_QUESTIONS.map((question) => {
    const words = question.choices ? ` (${question.choices.map(({ value }) => value).join(', ')})` : '';
    return `# ${question.message}${words}. ${question.help}\n#${variableOf(question)}=\n`;
  });
  return `# Answers for \`fedi-setup apply --answers FILE\`, or for the environment.
# Take the # away in front of a variable to set it; what stays out keeps its default.
# With one app its name may be left out: FEDI_DOMAIN instead of FEDI_${(APP_IDS[0] as string).toUpperCase()}_DOMAIN.
# A flag counts more than the environment, that more than this file, that more than fedi.yaml.
# Made from the question table: npm run env-example.

${rows.join('\n')}`;
}
