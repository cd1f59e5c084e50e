/** Versions of an app for upgrades: layers on its stand-in, under the names of the original. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { needImages } from './acme.ts';
import { docker } from './site.ts';

export interface Version {
  /** Files of the image, relative to the directory of the app. */
  readonly files?: Readonly<Record<string, string>>;
  /** A further line of the Dockerfile. */
  readonly line?: string;
}

interface Base {
  /** Repository of the original. */
  readonly repository: string;
  /** Name of the stand-in. */
  readonly standIn: string;
  readonly folder: string;
  readonly user: string;
  /** File with the version between quotes. */
  readonly versionIn: string;
  /** Images that only get another tag: name of the stand-in → repository. */
  readonly tagged: Readonly<Record<string, string>>;
}

const BASES = {
  mastodon: {
    repository: 'ghcr.io/mastodon/mastodon',
    standIn: 'mastodon',
    folder: '/opt/mastodon',
    user: 'mastodon',
    versionIn: 'config/application.rb',
    tagged: { 'mastodon-streaming': 'ghcr.io/mastodon/mastodon-streaming' },
  },
  pixelfed: {
    repository: 'ghcr.io/pixelfed/pixelfed',
    standIn: 'pixelfed',
    folder: '/var/www/html',
    user: 'www-data',
    versionIn: 'standin/laravel.php',
    tagged: {},
  },
} as const satisfies Record<string, Base>;

/** A migration of Rails. @param body of `up` */
export const railsMigration = (name: string, body: string): string =>
  `class ${name} < ActiveRecord::Migration[7.2]\n  def up\n    ${body}\n  end\nend\n`;

/** Adds migrations to Pixelfed's stand-in, one for each statement, and lists all of them as the original does. */
export function laravelMigrations(...statements: readonly string[]): Version {
  const rows = statements
    .map((sql, i) => `\\n    '2026_07_0${i + 1}_000000_upgrade' => ['${sql}'],`)
    .join('');
  return {
    line: `RUN sed -i "s/^const MIGRATIONS = \\[/&${rows}/" standin/schema.php && mkdir -p database/migrations && for name in $(grep -o "'20[0-9]*_[0-9_a-z]*' =>" standin/schema.php | tr -d "'=> "); do touch "database/migrations/$name.php"; done`,
  };
}

/** Builds the images of the versions. @returns removes them */
export function appVersions(
  app: keyof typeof BASES,
  versions: Readonly<Record<string, Version>>,
): () => void {
  const { repository, standIn, folder, user, versionIn, tagged }: Base = BASES[app];
  needImages(standIn, ...Object.keys(tagged));
  const parent = mkdtempSync(join(tmpdir(), 'fedi-versions-'));
  for (const [version, { files = {}, line = '' }] of Object.entries(versions)) {
    const context = join(parent, version);
    mkdirSync(join(context, 'app'), { recursive: true });
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(context, 'app', path)), { recursive: true });
      writeFileSync(join(context, 'app', path), text);
    }
    writeFileSync(
      join(context, 'Dockerfile'),
      `FROM fedi-setup/${standIn}:trixie
USER root
COPY app ${folder}/
RUN sed -i "s/VERSION = '.*'/VERSION = '${version}'/" ${versionIn}
${line}
USER ${user}
`,
    );
    docker('build', '--quiet', '--tag', `${repository}:v${version}`, context);
    for (const [name, other] of Object.entries(tagged))
      docker('tag', `fedi-setup/${name}:trixie`, `${other}:v${version}`);
  }
  rmSync(parent, { recursive: true });
  return () => {
    for (const version of Object.keys(versions))
      for (const one of [repository, ...Object.values(tagged)])
        spawnSync('docker', ['rmi', '--force', `${one}:v${version}`]);
  };
}
