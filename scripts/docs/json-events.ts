/** The text of docs/reference/json-events.md, from the table of events. */
import { CODES, EVENTS } from '../../wizard/events.ts';
import { EXIT } from '../../wizard/problem.ts';

export function eventsText(): string {
  const events = Object.entries(EVENTS).map(([name, { when, fields }]) => {
    const rows = Object.entries(fields).map(([field, about]) => `| \`${field}\` | ${about} |`);
    const table = rows.length === 0 ? [] : ['', '| field | meaning |', '|---|---|', ...rows];
    const more = name === 'plan' ? ['', 'Its fields are in [plan.md](plan.md).'] : [];
    return [`## \`${name}\``, '', when, ...more, ...table].join('\n');
  });
  const codes = Object.entries(CODES).map(
    ([code, about]) => `| \`${code}\` | ${EXIT[code.toUpperCase() as keyof typeof EXIT]} | ${about} |`,
  );
  return `<!-- Generated from wizard/events.ts: npm run env-example. -->

# Events of \`--json\`

With \`--json\` every command prints one JSON object per line on standard output, and asks nothing. The field \`event\` is its
name. Names, fields and codes stay as they are; new ones may be added, so ignore what you do not know. Control and invisible
characters are escaped. \`logs\`, \`start\`, \`stop\`, \`restart\` and the tools of the apps print what Compose and the tool print;
for these only \`problem\` is an event.

${events.join('\n\n')}

## Codes of \`problem\`, and exit codes

| code | exit code | meaning |
|---|---|---|
${codes.join('\n')}

If a proof fails there is no event \`problem\`: the events \`proof\` have the details, and the exit code is 5. 0 is success. A
signal ends a command with 128 + its number and without an event: 129 (hang-up), 130 (Ctrl-C), 143 (SIGTERM).
`;
}
