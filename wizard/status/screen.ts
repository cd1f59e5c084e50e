/** The state of a site as text that fits on one screen. */
import { sizeText } from '../checks/check.ts';
import { listed } from '../lists.ts';
import { ago, waited } from '../time.ts';
import { wrap } from '../wrap.ts';
import { OTHER } from './look.ts';
import type { AppState, SiteState } from './state.ts';

/** Column where the values begin. */
const VALUES = 14;
const DAY_HOURS = 24;
/** Without --all. */
const MOST_ADVICE = 5;
const MOST_FAULTS = 5;
/** A longer forecast says nothing. */
const MOST_DAYS = 5 * 365;

const MARKS = { runs: '✔', starts: '…', fails: '✖', down: '✖' } as const;
const VERBS = {
  runs: ['runs', 'run'],
  starts: ['is starting', 'are starting'],
  fails: ['does not run completely', 'do not run completely'],
  down: ['does not run', 'do not run'],
} as const;

/** Stands for a space where no line may break: between a number and what it counts. */
const GLUE = '\u0001';
/** Smaller parts of the disk are not shown one by one. */
const SMALL = 1024 ** 2;

const number = (value: number): string => value.toLocaleString('en-US');
const counted = (value: number, one: string, many = `${one}s`): string =>
  `${number(value)} ${value === 1 ? one : many}`;
const hoursUntil = (at: string, now: string): number => (Date.parse(at) - Date.parse(now)) / 3_600_000;

/** `3 hours ago`. */
const since = (at: string, now: string): string => {
  const hours = -hoursUntil(at, now);
  const minutes = Math.round(hours * 60);
  if (minutes < 1) return 'now';
  return minutes < 60 ? `${minutes} min ago` : `${ago(hours)} ago`;
};

const days = (hours: number): string =>
  hours < 2 * DAY_HOURS ? counted(Math.floor(hours), 'hour') : counted(Math.floor(hours / DAY_HOURS), 'day');

/** The first line: whether the site runs. */
export function headline({ state, apps, services }: Pick<SiteState, 'state' | 'apps' | 'services'>): string {
  if (services.length === 0) return `${MARKS.down} The site does not run.`;
  const clauses = (['down', 'fails', 'starts', 'runs'] as const).flatMap((verdict) => {
    const names = apps.filter((app) => app.state === verdict).map(({ name }) => name);
    return names.length === 0 ? [] : [`${listed(names)} ${VERBS[verdict][names.length === 1 ? 0 : 1]}`];
  });
  // If nothing runs, that says it all.
  const shared = state === 'down' ? [] : services.filter(({ app, fault }) => app === null && fault !== null);
  return `${MARKS[state]} ${[...clauses, ...shared.map(({ service, fault }) => `${service} ${fault ?? ''}`)].join('; ')}.`;
}

/** @param all every container and all advice @param width of the screen */
export function screen(
  state: SiteState,
  { all = false, width = 80 }: { readonly all?: boolean; readonly width?: number } = {},
): string[] {
  const { at, apps, services, notes } = state;
  const put = (text: string, indent: number): string[] =>
    wrap(text.replaceAll(/(\d) /g, `$1${GLUE}`), width, indent)
      .replaceAll(GLUE, ' ')
      .split('\n');
  /** A label, and its value beside it. */
  const row = (label: string, text: string): string[] => {
    const lines = put(text, VALUES);
    return lines.map((line, i) => (i === 0 ? `${label.padEnd(VALUES)}${line.slice(VALUES)}` : line));
  };
  const item = (text: string): string[] =>
    put(text, 4).map((line, i) => (i === 0 ? `  ! ${line.slice(4)}` : line));

  const lines = [headline(state), ...put(`Site ${state.site} in ${state.folder}`, 2)];
  for (const note of notes) lines.push(...item(note));
  lines.push(...faultRows(state, all, put, item));
  const starting = services.filter(({ isStarting }) => isStarting).map(({ service }) => service);
  if (starting.length > 0) lines.push(...put(`not ready yet: ${starting.join(', ')}`, 4));

  for (const app of apps) lines.push('', ...appRows(app, at, row));

  lines.push('');
  lines.push(...row('Disk', diskText(state)));
  lines.push(...row('', partsText(state)));
  lines.push(...row('Memory', memoryText(state)));
  lines.push(...row('Certificates', certificatesText(state)));
  lines.push(...row('Mail', mailText(state)));
  lines.push(...row('Backup', backupText(state)));
  lines.push(...row('Receipt', receiptText(state)));
  if (state.page !== null) {
    const { url, checked } = state.page;
    lines.push(
      ...row(
        'Status page',
        `${url}, ${checked === null ? 'not checked yet' : `checked ${since(checked, at)}`}`,
      ),
    );
  }

  if (all && services.length > 0) {
    const longest = Math.max(...services.map(({ service }) => service.length));
    lines.push('', 'Containers');
    for (const { service, seen } of services) lines.push(`  ${service.padEnd(longest)}  ${seen}`);
  }

  const shown = all ? state.advice : state.advice.slice(0, MOST_ADVICE);
  lines.push('', state.advice.length === 0 ? 'Nothing to do.' : 'To do');
  for (const { what, next, at: found } of shown)
    lines.push(
      ...item(
        `${what} ${next}${found === null ? '' : ` (found ${since(found, at)})`}`.replaceAll(/\s+/g, ' '),
      ),
    );
  const rest = state.advice.length - shown.length;
  if (rest > 0) lines.push(...put(`and ${rest} more: \`fedi-setup status --all\``, 4));
  return lines;
}

