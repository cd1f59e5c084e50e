/** The public status page: HTML without scripts and without other files. It contains nothing that visitors cannot see anyway. */
import { createHash } from 'node:crypto';
import { listed } from '../lists.ts';
import { CHECK_MINUTES, KEPT_DAYS, OLD_MINUTES, dayOf, levelOf, shareOf } from '../uptime-record.ts';
import type { Condition, Day } from '../uptime-record.ts';

export interface PageApp {
  /** "Mastodon". */
  readonly name: string;
  /** Of its pages. */
  readonly domain: string;
  /** Undefined: it was never checked. */
  readonly state: Condition | undefined;
  /** When it got that state; ISO 8601. */
  readonly since: string | undefined;
  readonly version: string | undefined;
  readonly days: readonly Day[];
}

export interface Page {
  /** The last check; ISO 8601. Undefined: none yet. */
  readonly at: string | undefined;
  /** When this was written. */
  readonly now: Date;
  readonly apps: readonly PageApp[];
  /** The administrator's announcement. */
  readonly notice: string | undefined;
}

/** A page this old says that its results are old. */
const OLD_SECONDS = OLD_MINUTES * 60;
const DAY_MS = 24 * 3_600_000;
const MONTHS = 'January February March April May June July August September October November December'.split(
  ' ',
);

