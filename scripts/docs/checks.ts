/** The text of docs/reference/checks.md, from the table of checks and the proofs of the apps. */
import { resolve } from '../../wizard/answers/resolve.ts';
import { APPS, namesOf } from '../../wizard/apps/index.ts';
import type { App } from '../../wizard/apps/app.ts';
import type { Check } from '../../wizard/checks/check.ts';
import { CHECKS } from '../../wizard/checks/table.ts';
import { configOf } from '../../wizard/answers/config.ts';
import { appConfig } from '../../wizard/config/config.ts';
import type { Config } from '../../wizard/config/config.ts';
import { TLS_MODES } from '../../wizard/ingress/tls.ts';
import type { Proof, ProofContext } from '../../wizard/prove/proof.ts';
import { gatesOf } from '../../wizard/prove/prove.ts';
import { Secret } from '../../wizard/secrets/secret.ts';
import { code, generated, table } from './words.ts';

const PHASES: Readonly<Record<Check['phase'], string>> = {
  before: 'before anything is written',
  inside: 'when the images are there',
  site: 'only by `doctor`, on an existing site',
};

const DATABASE_URL = 'mysql://u:p@db.example.org/pixelfed?ssl-mode=VERIFY_IDENTITY';

/** What adds proofs to an app: in words, and the answers without it. */
const REASONS: readonly { readonly words: string; readonly without: Readonly<Record<string, string>> }[] = [
  { words: 'mail is sent', without: { 'mail.mode': 'none' } },
  {
    words: 'media are in a bucket',
    without: { 'apps.mastodon.media': 'local', 'apps.pixelfed.media': 'local' },
  },
  { words: 'there are several apps', without: { apps: '' } },
  { words: 'you gave a banner', without: { 'apps.pixelfed.banner': '' } },
  { words: 'you gave an avatar', without: { 'apps.pixelfed.avatar': '' } },
  { words: 'the external database requires TLS', without: { 'apps.pixelfed.database': 'mariadb' } },
];

/** A site with all apps and everything that adds a proof. */
const EVERYTHING: Readonly<Record<string, string>> = {
  apps: APPS.map(({ id }) => id).join(','),
  'mail.mode': 'smtp',
  'mail.host': 'mail.example.org',
  'apps.pixelfed.banner': '/banner.jpg',
  'apps.pixelfed.avatar': '/avatar.png',
  'apps.pixelfed.database': 'external',
  ...Object.fromEntries(
    APPS.flatMap(({ id }) => [
      [`apps.${id}.domain`, `${id}.example.org`],
      [`apps.${id}.admin`, 'anna'],
      [`apps.${id}.email`, 'anna@example.org'],
    ]),
  ),
  ...Object.fromEntries(
    ['mastodon', 'pixelfed'].flatMap((id) => [
      [`apps.${id}.media`, 's3'],
      [`apps.${id}.s3.bucket`, 'media'],
      [`apps.${id}.s3.access-key`, 'key'],
    ]),
  ),
};

async function configWith(given: Readonly<Record<string, string>>): Promise<Config> {
  const source = new Map(
    Object.entries({ ...EVERYTHING, ...given }).map(([key, text]) => [key, { text, from: key }]),
  );
  const { answers, problems } = await resolve([source]);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return configOf(answers);
}

const unused = (): never => {
  throw new Error('a proof was run to describe it');
};

/** The proofs of an app in the first run. Describing them runs none. */
function proofsOf({ id, proofs }: App, config: Config): readonly Proof[] {
  const context: ProofContext = {
    config,
    http: Object.assign(unused, { socket: unused }),
    secret: () => new Secret(DATABASE_URL),
    first: true,
    mail: true,
    inside: unused,
    recentLogs: unused,
  };
  return proofs(context, appConfig(config, id));
}

