/** Versions of Mastodon for upgrades: layers on the stand-in, under the names of the original. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { needImages } from './acme.ts';
import { docker } from './site.ts';

export interface Version {
  /** Files of the image, relative to /opt/mastodon. */
  readonly files?: Readonly<Record<string, string>>;
  /** A further line of the Dockerfile. */
  readonly line?: string;
}

const named = (version: string, name: string): string => `ghcr.io/mastodon/${name}:v${version}`;

/** A migration in Ruby. @param body of `up` */
export const migration = (name: string, body: string): string =>
  `class ${name} < ActiveRecord::Migration[7.2]\n  def up\n    ${body}\n  end\nend\n`;

/** Builds the images of the versions. @returns removes them */
export function mastodonVersions(versions: Readonly<Record<string, Version>>): () => void {
  needImages('mastodon', 'mastodon-streaming');
  const folder = mkdtempSync(join(tmpdir(), 'fedi-versions-'));
  for (const [version, { files = {}, line = '' }] of Object.entries(versions)) {
    const context = join(folder, version);
    mkdirSync(join(context, 'app'), { recursive: true });
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(context, 'app', path)), { recursive: true });
      writeFileSync(join(context, 'app', path), text);
    }
    writeFileSync(
      join(context, 'Dockerfile'),
      `FROM fedi-setup/mastodon:trixie
USER root
COPY app /opt/mastodon/
RUN sed -i "s/VERSION = '.*'/VERSION = '${version}'/" config/application.rb
${line}
USER mastodon
`,
    );
    docker('build', '--quiet', '--tag', named(version, 'mastodon'), context);
    docker('tag', 'fedi-setup/mastodon-streaming:trixie', named(version, 'mastodon-streaming'));
  }
  rmSync(folder, { recursive: true });
  return () => {
    for (const version of Object.keys(versions))
      for (const name of ['mastodon', 'mastodon-streaming'])
        spawnSync('docker', ['rmi', '--force', named(version, name)]);
  };
}
