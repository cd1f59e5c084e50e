/** A plan as text: a summary that fits on one screen; the differences of files on request. */
import { wrap } from '../wrap.ts';
import { patch } from './diff.ts';
import type { Change } from './diff.ts';
import { hasChanges, isEmpty } from './plan.ts';
import type { Plan } from './plan.ts';

/** Width of the column of labels. */
const LABEL = 12;
/** With more files than this the summary only counts them. */
const LISTED = 8;

/** One entry of the summary: a label and a text wrapped beside it; no line without a text. */
const entryIn = (width: number, label: string, text: string): string[] =>
  text === ''
    ? []
    : wrap(text, Math.max(20, width - LABEL))
        .split('\n')
        .map((line, index) => `${(index === 0 ? label : '').padEnd(LABEL)}${line}`);

const SIGN = { create: '+', update: '~', remove: '-' } as const;
const MARK = '(changed by hand)';

/** `+ create`, `~ update`, `- remove`, one line each; edited files are marked. */
export const fileLines = (files: Plan['files']): string[] =>
  files.map(({ path, kind, edited }) => `${SIGN[kind]} ${path}${edited ? `   ${MARK}` : ''}`);

/** Lists few files, counts many. */
function filesText(files: Plan['files']): string {
  const count = (kind: keyof typeof SIGN, word: string): string[] => {
    const found = files.filter((file) => file.kind === kind).length;
    return found === 0 ? [] : [`${found} ${word}`];
  };
  return [
    ...count('create', 'to create'),
    ...count('update', 'to change'),
    ...count('remove', 'to remove'),
  ].join(', ');
}

/**
 * The summary; no line if the plan is empty.
 * @param tuning what several apps are tuned for in sum; undefined: there is one
 * @param width of the screen in columns
 */
export function summaryLines(plan: Plan, tuning: string | undefined, width: number): string[] {
  if (isEmpty(plan)) return [];
  const entry = (label: string, text: string): string[] => entryIn(width, label, text);
  const row = (label: string, items: readonly string[]): string[] => entry(label, items.join(', '));
  const { containers, starts } = plan;
  const lines = [
    ...entry('Site', `${plan.folder} (${plan.generation === 0 ? 'new' : `generation ${plan.generation}`})`),
  ];
  if (tuning !== undefined) lines.push(...entry('Size', `${tuning}.`));
  if (plan.swap !== undefined)
    lines.push(...entry('Swap', `${plan.swap.gib} GB: ${plan.swap.file}, added to /etc/fstab`));
  for (const [label, action] of [
    ['Pull', 'pull'],
    ['Build', 'build'],
  ] as const)
    lines.push(
      ...row(
        label,
        plan.images
          .filter((image) => image.action === action)
          .map(({ reference }) => reference.replace(/@sha256:.*$/, '')),
      ),
    );
  lines.push(...row('Rotate', plan.secrets.rotate));
  if (plan.generation === 0) lines.push(...row('Secrets', [`${plan.secrets.generate.length} to generate`]));
  else
    lines.push(
      ...row(
        'Secrets',
        plan.secrets.generate.map((name) => `${name} (generate)`),
      ),
    );
  const many = plan.files.length > LISTED;
  if (many) lines.push(...entry('Files', filesText(plan.files)));
  for (const [index, line] of fileLines(plan.files.filter(({ edited }) => edited || !many)).entries())
    lines.push(`${(index === 0 && !many ? 'Files' : '').padEnd(LABEL)}${line}`);
  if (plan.ownFiles)
    lines.push(
      ...entry(
        'Your files',
        'compose.override.yaml, env/*.local.env or caddy/custom changed. Compose recreates the affected containers.',
      ),
    );
  lines.push(...row('Create', containers.create));
  lines.push(
    ...row(
      'Recreate',
      containers.recreate.map((name) =>
        starts[name] === undefined ? name : `${name} (${starts[name]} s last time)`,
      ),
    ),
  );
  if (containers.recreate.length > 0)
    lines.push(...entry('', 'Each of these containers is down while it restarts.'));
  lines.push(...row('Remove', containers.remove));
  if (plan.reload) lines.push(...entry('Caddy', 'reload, without downtime'));
  for (const note of plan.notes) lines.push(...entry('Note', note));
  if (plan.passwords.length > 0)
    lines.push(...entry('Passwords', `${plan.passwords.join(', ')} (shown once, at the end)`));
  if (!hasChanges(plan)) return [...lines, ...entry('Then', 'the site is proven again')];
  const steps = plan.steps.map(({ title }) => title).join('; ');
  return [
    ...lines,
    ...entry('Steps', steps === '' ? '' : `${steps} (completed ones are skipped)`),
    ...entry('Then', 'the site is proven'),
  ];
}

/** Every changed file in full, env files by variable name without values. */
export async function differenceLines(plan: Plan, changes: readonly Change[]): Promise<string[]> {
  const lines = plan.files.length > LISTED ? fileLines(plan.files) : [];
  for (const change of changes.filter(({ kind }) => kind === 'update' || kind === 'remove'))
    lines.push('', await patch(change));
  return lines;
}