/** The containers that are not as they should be, and what to do. */
function faultRows(
  { state, services, notes }: SiteState,
  all: boolean,
  put: (text: string, indent: number) => string[],
  item: (text: string) => string[],
): string[] {
  // What is in progress or was interrupted says what to do.
  const unless = (next: string): string => (notes.length > 0 ? '' : next);
  if (services.length === 0)
    return notes.length > 0 ? [] : item('It has no containers: `fedi-setup apply` starts it.');
  const faults = services.filter(({ fault, remark }) => fault !== null || remark !== null);
  if (state === 'down' && services.every(({ container }) => container?.state !== 'restarting'))
    return item(`All containers are stopped. ${unless('`fedi-setup start` starts them.')}`);
  const shown = all ? faults : faults.slice(0, MOST_FAULTS);
  const rest = faults.length - shown.length;
  return [
    ...shown.flatMap(({ service, fault, remark }) => item(`${service} ${fault ?? remark ?? ''}`)),
    ...(rest > 0 ? put(`and ${rest} more: \`fedi-setup status --all\``, 4) : []),
    ...(faults.some(({ fault }) => fault !== null)
      ? put('`fedi-setup doctor` shows why. `fedi-setup start` starts what you stopped.', 4)
      : []),
  ];
}

function appRows(app: AppState, now: string, row: (label: string, text: string) => string[]): string[] {
  const { name, state, version, newer, url } = app;
  const versions = [version ?? 'version unknown', `at ${url}`].join(' ');
  const first = row(`${MARKS[state]} ${name}`, versions);
  const upgrade = newer === null ? [] : row('', `${newer} is available: \`fedi-setup upgrade\``);
  return [...first, ...upgrade, ...row('  people', peopleText(app, now)), ...row('  jobs', jobsText(app))];
}

export function peopleText({ people }: Pick<AppState, 'people'>, now: string): string {
  if (people === null) return 'unknown';
  const { accounts, active, posts, at } = people;
  const parts = [
    accounts === null ? 'accounts unknown' : counted(accounts, 'account'),
    ...(active === null ? [] : [`${number(active)} active this month`]),
    posts === null ? 'posts unknown' : counted(posts, 'post'),
  ];
  return `${parts.join(', ')}${at === null ? '' : ` (${since(at, now)})`}`;
}

export function jobsText({ jobs }: Pick<AppState, 'jobs'>): string {
  if (jobs === null) return 'unknown';
  const { waiting, oldestSeconds, later, failed, queues } = jobs;
  const busy = Object.entries(queues)
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([name, count]) => `${name} ${number(count)}`);
  return [
    waiting === 0 ? 'none wait' : `${number(waiting)} ${waiting === 1 ? 'waits' : 'wait'}`,
    ...(oldestSeconds === null ? [] : [`the oldest for ${waited(oldestSeconds)}`]),
    ...(busy.length === 0 ? [] : [`in ${busy.join(', ')}`]),
  ]
    .join(', ')
    .concat(later === 0 ? '' : `; ${number(later)} due later`)
    .concat(failed === 0 ? '' : `; ${number(failed)} failed`);
}

