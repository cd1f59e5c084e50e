/** Pixelfed's rules, banner, default avatar and instance information. */
import { createHash } from 'node:crypto';
import type { AppConfig } from '../../config/config.ts';
import type { Parsed } from '../../config/parse.ts';
import { parseLine, parsePath } from '../../config/parse.ts';
import type { Picture } from '../../config/picture.ts';
import type { Question } from '../../config/question.ts';
import { readProgram } from '../../assets.ts';
import { PICTURES } from '../../layout.ts';
import { PICTURE_BYTES, expectStatus } from '../../prove/http.ts';
import type { Proof, ProofContext } from '../../prove/proof.ts';
import type { AppPicture, AppStep } from '../app.ts';
import type { PixelfedOptions } from './options.ts';
import { laravel } from './php.ts';

const key = (name: string): string => `apps.pixelfed.${name}`;

/** Limit of its settings page, which takes rules of 5 to 1000 characters. */
const MOST_RULES = 30;

/** `Be kind; no nudity`. */
export function parseRules(text: string): Parsed<string> {
  const rules = text
    .split(';')
    .map((rule) => rule.trim())
    .filter(Boolean);
  if (rules.length === 0) return { problem: 'Enter at least one rule.' };
  if (rules.length > MOST_RULES)
    return { problem: `${rules.length} rules; Pixelfed accepts at most ${MOST_RULES}.` };
  for (const [i, rule] of rules.entries()) {
    const line = parseLine(rule, 1000);
    if ('problem' in line) return { problem: `Rule ${i + 1}: ${line.problem}` };
    if (rule.length < 5)
      return { problem: `Rule ${i + 1}, “${rule}”, is too short: use at least 5 characters.` };
  }
  return { value: rules.join('; ') };
}

const BANNER = { width: 1920, height: 1080 } as const;
const KIB = 1024;

/** Applies the size limit of Pixelfed's own upload form. */
const tooBig = ({ bytes }: Picture, most: number): string | undefined =>
  bytes > most * KIB ? `has ${Math.ceil(bytes / KIB)} KiB; the limit is ${most}` : undefined;

export const pixelfedPictures: readonly AppPicture[] = [
  {
    name: 'banner',
    what: 'Banner',
    problem: (picture) =>
      picture.width === BANNER.width && picture.height === BANNER.height
        ? tooBig(picture, 5000)
        : `is ${picture.width}×${picture.height}; it must be ${BANNER.width}×${BANNER.height}`,
  },
  {
    name: 'avatar',
    what: 'Default avatar',
    problem: (picture) =>
      picture.width !== picture.height
        ? `is ${picture.width}×${picture.height}; it must be square`
        : picture.width < 200
          ? `is ${picture.width}×${picture.height}; the minimum is 200×200`
          : tooBig(picture, 2000),
  },
];

export const brandingQuestions: readonly Question[] = [
  {
    key: key('rules'),
    topic: 'more',
    message: 'Rules of the server',
    help: 'Shown to people who sign up. Separate rules with semicolons: Be kind; No advertising.',
    parse: parseRules,
    optional: true,
  },
  {
    key: key('banner'),
    topic: 'more',
    message: 'Banner of the server',
    help: `Path of a JPEG or PNG of exactly ${BANNER.width}×${BANNER.height}, at most 5000 KiB, for the front page and link previews.`,
    more: 'It is copied into the site. If you change the file, run this again. Default: Pixelfed’s own.',
    parse: parsePath,
    optional: true,
  },
  {
    key: key('avatar'),
    topic: 'more',
    message: 'Default avatar',
    help: 'Path of a square JPEG or PNG, at most 2000 KiB, for users without an avatar. Default: Pixelfed’s own.',
    parse: parsePath,
    optional: true,
  },
];

/** Cache keys of its instance information, kept for up to a week. Clearing the whole cache would log everybody out. */
const KEPT = [
  'api:v1:instance-data:rules',
  'api:v1:instance-data-response-v1',
  'api:v2:instance-data-response-v2',
];

export const brandingStep = (hint: string): AppStep => ({
  id: 'pixelfed.said',
  title: 'Instance information up to date',
  service: 'pixelfed_web',
  check: { ...laravel('cached-instance.php', { keys: KEPT.join(','), act: 0 }), prints: 'current' },
  act: laravel('cached-instance.php', { keys: KEPT.join(','), act: 1 }),
  hint,
});

/** Answer of the instance API. */
export interface InstanceTexts {
  readonly title?: string;
  readonly rules?: readonly { readonly text: string }[];
}

/** Throws unless name and rules are those of the options; returns the evidence. */
export function expectTexts(options: PixelfedOptions, { title, rules }: InstanceTexts): string {
  const { title: name, rules: wanted } = options;
  if (title !== name) throw new Error(`it is named ${title ?? 'nothing'}, not ${name}`);
  const present = (rules ?? []).map(({ text }) => text);
  if (wanted.length > 0 && present.join('\n') !== wanted.join('\n'))
    throw new Error(`its rules are ${present.length === 0 ? 'none' : present.join('; ')}`);
  return wanted.length === 0 ? name : `${name}, ${wanted.length} rules`;
}

/** URLs at which visitors and other servers find the pictures. @param base `https://…` */
const SHOWN: Readonly<Record<string, (http: ProofContext['http'], base: string) => Promise<string>>> = {
  banner: async (http, base) => {
    const { thumbnail } = (await http(`${base}/api/v1/instance`)).json<{ thumbnail?: string }>();
    return new URL(thumbnail ?? '/', base).href;
  },
  avatar: (_, base) => Promise.resolve(`${base}/storage/avatars/default.jpg`),
};

export function pictureProofs(
  { http, inside }: ProofContext,
  { pictures }: AppConfig,
  base: string,
): Proof[] {
  return pixelfedPictures
    .filter(({ name }) => pictures[name] !== undefined)
    .map(({ name, what }) => ({
      id: name,
      title: `${what}: your file`,
      run: async () => {
        const url = (await SHOWN[name]?.(http, base)) ?? base;
        const reply = await http(url, { most: PICTURE_BYTES });
        expectStatus(reply, 200, url);
        const { stdout } = await inside('caddy', {
          argv: [
            'sh',
            '-c',
            readProgram('apps/pixelfed/programs/hash-picture.sh'),
            'sh',
            `/etc/${PICTURES}/pixelfed-${name}`,
          ],
        });
        if (stdout.split(' ')[0] !== createHash('sha256').update(reply.body).digest('hex'))
          throw new Error(`${url} shows another picture`);
        return `${reply.body.length} bytes, ${String(reply.headers['content-type'])}, at ${new URL(url).pathname}`;
      },
    }));
}
