/** The texts of docs/reference/options.md and fedi-yaml.md, from the table of questions. */
import { ALL_QUESTIONS, questionsFor } from '../../wizard/answers/questions.ts';
import { APPS } from '../../wizard/apps/index.ts';
import { flagOf, shortKeyOf, variableOf } from '../../wizard/config/question.ts';
import type { Answers, Question } from '../../wizard/config/question.ts';
import { code, generated, list } from './words.ts';

/** Questions whose answers others may depend on. */
const CHOICES = ALL_QUESTIONS.filter(({ choices, several }) => choices !== undefined && several !== true);

/** Every question without choices is answered, every question with choices is open. */
const NOTHING_CHOSEN: Answers = Object.fromEntries(
  ALL_QUESTIONS.filter(({ choices }) => choices === undefined).map(({ key }) => [key, 'x']),
);

/** When an option applies, found by trying every value of every choice; undefined: always. */
export function appliesWhen({ key, when, applies: words }: Question): string | undefined {
  if (words !== undefined) return words;
  if (when === undefined) return undefined;
  const applies = when(NOTHING_CHOSEN);
  const deciding = CHOICES.map((other) => ({
    key: other.key,
    values: (other.choices ?? [])
      .map(({ value }) => value)
      .filter((value) => when({ ...NOTHING_CHOSEN, [other.key]: value }) !== applies),
  })).filter(({ values }) => values.length > 0);
  const needed = Object.keys(NOTHING_CHOSEN).filter(
    (other) => !when(Object.fromEntries(Object.entries(NOTHING_CHOSEN).filter(([name]) => name !== other))),
  );
  if (applies && deciding.length === 0 && needed.length > 0)
    return `only if ${list(needed.map(code), 'and')} is given`;
  if (deciding.length !== 1) throw new Error(`it is not clear on which answer ${key} depends`);
  const [{ key: by = '', values = [] } = {}] = deciding;
  const chosen = applies ? NOTHING_CHOSEN : { ...NOTHING_CHOSEN, [by]: values[0] ?? '' };
  const given = Object.keys(NOTHING_CHOSEN).filter(
    (other) => !when(Object.fromEntries(Object.entries(chosen).filter(([name]) => name !== other))),
  );
  const and = given.length === 0 ? '' : ` and ${list(given.map(code), 'and')} is given`;
  return `${applies ? 'not if' : 'only if'} ${code(by)} is ${list(values.map(code), 'or')}${and}`;
}

/** A default that depends on nothing else. */
function fixedDefault({ initial, byHost, derivedFrom }: Question): string | undefined {
  const value = byHost === undefined && derivedFrom === undefined ? initial?.({}) : undefined;
  return value === undefined || String(value).includes('undefined') ? undefined : String(value);
}

function defaultOf(question: Question): string {
  const fixed = fixedDefault(question);
  if (fixed !== undefined) return code(fixed);
  if (question.initial !== undefined || question.byHost !== undefined)
    return 'depends on other answers or the host';
  return question.optional ? '–' : 'none: an answer is required';
}

function optionText(question: Question): string {
  const { key, message, help, more, choices, several, secret } = question;
  const when = appliesWhen(question);
  const rows = [
    [
      'flag',
      `${code(`--${flagOf(question)}`)}${secret ? ', which takes a file or `-` (standard input)' : ''}`,
    ],
    ['variable', code(variableOf(question))],
    [
      'key in `fedi.yaml`',
      secret ? 'none; stored in `secrets.json`' : key === 'apps' ? 'the keys below `apps`' : code(key),
    ],
    ['default', defaultOf(question)],
    ...(when === undefined ? [] : [['applies', when]]),
  ];
  const values = (choices ?? []).map(
    ({ value, name }) =>
      `- ${code(value)}${name.toLowerCase() === value ? '' : `: ${name.replace(new RegExp(`^${value}: `, 'i'), '')}`}`,
  );
  return [
    `### ${code(`--${flagOf(question)}`)}`,
    '',
    `**${message}.** ${help}${more === undefined ? '' : ` ${more}`}`,
    ...(values.length === 0
      ? []
      : ['', `${several ? 'One or more of these, separated by commas' : 'One of'}:`, '', ...values]),
    '',
    '| | |',
    '|---|---|',
    ...rows.map(([name, value]) => `| ${name} | ${value} |`),
  ].join('\n');
}

/** Options of the site, by the first part of their key. */
const SECTIONS: readonly (readonly [title: string, prefix: RegExp])[] = [
  ['The site', /^(apps|name|bind|cache)$/],
  ['Mail', /^mail\./],
  ['Backups', /^backup\./],
  ['Maintenance', /^(cleanup\.|upgrades$)/],
  ['Status page', /^status\./],
  ['Monitoring', /^monitoring\./],
  ['Certificates', /^(tls|trust)\./],
  ['Images', /^images\./],
];

