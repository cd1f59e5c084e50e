/**
 * The shortest run, 80×24, from the first question to the receipt; docs/transcript.md shows it.
 * UPDATE_TRANSCRIPT=1 writes it there; then `npm run env-example` puts its short form into README.md.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { closeTerminals, terminal } from '../support/terminal.ts';
import type { Exit, Terminal } from '../support/terminal.ts';
import { SHORT } from '../support/conversations.ts';
import { place, talk } from './place.ts';

const PAGE = fileURLToPath(new URL('../../docs/transcript.md', import.meta.url));
const BLOCK = /(?<=<!-- transcript -->\n)[^]*?(?=<!-- \/transcript -->)/;

const site = place('transcript', 40);
let run: Terminal;
let exit: Exit;
beforeAll(async () => {
  run = terminal([], { cwd: site.cwd, env: site.env });
  await talk(run, SHORT);
  await run.choose('What now?', 'Go');
  exit = await run.exit;
});
afterAll(() => {
  closeTerminals();
  site.remove();
});

/** Settings of a test on a shared engine only: project, address, images on the host. */
const OURS =
  /^ +(?:Name of the Compose project|Address to listen on|Image of \w+|--name|--bind|--images-\w+) .*\n/gm;

/** As on the screen, without parts that differ between runs. */
function transcript(): string {
  const text = `${run.screen().trimEnd()}\n`
    .replace(OURS, '')
    .replace(/ \\\n$/, '\n')
    .replace(/^( +password +)\S+$/m, '$1················')
    .replace(/ \(\d+(?:\.\d)? s\)$/gm, '')
    .replace(/[0-9a-f]{32}/g, '…')
    .replace(/\b\d{10}\.\d{6}\b/g, '…');
  return `\`\`\`console\n$ npx fedi-setup\n${text}\`\`\`\n`;
}

/** Results about the host differ between machines. */
const anyHost = (text: string): string => text.replace(/^(✔ This host: ).*$/m, '$1…');

describe('the shortest run', () => {
  test('ends with a receipt', () => {
    expect(run.screen()).toContain('✔ What now? Go: set it up');
    expect(exit, run.screen()).toEqual({ code: 0, signal: 0 });
    for (const proof of [
      'HTTPS',
      'WebFinger',
      'NodeInfo',
      'Actor',
      'Log-in',
      'A picture',
      'A post',
      'The picture removed',
    ])
      expect(run.screen()).toMatch(new RegExp(`^✔ ${proof}`, 'm'));
    expect(run.screen()).not.toMatch(/^[✖-]/m);
  });

  test('shows the password once', () => {
    const [, password = ''] = /^ +password +(\S+)$/m.exec(run.screen()) ?? [];
    expect(password.length).toBeGreaterThanOrEqual(12);
    expect(run.raw().split(password).length - 1).toBe(1);
    expect(run.screen()).toContain('It is shown only once.');
  });

  test('ends with the command for the same run without prompts', () => {
    const twin = run.screen().split('The same without questions:\n')[1] ?? '';
    expect(twin.replace(/\s*\\\n\s*/g, ' ').trim()).toBe(
      'fedi-setup apply --dir fedi --apps snac --snac-domain social.example.org --snac-admin anna ' +
        '--snac-email anna@example.org --mail-mode none --tls-mode internal ' +
        `--name ${site.name} --bind ${site.bind} --images-caddy ${site.env['FEDI_IMAGES_CADDY']} ` +
        `--images-restic ${site.env['FEDI_IMAGES_RESTIC']} --images-mail ${site.env['FEDI_IMAGES_MAIL']} --images-snac ${site.env['FEDI_IMAGES_SNAC']}`,
    );
  });

  test('matches docs/transcript.md', ({ skip }) => {
    const page = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '';
    const shown = BLOCK.exec(page)?.[0];
    if (shown === undefined) return skip('docs/transcript.md has no <!-- transcript --> block');
    // A failed run must not be shown.
    expect(exit.code).toBe(0);
    if (process.env['UPDATE_TRANSCRIPT'] === '1') {
      writeFileSync(
        PAGE,
        page.replace(BLOCK, () => transcript()),
      );
      return;
    }
    expect(anyHost(shown), 'UPDATE_TRANSCRIPT=1 npx vitest run --project terminal transcript').toBe(
      anyHost(transcript()),
    );
  });
});
