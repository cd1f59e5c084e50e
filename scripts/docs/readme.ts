/** The generated parts of README.md. */
import { APPS } from '../../wizard/apps/index.ts';
import { commandTable } from './commands.ts';
import { exitTable } from './exit-codes.ts';
import { table } from './words.ts';

const SITES: Readonly<Record<string, string>> = {
  mastodon: 'https://joinmastodon.org',
  pixelfed: 'https://pixelfed.org',
  snac: 'https://codeberg.org/grunfink/snac2',
};

const appTable = (): string =>
  table(
    ['app', 'for', 'memory, at least', 'disk, at least'],
    APPS.map(({ id, name, about, minimum: { memoryMiB, diskGiB } }) => [
      SITES[id] === undefined ? name : `[${name}](${SITES[id]})`,
      about.replace(/; [^;]* of memory.*$/, '').replace(/^for /, ''),
      // Hosts are sold with whole gigabytes.
      memoryMiB < 1024 ? `${memoryMiB} MB` : `${Math.ceil(memoryMiB / 1024)} GB`,
      `${diskGiB} GB`,
    ]),
  );

/**
 * The short form of the transcript: the questions, the proofs and the log-in.
 * @param transcript the text of docs/transcript.md
 */
export function shortTranscript(transcript: string): string {
  const [first = '', ...rest] = /^```console\n([^]*?)^```$/m.exec(transcript)?.[1]?.split('\n') ?? [];
  const shown = [first];
  let isLogin = false;
  for (const line of rest) {
    const begins = /^ {2}\S+: https:/.test(line);
    isLogin = begins || (isLogin && line !== '');
    if (begins) shown.push('');
    if (isLogin || /^[✔=✖] /.test(line)) shown.push(line);
    if (line.startsWith('✔ What now?')) shown.push('');
  }
  return `\`\`\`console\n${shown.join('\n')}\n\`\`\``;
}

/** Name of a block → text. */
const blocks = async (transcript: string): Promise<Readonly<Record<string, string>>> => ({
  apps: appTable(),
  screen: shortTranscript(transcript),
  commands: await commandTable('docs/reference/commands.md'),
  'exit-codes': exitTable(),
});

/** README.md with its blocks `<!-- NAME: … -->` up to `<!-- /NAME -->` as they should be. Throws if one is missing. */
export async function readmeText(readme: string, transcript: string): Promise<string> {
  let text = readme;
  for (const [name, content] of Object.entries(await blocks(transcript))) {
    const block = new RegExp(`(<!-- ${name}: npm run env-example -->\n)[^]*?(?=<!-- /${name} -->)`);
    if (!block.test(text)) throw new Error(`README.md has no block ${name}`);
    text = text.replace(block, (_, begin: string) => `${begin}${content}\n`);
  }
  return text;
}
