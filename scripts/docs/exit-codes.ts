/** The text of docs/reference/exit-codes.md, and the table of exit codes. */
import { CODES } from '../../wizard/events.ts';
import { EXIT } from '../../wizard/problem.ts';
import { generated, table } from './words.ts';

type Code = keyof typeof CODES;

/** What to do. */
const NEXT: Readonly<Record<Code, string>> = {
  failed: 'Fix what the message names, then run the same command again: it continues.',
  usage: 'Correct the flag, the answer or the line of `fedi.yaml` that the message names.',
  refused: 'Change the answer back, or confirm with the flag that the message names.',
  preflight: 'Fix what the checks found. `fedi-setup doctor` shows all of it.',
  unproven: 'Fix the cause that the proof names, then run `fedi-setup prove`.',
  locked: 'Wait until the other run ends; the message names its process.',
};

const SIGNALS = [EXIT.HUP, EXIT.INT, EXIT.TERM].join(', ');

export const exitTable = (): string =>
  table(
    ['exit', 'meaning', 'what to do'],
    [
      [String(EXIT.OK), 'Success. `apply`: the site is proven.', ''],
      ...Object.entries(CODES).map(([name, about]) => [
        String(EXIT[name.toUpperCase() as keyof typeof EXIT]),
        about,
        NEXT[name as Code],
      ]),
      [
        SIGNALS,
        'A signal ended the command: hang-up, Ctrl-C, SIGTERM.',
        'Run the same command again: it continues.',
      ],
    ],
  );

export const exitCodesText = (): string => `${generated('wizard/problem.ts and wizard/events.ts')}
# Exit codes

${exitTable()}

Every error says what happened, what it means for the site, and what to do next. If a container failed, its last log lines
follow. \`--debug\` adds a stack trace.

- \`plan\` and \`--dry-run\` exit 0 if something would change; \`plan --check\` exits 1.
- \`doctor\` exits 0 with warnings and advice, 1 with a blocker, 4 if the engine cannot be used.
- \`status\` exits 0 if the site runs or is starting, 1 if not, 4 if the engine cannot be used.
- \`prove\` exits 5 if a proof fails.
- Choosing to quit in the wizard exits 0.
- \`tootctl\`, \`artisan\` and \`snac\` exit with the code of the tool; \`logs\`, \`start\`, \`stop\` and \`restart\` with that of Compose.
- With \`--json\` the codes 1 to 4 and 6 also have [names](json-events.md#codes-of-problem-and-exit-codes).
`;
