/** A site with snac that is backed up to a directory beside it, and helpers to inspect both. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { needImages } from './acme.ts';
import { docker, environment, testSite, tool } from './site.ts';
import type { Run, RunOptions, TestSite } from './site.ts';

needImages('restic');

export interface BackedSite {
  readonly site: TestSite;
  /** Directory of the site, the repository and the sheet. */
  readonly parent: string;
  readonly repository: string;
  readonly sheet: string;
  readonly image: string;
  /** Runs a command on the site, without its answers in the environment. */
  run(argv: readonly string[], options?: RunOptions): Promise<Run>;
  /** Sets the site up, with a note from before the backup. */
  setUp(): Promise<void>;
  /** The texts of all notes. */
  notes(): string;
  note(text: string): void;
  /** Hash, owner and mode of every file in a volume, without the logs and the queue of snac, which change while it runs. */
  filesIn(volume: string): string;
  /** The volumes of the site. */
  volumes(): string[];
  /** Runs restic on the repository, as its owner would without fedi-setup. */
  restic(...argv: string[]): string;
}

/** @param address see {@link testSite} */
export function backedSite(name: string, address: number): BackedSite {
  const site = testSite(name, address);
  const parent = join(site.folder, '..');
  const repository = join(parent, 'repository');
  const image = String(site.env['FEDI_IMAGES_RESTIC']);
  const inSnac = (...argv: string[]): string => docker('exec', site.containers()['snac'] as string, ...argv);
  const password = (): string => {
    const { secrets } = JSON.parse(readFileSync(join(site.folder, 'secrets.json'), 'utf8')) as {
      secrets: Record<string, { value: string }>;
    };
    return secrets['backup.password']?.value ?? '';
  };
  const note = (text: string): void => void inSnac('snac', 'note', '/data', 'anna', text);
  return {
    site,
    parent,
    repository,
    sheet: join(parent, 'sheet.yaml'),
    image,
    run: (argv, options = {}) =>
      tool([...argv, '--dir', site.folder], { env: environment({ FEDI_IMAGES_RESTIC: image }), ...options }),
    setUp: async () => {
      const first = await site.apply(['--backup-to', repository]);
      if (first.code !== 0) throw new Error(first.stderr);
      note('written before the backup');
    },
    notes: () => inSnac('sh', '-c', 'cat /data/user/anna/public/*.json'),
    note,
    filesIn: (volume) =>
      docker(
        ...`run --rm --network none --volume ${site.name}_${volume}:/v:ro --entrypoint sh ${image} -c`.split(
          ' ',
        ),
        'cd /v && find . -type f ! -path "*/log/*" ! -path "*/queue/*" -exec sha256sum {} + -exec stat -c "%n %u:%g %a" {} + | sort',
      ),
    volumes: () =>
      docker('volume', 'ls', '--quiet', '--filter', `label=com.docker.compose.project=${site.name}`)
        .split('\n')
        .toSorted(),
    restic: (...argv) =>
      docker(
        ...`run --rm --network none --volume ${repository}:/r --env RESTIC_REPOSITORY=/r --entrypoint restic`.split(
          ' ',
        ),
        '--env',
        `RESTIC_PASSWORD=${password()}`,
        image,
        '--no-cache',
        ...argv,
      ),
  };
}