async function proofTable(app: App): Promise<string> {
  const full = proofsOf(app, await configWith({}));
  const reasons = new Map<string, string>();
  for (const { words, without } of REASONS) {
    const fewer = await configWith('apps' in without ? { apps: app.id } : without);
    const left = new Set(proofsOf(app, fewer).map(({ id }) => id));
    for (const { id } of full) if (!left.has(id)) reasons.set(id, words);
  }
  return table(
    ['proof', 'title', 'only if'],
    full.map(({ id, title }) => [code(id), title, reasons.get(id) ?? '']),
  );
}

async function gateTable(): Promise<string> {
  const rows = TLS_MODES.map(async ({ id: mode }) => {
    const config = await configWith({
      apps: 'snac',
      'tls.mode': mode,
      'tls.directory': 'https://ca.example.org/',
    });
    const [app] = config.apps;
    const gates = gatesOf(
      config,
      { names: app === undefined ? [] : namesOf(app), live: true },
      {
        runtime: {} as never,
        ingress: '127.0.0.1',
        ca: undefined,
        http: Object.assign(unused, { socket: unused }),
      },
    );
    return [
      code(mode),
      gates.map(({ proof: { id, title } }) => `${code(id)}: ${title}`).join('<br>') || 'none',
    ];
  });
  return table(['`tls.mode`', 'proofs that come first'], await Promise.all(rows));
}

export async function checksText(): Promise<string> {
  const proofs = await Promise.all(APPS.map(async (app) => `### ${app.name}\n\n${await proofTable(app)}`));
  return `${generated('wizard/checks and the proofs of the apps')}
# Checks and proofs

A **check** is a test of the host and of its Docker engine. A **proof** is a test of the running site, as a user or another
server sees it.

## Checks

A check finds nothing, a warning or a blocker, and may give advice. Before a change, blockers end the run with exit 4: all are
listed, each with what was observed and what to do. Warnings are shown; on a terminal you are asked once whether to continue. The
review of the wizard can run the checks too. \`--skip-check ID,ID\` skips checks.

\`fedi-setup doctor\` runs all of them at any time, and exits 1 if it finds a blocker (4 if the engine cannot be used). It
shows warnings with \`!\` and advice with \`·\`; advice is about a site that works and could work better. Of an existing site,
a blocker is also a part that does not work, such as jobs without a worker. A check that takes longer than a minute is given up,
unless it reads all uploads or measures volumes.

\`doctor --fix\` repairs what has a safe repair: it gives uploads of another owner back to the app (in your own data directory
only files of root), makes them readable for everybody, restores missing default pictures, closes secrets that others can read, runs
missing migrations, and leaves one container of a service that must have only one.

Checks contact only servers that the site needs. For \`internal\` certificates no name is looked up and nothing is fetched.

${table(
  ['check', 'looks at', 'when'],
  CHECKS.map(({ id, about, phase }) => [code(id), about, PHASES[phase]]),
)}

On a host with little memory, \`--swap GB\` (as root) creates a swap file, \`/swapfile\`, and adds it to \`/etc/fstab\`. On a
terminal it is offered. It stays when the site is removed.

Before the first write, a run also tests what you run elsewhere: [external databases](../guides/external-databases.md) from
inside a container, [buckets](../guides/s3.md#the-test) from the host, and the [mail server](../guides/mail.md#the-test) from inside a
container, the last two if their settings are new or changed. A failure ends it with exit 2. \`--skip-check bucket\` and
\`--skip-check mail\` skip these tests; the receipt then says so.

## Proofs

Every run that changes the site ends with all proofs. \`fedi-setup prove\` runs them at any time. The results are saved as a
receipt in \`.fedi/receipts\`. If a proof fails, the site runs, and the exit code is 5.

A proof that depends on a failed one is skipped. The first proofs depend on the kind of certificates:

${await gateTable()}

The titles below are those of the first run, for the account \`anna\`. Later \`prove\` uses a token for ten minutes instead of the
password, because you may have changed it; snac has no such token. The mail is sent in the first run, after a change of the mail
settings, until one is accepted, and by \`prove --mail\`.

${proofs.join('\n\n')}
`;
}
