/** The HTML of the status page: what it says, what it never contains, and that its policy allows its style sheet only. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { statusPage } from '../../../wizard/status/page.ts';
import type { Page, PageApp } from '../../../wizard/status/page.ts';
import { withContainers } from '../../../wizard/status/try-apps.ts';
import type { ListedService } from '../../../wizard/status/state.ts';
import type { Day } from '../../../wizard/uptime-record.ts';

const STYLE = readFileSync(new URL('../../../caddy/status-page.css', import.meta.url), 'utf8');
const NOW = new Date('2026-11-30T16:31:00Z');
const AT = '2026-11-30T16:30:12.345Z';

const day = (name: string, more: Partial<Day> = {}): Day => ({
  day: name,
  up: 288,
  partly: 0,
  down: 0,
  maintenance: 0,
  unchecked: 0,
  ...more,
});
const app = (more: Partial<PageApp> = {}): PageApp => ({
  name: 'snac',
  domain: 'social.example.org',
  state: 'up',
  since: AT,
  version: '2.96',
  days: [day('2026-11-29'), day('2026-11-30')],
  ...more,
});
const html = (more: Partial<Page> = {}): string =>
  statusPage({ at: AT, now: NOW, apps: [app()], notice: undefined, ...more }, STYLE);
/** What people read, without tags. */
const words = (text: string): string =>
  text
    .replace(/^[\s\S]*<body>/, '')
    .replaceAll(/<svg[\s\S]*?<\/svg>|\{\{[\s\S]*?\}\}/g, ' ')
    .replaceAll(/<[^>]+>/g, ' ')
    .replaceAll(/\s+/g, ' ');

describe('what it says', () => {
  test('a site that works', () => {
    const text = words(html());
    expect(text).toContain('Status of social.example.org');
    expect(text).toContain('snac works');
    expect(text).toContain('at 30 November 2026, 16:30 UTC');
    expect(text).toContain('social.example.org , version 2.96');
    expect(text).toContain('snac answered 100% of the checks since 29 November 2026.');
    expect(html()).not.toContain('<details>');
  });
  test.each([
    ['down', 'snac does not answer', 'No answer since 30 November 2026, 16:30 UTC .'],
    ['partly', 'snac works partly', 'Some functions fail since'],
    ['maintenance', 'Maintenance of snac', 'Afterwards its pages are back'],
    [undefined, 'Not checked yet', 'Not checked yet'],
  ] as const)('%s', (state, headline, more) => {
    const text = words(html({ apps: [app({ state })] }));
    expect(text).toContain(headline);
    expect(text).toContain(more);
  });
  test('of several apps the worst state comes first', () => {
    const text = html({ apps: [app(), app({ name: 'Mastodon', domain: 'm.example.org', state: 'down' })] });
    expect(text).toContain('<section class="card verdict down"><p><strong>Mastodon does not answer</strong>');
    expect(words(text)).toContain('Status of social.example.org and m.example.org');
    expect(words(html({ apps: [app(), app({ name: 'Mastodon' })] }))).toContain('snac and Mastodon work');
  });
  test('days with failures, newest first, and never rounded up to 100%', () => {
    const text = html({
      apps: [
        app({
          days: [
            day('2026-09-01', { unchecked: 288, up: 0 }),
            day('2026-11-28', { down: 1 }),
            day('2026-11-29', { partly: 12, maintenance: 36, unchecked: 3 }),
            day('2026-11-30'),
          ],
        }),
      ],
    });
    expect(words(text)).toMatch(/3 days with failures, maintenance or missing checks .* 29 November 2026 worked partly for 60 minutes, maintenance for 3 hours, not checked for 15 minutes 28 November 2026 did not answer for 5 minutes 1 September 2026 not checked/); // prettier-ignore
    expect(words(text)).toContain('answered 99.88% of the checks');
    expect(words(html({ apps: [app({ days: Array.from({ length: 90 }, () => day('2026-11-30', { down: 1 })).slice(0, 1).concat(Array.from({ length: 89 }, () => day('2026-11-29'))) })] }))).toContain('99.99%'); // prettier-ignore
  });
  test('90 bars, the last for today', () => {
    const bars = [...html({ apps: [app({ days: [day('2026-11-30', { down: 200, up: 88 })] })] }).matchAll(/<rect class="(\w+)" x="\d+" y="\d+" width="6" height="\d+"><title>(.*?)<\/title>/g)].map(([, level, title]) => [level, title]); // prettier-ignore
    expect(bars).toHaveLength(90);
    expect(bars[0]).toEqual(['unchecked', '2 September 2026: not checked']);
    expect(bars.at(-1)).toEqual(['down', '30 November 2026: did not answer for 17 hours']);
  });
  test('an announcement', () => {
    expect(words(html({ notice: 'On Sunday: a new disk' }))).toContain('Announcement On Sunday: a new disk');
  });
});