function diskText({ disk: { free, fullInDays, isForecast } }: SiteState): string {
  const space = free.map(
    ({ path, bytes }) => `${sizeText(bytes)} free${free.length > 1 ? ` in ${path}` : ''}`,
  );
  const end = !isForecast
    ? 'no forecast yet: it needs a week of readings'
    : fullInDays === null || fullInDays > MOST_DAYS
      ? 'at this rate it will not be full for years'
      : `full in ${counted(fullInDays, 'day')} at this rate`;
  return `${space.join(', ') || 'free space unknown'}; ${end}`;
}

function partsText({ disk: { at: measured, parts, images }, at }: SiteState): string {
  const large = parts.filter(({ what, bytes }) => what !== OTHER && bytes >= SMALL);
  const other = parts.filter((part) => !large.includes(part)).reduce((total, { bytes }) => total + bytes, 0);
  const sizes = [
    ...large.map(
      ({ what, bytes, cached }) =>
        `${what} ${sizeText(bytes)}${cached === null ? '' : ` (${sizeText(cached)} of it cache)`}`,
    ),
    ...(images === null ? [] : [`images ${sizeText(images)}`]),
    ...(measured === null ? [] : [`other ${sizeText(other)}`]),
  ].join(', ');
  return measured === null
    ? `${images === null ? '' : `${sizes}; `}the rest is unknown until \`fedi-setup maintain\` measures it`
    : `${sizes} (${since(measured, at)})`;
}

function memoryText({ memory: { total, available, site } }: SiteState): string {
  return `${sizeText(total - available)} of ${sizeText(total)} used on this host, ${site === null ? 'unknown' : sizeText(site)} by the site`;
}

function certificatesText({ certificates, at }: SiteState): string {
  if (certificates === null) return 'your own proxy has them';
  const missing = certificates.filter(({ to }) => to === null).map(({ name }) => name);
  const known = certificates
    .flatMap(({ name, to }) => (to === null ? [] : [{ name, hours: hoursUntil(to, at) }]))
    .toSorted((a, b) => a.hours - b.hours);
  const [first] = known;
  const text =
    first === undefined
      ? []
      : [
          `${known.length} served, ${
            first.hours <= 0
              ? `that of ${first.name} has expired`
              : known.length === 1
                ? `valid for ${days(first.hours)}`
                : `the first expires in ${days(first.hours)} (${first.name})`
          }`,
        ];
  return [...text, ...(missing.length === 0 ? [] : [`no answer for ${missing.join(', ')}`])].join('; ');
}

function mailText({ mail: { mode, server, proof }, at }: SiteState): string {
  const tried =
    proof === null
      ? 'not tried yet'
      : `the last test mail was ${proof.ok ? 'accepted' : 'not accepted'} ${since(proof.at, at)}`;
  return `${mode}${server === null ? '' : `, ${server}`}${mode === 'none' ? '' : `; ${tried}`}`;
}

function backupText({ backup: { isConfigured, last, drill, sheet }, at }: SiteState): string {
  if (last === null) return isConfigured ? 'none yet: run `fedi-setup backup`' : 'none configured';
  return [
    `${since(last.at, at)}, ${sizeText(last.bytes)}`,
    drill === null ? 'no drill yet' : `drill ${since(drill.at, at)}${drill.ok ? '' : ': not complete'}`,
    sheet === null ? 'no recovery sheet' : `recovery sheet ${since(sheet, at)}`,
  ].join('; ');
}

/** What the last receipt says about the site as it is now. */
function receiptText({ receipt, at }: SiteState): string {
  if (receipt === null) return 'not proven yet: run `fedi-setup apply`';
  const when = since(receipt.at, at);
  if (!receipt.isCurrent) return `changed since the proof ${when}: run \`fedi-setup apply\``;
  return receipt.proven
    ? `all proofs succeeded ${when}`
    : `proof failed ${when}: ${receipt.failed.join('; ')}`;
}
