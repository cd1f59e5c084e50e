/** A site rendered from answers alone, with secrets that are the same in every run (test/golden/secrets.json). */
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { APP_IDS } from '../../wizard/apps/index.ts';
import { configOf } from '../../wizard/answers/config.ts';
import type { Value } from '../../wizard/config/question.ts';
import { questionsFor } from '../../wizard/answers/questions.ts';
import { resolve } from '../../wizard/answers/resolve.ts';
import { saveInto, worthSaving } from '../../wizard/answers/save.ts';
import { wantedImages } from '../../wizard/plan/lock.ts';
import type { Lock } from '../../wizard/plan/lock.ts';
import { renderSite } from '../../wizard/render/site.ts';
import type { RenderedSite } from '../../wizard/render/site.ts';
import { STORE_FILE, Store } from '../../wizard/secrets/store.ts';
import { tempFolder } from './temp.ts';

const SECRETS = fileURLToPath(new URL('../golden/secrets.json', import.meta.url));

/** Values of those secrets, by name. */
export const SECRET_VALUES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(
    (JSON.parse(readFileSync(SECRETS, 'utf8')) as { secrets: Record<string, { value: string }> }).secrets,
  ).map(([name, { value }]) => [name, value]),
);

export interface RenderOptions {
  readonly images?: 'loaded' | 'pulled';
  readonly custom?: string;
  readonly noProxy?: readonly string[];
  /** PEM of the file that `trust.ca` names. */
  readonly ownCas?: string;
}

const digest = (index: number): string => `sha256:${(index % 16).toString(16).repeat(64)}`;

/** Answers by key, as in fedi.yaml with dots → the site. They must be complete. */
export async function render(
  answers: Readonly<Record<string, string>>,
  { images = 'pulled', custom = '', noProxy, ownCas }: RenderOptions = {},
): Promise<RenderedSite> {
  const resolved = await resolve([
    new Map(Object.entries(answers).map(([key, text]) => [key, { text, from: 'the test' }])),
  ]);
  // Passwords and keys are in the store already.
  const secret = new Set(
    questionsFor(APP_IDS)
      .filter((row) => row.secret)
      .map(({ message }) => message),
  );
  expect(
    resolved.problems.filter((problem) => ![...secret].some((message) => problem.startsWith(message))),
  ).toEqual([]);
  const config = configOf(resolved.answers);
  const folder = tempFolder();
  copyFileSync(SECRETS, join(folder, STORE_FILE));
  const lock: Lock = Object.fromEntries(
    Object.entries(wantedImages(config)).map(([name, { reference }], i) => {
      const id = digest(10 + i);
      return [
        name,
        images === 'pulled'
          ? { tag: reference, digest: id }
          : { tag: reference, id, source: 'loaded' as const },
      ];
    }),
  );
  const saved: [string, Value][] = worthSaving(questionsFor(config.apps.map(({ id }) => id)), resolved);
  return renderSite({
    config,
    store: await Store.open(folder),
    lock,
    answersText: saveInto(undefined, saved),
    customCaddy: custom,
    noProxy,
    ownCas,
  });
}
