/** JSON Schema of fedi.yaml for editors, generated from the question table. */
import { ALL_QUESTIONS } from './questions.ts';

interface Node {
  type: string;
  description?: string;
  enum?: string[];
  additionalProperties?: boolean;
  properties?: Record<string, Node>;
}

export function schemaText(): string {
  const root: Node = {
    type: 'object',
    additionalProperties: false,
    properties: { version: { type: 'integer' } },
  };
  for (const question of ALL_QUESTIONS) {
    if (question.secret || question.key === 'apps') continue;
    let node = root;
    const parts = question.key.split('.');
    for (const part of parts.slice(0, -1)) {
      const properties = (node.properties ??= {});
      node = properties[part] ??= { type: 'object', additionalProperties: false, properties: {} };
    }
    (node.properties ??= {})[parts.at(-1) as string] = {
      type: question.key.endsWith('.port') ? 'integer' : 'string',
      description: question.help,
      ...(question.choices ? { enum: question.choices.map(({ value }) => value) } : {}),
    };
  }
  return `${JSON.stringify({ $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'fedi.yaml', ...root }, null, 2)}\n`;
}