const OF_SITE = ALL_QUESTIONS.filter((question) => shortKeyOf(question) === undefined);

const missing = OF_SITE.find(({ key }) => !SECTIONS.some(([, prefix]) => prefix.test(key)));
if (missing !== undefined) throw new Error(`no section of the options has ${missing.key}`);

const sections = (): { title: string; questions: readonly Question[] }[] => [
  ...SECTIONS.map(([title, prefix]) => ({ title, questions: OF_SITE.filter(({ key }) => prefix.test(key)) })),
  ...APPS.map(({ id, name }) => ({
    title: name,
    questions: ALL_QUESTIONS.filter(({ key }) => key.startsWith(`apps.${id}.`)),
  })),
];

export function optionsText(): string {
  const [app] = APPS;
  const domain = ALL_QUESTIONS.find(({ key }) => key === `apps.${app?.id}.domain`) as Question;
  const all = sections();
  return `${generated('wizard/answers/questions.ts')}
# Options

Each option is a question of the wizard, a flag, an environment variable and a key in \`fedi.yaml\`. If an option is given in
several places, the first of these counts: flag, environment, answers file (\`--answers FILE\`), \`fedi.yaml\`, default.

- The wizard asks for few options. All others are under “advanced settings” in its review.
- A site with one app may omit the app's name: \`--${shortKeyOf(domain)}\` is \`--${flagOf(domain)}\`, and
  \`FEDI_DOMAIN\` is \`${variableOf(domain)}\`.
- A secret is never the value of a flag, because other users of the host can see the arguments of a process. Its flag ends
  in \`-file\` and takes the path of a file, or \`-\` for standard input.
- An empty variable counts as not set.
- [env.example](../../env.example) has all variables, [fedi-yaml.md](fedi-yaml.md) all keys, [commands.md](commands.md)
  the flags that are not options.

Sections: ${all.map(({ title }) => `[${title}](#${title.toLowerCase().replaceAll(' ', '-')})`).join(', ')}.

${all.map(({ title, questions }) => `## ${title}\n\n${questions.map(optionText).join('\n\n')}`).join('\n\n')}
`;
}

/** A comment, at most as wide as a page. */
const comment = (text: string): string => `# ${text}`;

/** All keys as YAML with their values, defaults and meaning. */
function skeleton(): string {
  const lines = ['version: 1'];
  let before: string[] = [];
  for (const question of questionsFor(APPS.map(({ id }) => id))) {
    if (question.secret || question.key === 'apps') continue;
    const parts = question.key.split('.');
    const parents = parts.slice(0, -1);
    const same = parents.findIndex((part, depth) => before[depth] !== part);
    for (const [depth, part] of parents.entries())
      if (same !== -1 && depth >= same) lines.push(`${'  '.repeat(depth)}${part}:`);
    before = parents;
    const words = question.choices?.map(({ value }) => value).join(', ');
    const fixed = fixedDefault(question);
    const notes = [
      question.message,
      ...(words === undefined ? [] : [words]),
      ...(fixed === undefined ? [] : [`default ${fixed}`]),
    ];
    lines.push(`${'  '.repeat(parents.length)}${parts.at(-1)}:  ${comment(notes.join('; '))}`);
  }
  return lines.join('\n');
}

export const fediYamlText = (): string => `${generated('wizard/answers/questions.ts')}
# \`fedi.yaml\`

\`fedi.yaml\` in the site directory has the answers of a site. fedi-setup writes it in the first run. Edit it, look at the
result with \`fedi-setup plan\`, then run \`fedi-setup apply\`.

- It has no secrets: they are in \`secrets.json\`.
- \`version\` is 1.
- Each app is a key below \`apps\`. An app whose key you remove is removed from the site after you confirm it; its data stay.
- A value is a text or a number, never a list. An empty value counts as not given.
- An unknown key or an invalid value ends a run with exit 2. The message names the line, and the nearest key.
- fedi-setup changes single values in it. Comments, order and quotes stay. It refuses YAML that it cannot edit without a loss,
  and names the values to set by hand.
- Of the advanced options only those that you gave are written. The others follow the defaults of fedi-setup, also those of a
  later version. Size and version of an app are always written.
- The first line names a schema, \`.fedi/fedi.schema.json\`: an editor with a YAML language server completes and checks the keys.

A small site:

\`\`\`yaml
version: 1
apps:
  snac:
    domain: social.example.org
    admin: anna
    email: anna@example.org
mail:
  mode: none
tls:
  mode: acme
\`\`\`

All keys, with their values and defaults. [options.md](options.md) explains each.

\`\`\`yaml
${skeleton()}
\`\`\`
`;
