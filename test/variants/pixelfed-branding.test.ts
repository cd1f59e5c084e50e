/** Pixelfed's rules, banner and default avatar. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { docker, testSite } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const site = testSite('branding', 101);
const env = { ...site.env, ...pixelfedAnswers(site.domain) };
afterAll(() => site.remove());

const apply = (more: NodeJS.ProcessEnv = {}): Promise<Run> => site.apply([], { env: { ...env, ...more } });
const proofs = (run: Run): unknown[] =>
  run.events
    .filter(({ event }) => event === 'proof')
    .map(({ id, ok, seen }) => (ok === true ? id : [id, seen]));
const changed = (before: Record<string, string>): string[] =>
  Object.entries(site.containers())
    .filter(([name, id]) => before[name] !== id)
    .map(([name]) => name)
    .toSorted();
const http = () => client(site.bind, site.read('trust/root.crt'));

describe.sequential('a site with Pixelfed', () => {
  test('is set up', async () => {
    const run = await apply();
    expect([run.code, run.stderr]).toEqual([0, '']);
  });

  test('rules, banner and default avatar: checked before anything is written, shown, replaced, removed', async () => {
    const picture = (width: number, height: number, how: string, blue: number): Buffer =>
      Buffer.from(
        docker('exec', site.containers()['pixelfed_web'] ?? 'none', 'php', '-r', `$p = imagecreatetruecolor(${width}, ${height}); imagefill($p, 0, 0, imagecolorallocate($p, 9, 9, ${blue})); ob_start(); image${how}($p); echo base64_encode(ob_get_clean());`), // prettier-ignore
        'base64',
      );
    const banner = join(site.folder, '..', 'my banner.png');
    const avatar = join(site.folder, '..', 'avatar');
    const named = {
      FEDI_PIXELFED_BANNER: banner,
      FEDI_PIXELFED_AVATAR: avatar,
      FEDI_PIXELFED_RULES: 'Be kind; No "advertising" for $',
    };
    const before = site.containers();
    const files = site.read('.fedi/manifest.json');
    const refused = async (): Promise<string> => {
      const run = await apply(named);
      expect([run.code, site.read('.fedi/manifest.json'), site.containers()]).toEqual([2, files, before]);
      return run.stderr;
    };
    writeFileSync(avatar, 'no picture');
    expect(await refused()).toMatch(/Banner: .*my banner\.png cannot be read: there is no such file\.[\s\S]*Default avatar: .*avatar is not a complete JPEG or PNG picture\./); // prettier-ignore
    writeFileSync(banner, picture(1920, 1081, 'png', 1));
    writeFileSync(avatar, picture(300, 200, 'jpeg', 1));
    expect(await refused()).toMatch(/is 1920×1081; it must be 1920×1080\.[\s\S]*is 300×200; it must be square\./); // prettier-ignore

    const first = picture(1920, 1080, 'png', 1);
    writeFileSync(banner, first);
    writeFileSync(avatar, picture(300, 300, 'jpeg', 1));
    const run = await apply(named);
    expect([run.code, run.stderr]).toEqual([0, '']);
    expect(proofs(run)).toEqual(expect.arrayContaining(['instance', 'banner', 'avatar']));
    expect(changed(before)).toEqual(['pixelfed_horizon', 'pixelfed_scheduler', 'pixelfed_web']);
    const ask = http();
    const instance = (await ask(`https://${site.domain}/api/v1/instance`)).json<{
      rules: unknown;
      thumbnail: string;
    }>();
    expect(instance.rules).toEqual([
      { id: '1', text: 'Be kind' },
      { id: '2', text: 'No "advertising" for $' },
    ]);
    const at = new URL(instance.thumbnail, `https://${site.domain}`).href;
    const shown = await ask(at);
    expect(shown.body.equals(first)).toBe(true);
    expect(shown.headers).toMatchObject({ 'content-type': 'image/png', 'cache-control': 'no-cache' });
    const etag = String(shown.headers['etag']);
    expect((await ask(at, { headers: { 'If-None-Match': etag } })).status).toBe(304);
    expect((await ask(`https://${site.domain}/storage/avatars/default.png`)).headers['content-type']).toBe('image/jpeg'); // prettier-ignore

    // A new picture in the same file also replaces a cached one; no container changes.
    const running = site.containers();
    writeFileSync(banner, picture(1920, 1080, 'jpeg', 200));
    expect((await apply(named)).code).toBe(0);
    expect(site.containers()).toEqual(running);
    const second = await ask(at, { headers: { 'If-None-Match': etag } });
    expect([second.status, second.headers['content-type']]).toEqual([200, 'image/jpeg']);

    // The file may be removed: the site has a copy. Another path to a missing file is still refused.
    rmSync(banner);
    rmSync(avatar);
    expect((await apply()).events.map(({ event }) => event)).toEqual(['begin', 'unchanged', 'end']);
    expect((await apply({ FEDI_PIXELFED_BANNER: `${banner}-2` })).stderr).toContain('there is no such file');
    // An edited picture of the site is detected like any other file.
    const edited = join(site.folder, 'caddy/pictures/pixelfed-banner.jpg');
    const ours = readFileSync(edited);
    writeFileSync(edited, first);
    expect((await apply()).code).toBe(3);
    writeFileSync(edited, ours);

    const answers = join(site.folder, 'fedi.yaml');
    writeFileSync(answers, site.read('fedi.yaml').replaceAll(/^ +(banner|avatar|rules): .*\n/gm, ''));
    expect((await apply()).code).toBe(0);
    const gone = await ask(at);
    expect([gone.status, gone.body.equals(ours)]).toEqual([200, false]);
    expect((await ask(`https://${site.domain}/api/v1/instance`)).json()).toMatchObject({ rules: [] });
  });
});