/** Also escapes braces: Caddy executes what is between two pairs of them. */
const escaped = (text: string): string =>
  text.replaceAll(/[&<>"'{}]/g, (character) => `&#${character.codePointAt(0) ?? 0};`);

const date = (day: string): string => {
  const [year, month, number] = day.split('-').map(Number);
  return `${number ?? 0} ${MONTHS[(month ?? 1) - 1] ?? ''} ${year ?? 0}`;
};

/** `<time>` for people, in UTC. */
const time = (at: string): string => {
  const whole = new Date(at).toISOString();
  return `<time datetime="${whole.slice(0, 16)}Z">${date(whole.slice(0, 10))}, ${whole.slice(11, 16)} UTC</time>`;
};

const duration = (checks: number): string => {
  const minutes = checks * CHECK_MINUTES;
  if (minutes < 120) return `${minutes} minutes`;
  return `${Math.round(minutes / 60)} hours`;
};

type Shown = Condition | 'unchecked';

const STATES: Readonly<
  Record<Shown, { readonly mark: string; readonly words: string; readonly about: (since: string) => string }>
> = {
  up: { mark: '✔', words: 'Works', about: () => '' },
  partly: {
    mark: '!',
    words: 'Works partly',
    about: (since) => `Some functions fail since ${since}. Posts may arrive late.`,
  },
  down: { mark: '✖', words: 'Does not answer', about: (since) => `No answer since ${since}.` },
  maintenance: {
    mark: '⚙',
    words: 'Maintenance',
    about: (since) =>
      `Maintenance since ${since}. Afterwards its pages are back, and posts from other servers arrive.`,
  },
  unchecked: { mark: '?', words: 'Not checked yet', about: () => '' },
};

const stateOf = ({ state }: PageApp): Shown => state ?? 'unchecked';

/** The worst state of all, and the sentence about it. */
function verdict(apps: readonly PageApp[]): { state: Shown; words: string } {
  const those = (state: Shown): string =>
    listed(apps.filter((app) => stateOf(app) === state).map(({ name }) => name));
  const many = (state: Shown): boolean => apps.filter((app) => stateOf(app) === state).length > 1;
  const worst =
    (['down', 'partly', 'maintenance', 'unchecked', 'up'] as const).find((state) => those(state) !== '') ??
    'up';
  const words = {
    down: `${those('down')} ${many('down') ? 'do' : 'does'} not answer`,
    partly: `${those('partly')} ${many('partly') ? 'work' : 'works'} partly`,
    maintenance: `Maintenance of ${those('maintenance')}`,
    unchecked: 'Not checked yet',
    up: `${those('up')} ${many('up') ? 'work' : 'works'}`,
  }[worst];
  return { state: worst, words };
}

/** What happened on a day, in words. */
function dayWords(day: Day | undefined): string {
  if (day === undefined || day.up + day.partly + day.down + day.maintenance === 0) return 'not checked';
  const parts = [
    ...(day.down > 0 ? [`did not answer for ${duration(day.down)}`] : []),
    ...(day.partly > 0 ? [`worked partly for ${duration(day.partly)}`] : []),
    ...(day.maintenance > 0 ? [`maintenance for ${duration(day.maintenance)}`] : []),
    ...(day.unchecked > 0 ? [`not checked for ${duration(day.unchecked)}`] : []),
  ];
  return parts.length === 0 ? 'no failure' : parts.join(', ');
}

/** Heights of the bars, since colours alone do not tell them apart for everybody. */
const HEIGHTS = { up: 40, partly: 28, down: 16, unchecked: 4 } as const;

const bar = (x: number, level: keyof typeof HEIGHTS, title: string): string =>
  `<rect class="${level}" x="${x}" y="${40 - HEIGHTS[level]}" width="6" height="${HEIGHTS[level]}">${title === '' ? '' : `<title>${title}</title>`}</rect>`;

/** Per cent, never rounded up to 100. */
const percent = (share: number): string =>
  share === 1 ? '100' : (Math.floor(share * 10_000) / 100).toFixed(2);

function history({ name, days }: PageApp, now: Date): string {
  const dates = Array.from({ length: KEPT_DAYS }, (_, i) =>
    dayOf(now.getTime() - (KEPT_DAYS - 1 - i) * DAY_MS),
  );
  const byDate = new Map(days.map((one) => [one.day, one]));
  const bars = dates.map((day, i) =>
    bar(i * 9, levelOf(byDate.get(day)), `${date(day)}: ${dayWords(byDate.get(day))}`),
  );
  const share = shareOf(days);
  const first = days[0]?.day;
  const since =
    first === undefined || first <= (dates[0] ?? '')
      ? `in the last ${KEPT_DAYS} days`
      : `since ${date(first)}`;
  const summary =
    share === undefined
      ? 'There are no results yet.'
      : `${name} answered ${percent(share)}% of the checks ${since}.`;
  const eventful = days.filter((day) => dayWords(day) !== 'no failure').toReversed();
  return `<svg class="bars" viewBox="0 0 ${KEPT_DAYS * 9 - 3} 40" preserveAspectRatio="none" role="img" aria-label="${escaped(`One bar for each of the last ${KEPT_DAYS} days. ${summary}`)}">${bars.join('')}</svg>
<p class="axis soft"><span>${date(dates[0] ?? '')}</span><span>${date(dates.at(-1) ?? '')}</span></p>
<p class="soft">${escaped(summary)}</p>
${
  eventful.length === 0
    ? ''
    : `<details><summary>${eventful.length === 1 ? '1 day' : `${eventful.length} days`} with failures, maintenance or missing checks</summary>
<table><thead><tr><th scope="col">Day (UTC)</th><th scope="col">${escaped(name)}</th></tr></thead>
<tbody>${eventful.map((day) => `<tr><th scope="row">${date(day.day)}</th><td>${dayWords(day)}</td></tr>`).join('\n')}</tbody></table></details>
`
}`;
}

function section(app: PageApp, now: Date): string {
  const { name, domain, version, since } = app;
  const state = stateOf(app);
  const { mark, words, about } = STATES[state];
  const details = since === undefined ? '' : about(time(since));
  return `<section class="card">
<div class="head"><h2>${escaped(name)}</h2><p class="state ${state}"><span aria-hidden="true">${mark} </span>${words}</p></div>
<p class="soft"><a href="https://${escaped(domain)}/">${escaped(domain)}</a>${version === undefined ? '' : `, version ${escaped(version)}`}</p>
${details === '' ? '' : `<p>${details}</p>\n`}${history(app, now)}</section>`;
}

/** In a template of Caddy: the age of the last check, in words. */
const AGE =
  '{{if lt $age 120}}a moment{{else if lt $age 7200}}{{div $age 60}} minutes{{else if lt $age 172800}}{{div $age 3600}} hours{{else}}{{div $age 86400}} days{{end}} ago';

/**
 * The first card. It is a template of Caddy (`templates`), which computes the age when the page is requested: no script is
 * needed, and old results never look current.
 */
function headline({ at, apps }: Page): string {
  const { state, words } = verdict(apps);
  if (at === undefined)
    return `<section class="card verdict unchecked"><p><strong>${words}</strong></p></section>`;
  return `{{if gt $age ${OLD_SECONDS}}}<section class="card verdict unchecked"><p><strong>Unknown: the last check was ${AGE}</strong></p>
<p>No check has run since ${time(at)}. The results below are from then.</p></section>
{{else}}<section class="card verdict ${state}"><p><strong>${escaped(words)}</strong></p>
<p class="soft">Checked ${AGE}, at ${time(at)}</p></section>
{{end}}`;
}

/** @param style text of its style sheet */
export function statusPage(page: Page, style: string): string {
  const { apps, notice, now } = page;
  const hash = createHash('sha256').update(style).digest('base64');
  const title = `Status of ${listed(apps.map(({ domain }) => domain))}`;
  const start =
    page.at === undefined
      ? '<main>'
      : `{{$age := sub (now | unixEpoch | int64) ${Math.floor(Date.parse(page.at) / 1000)}}}<main{{if gt $age ${OLD_SECONDS}}} class="old"{{end}}>`;
  const key = (level: keyof typeof HEIGHTS, words: string): string =>
    `<li><svg viewBox="0 0 6 40" preserveAspectRatio="none" aria-hidden="true">${bar(0, level, '')}</svg>${words}</li>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<meta http-equiv="refresh" content="${CHECK_MINUTES * 60}">
<title>${escaped(title)}</title>
<style>${style}</style>
</head>
<body>
${start}
<h1>${escaped(title)}</h1>
${headline(page)}
${notice === undefined ? '' : `<section class="card"><h2>Announcement</h2>\n<p>${escaped(notice)}</p></section>\n`}${apps.map((app) => section(app, now)).join('\n')}
</main>
<footer class="soft">
<ul class="key">${key('up', 'no failure')}${key('partly', 'failures')}${key('down', 'down for most of the day')}${key('unchecked', 'not checked')}</ul>
<p>A check every ${CHECK_MINUTES} minutes requests pages as visitors do. It runs on the server, so it does not see failures between you and the server. This page reloads every ${CHECK_MINUTES} minutes.</p>
</footer>
</body>
</html>
`;
}