describe('safety', () => {
  const NASTY = `</style><script>alert(1)</script>"'&{{env "HOME"}}{{readFile "/etc/passwd"}}`;
  const nasty = html({ notice: NASTY, apps: [app({ version: NASTY, name: NASTY, domain: NASTY })] });

  test('nothing becomes a tag, or an action of Caddy’s templates', () => {
    expect(nasty).not.toMatch(/<script|env "|readFile "/i);
    const actions = (text: string): string[] => [...text.matchAll(/\{\{[\s\S]*?\}\}/g)].map(([one]) => one);
    expect(actions(nasty)).toEqual(actions(html()));
    expect(nasty.match(/<\/style>/g)).toHaveLength(1);
  });
  test('the style sheet has no action of Caddy’s templates', () => expect(STYLE).not.toContain('{{'));
  test('no script, no other file, and a policy with the hash of its style sheet', () => {
    const text = html({ notice: 'x' });
    expect(text).not.toMatch(/<script|<link|<img|<iframe|\bsrc=|\bstyle=|\bon\w+=|@import|url\(/i);
    const style = /<style>([\s\S]*?)<\/style>/.exec(text)?.[1] ?? '';
    const hash = createHash('sha256').update(style).digest('base64');
    expect(text).toContain(`content="default-src 'none'; style-src 'sha256-${hash}';`);
    // Before the style sheet, so that it applies to it.
    expect(text.indexOf('Content-Security-Policy')).toBeLessThan(text.indexOf('<style>'));
  });
  test('it has no numbers of people, paths or addresses', () => {
    expect(words(html())).not.toMatch(/accounts|users|people|\/srv|\/home|\b127\.|\b10\./);
  });
});

describe('accessibility', () => {
  const text = html({
    notice: 'x',
    apps: [app({ days: [day('2026-11-30', { down: 2 })] }), app({ name: 'Mastodon', state: 'down' })],
  });
  test('one h1, then h2 for each part', () => {
    expect(text.match(/<h1>/g)).toHaveLength(1);
    expect([...text.matchAll(/<h2>(.*?)<\/h2>/g)].map(([, title]) => title)).toEqual([
      'Announcement',
      'snac',
      'Mastodon',
    ]);
    expect(text).not.toMatch(/<h[3-6]/);
  });
  test('language, title, headers of the table, and a text for the bars', () => {
    expect(text).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(text).toContain('<title>Status of social.example.org');
    expect(text).toContain('<th scope="col">');
    expect(text).toContain('<th scope="row">');
    expect(
      text.match(/role="img" aria-label="One bar for each of the last 90 days\. \w+ answered /g),
    ).toHaveLength(2);
  });

  /** Relative luminance (WCAG 2.2). */
  const luminance = (hex: string): number => {
    const full = hex.length === 4 ? hex.slice(1).replaceAll(/./g, '$&$&') : hex.slice(1);
    const [r = 0, g = 0, b = 0] = [0, 2, 4].map((i) => {
      const part = Number.parseInt(full.slice(i, i + 2), 16) / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one: string, other: string): number => {
    const [light = 0, dark = 0] = [luminance(one), luminance(other)].toSorted((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const [light = '', dark = ''] = STYLE.split('prefers-color-scheme: dark');
  const colours = (part: string): Record<string, string> =>
    Object.fromEntries(
      [...part.matchAll(/--([\w-]+): (#[0-9a-f]+);/g)].map(([, name = '', value = '']) => [name, value]),
    );

  test.each([
    ['light', colours(light)],
    ['dark', colours(dark)],
  ])('%s: texts have a contrast of 4.5, bars of 3', (_, scheme) => {
    const on = (name: string, ground: string): number => contrast(scheme[name] ?? '', scheme[ground] ?? '');
    for (const ground of ['page', 'card']) {
      for (const name of ['text', 'soft'])
        expect([name, ground, on(name, ground) >= 4.5]).toEqual([name, ground, true]);
    }
    for (const name of ['up-text', 'partly-text', 'down-text', 'maintenance-text'])
      expect([name, on(name, 'card') >= 4.5]).toEqual([name, true]);
    for (const name of ['up', 'partly', 'down', 'maintenance'])
      expect([name, on(name, 'card') >= 3]).toEqual([name, true]);
  });
});

test('an app whose pages open works partly while one of its containers is at fault', () => {
  const fault = (of: string | null): ListedService => ({
    service: 'mastodon_sidekiq',
    app: of,
    container: null,
    seen: '',
    fault: 'has stopped',
    remark: null,
    isStarting: false,
  });
  expect(withContainers('mastodon', { state: 'up', version: '4' }, [fault('mastodon')])).toEqual({
    state: 'partly',
    version: '4',
    why: 'mastodon_sidekiq has stopped',
  });
  expect(withContainers('mastodon', { state: 'up' }, [fault('snac'), fault(null)]).state).toBe('up');
  expect(withContainers('mastodon', { state: 'down' }, [fault('mastodon')]).state).toBe('down');
});
