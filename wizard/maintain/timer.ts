/** Runs `fedi-setup maintain` every hour, and `maintain check` every few minutes: by systemd timers, or by cron. */
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { assetPath, shellQuoted } from '../assets.ts';
import { cannotWrite, exists } from '../atomic.ts';
import { run } from '../docker/run.ts';
import { OWN } from '../layout.ts';
import { EXIT, Problem, codeOf } from '../problem.ts';
import { CHECK_MINUTES } from '../uptime-record.ts';

/** How it is started. `none`: neither systemd nor cron can be used. */
export type Scheduler = 'systemd' | 'cron' | 'none';

/** The copy of this version that the timer runs. */
export const toolFolder = (folder: string): string => join(folder, OWN, 'tool');

/** What the timer starts. */
export interface Job {
  /** Name of the Compose project. */
  readonly site: string;
  readonly folder: string;
  /** Absolute path of Node. */
  readonly node: string;
  /** The user who owns the site. */
  readonly user: string;
  /** Socket of the engine, if it is not Docker's default. */
  readonly dockerHost?: string | undefined;
  /** Also start `maintain check` every few minutes, for the status page. */
  readonly checks?: boolean;
}

/** What is started, and when. */
type Task = 'maintain' | 'check';

const tasksOf = ({ checks }: Pick<Job, 'checks'>): readonly Task[] =>
  checks === true ? ['maintain', 'check'] : ['maintain'];

export const jobFor = (site: string, folder: string, checks: boolean, dockerHost?: string): Job => ({
  site,
  folder,
  node: process.execPath,
  user: userInfo().username,
  dockerHost,
  checks,
});

const UNITS = '/etc/systemd/system';
/** No name of a site has a dot. */
const unitOf = ({ site }: Pick<Job, 'site'>, task: Task): string =>
  `fedi-setup-${site}${task === 'check' ? '.check' : ''}`;
const SEARCH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const programOf = ({ folder }: Job): string => join(toolFolder(folder), 'dist', 'fedi-setup.js');

/** Copies the parts of the package that a run needs: no other version, and no network, is involved later. */
export async function copyTool(folder: string): Promise<void> {
  const target = toolFolder(folder);
  const fresh = `${target}.new`;
  try {
    await rm(fresh, { recursive: true, force: true });
    await mkdir(fresh, { recursive: true, mode: 0o700 });
    for (const name of ['dist', 'compose', 'caddy', 'wizard', 'package.json'])
      await cp(assetPath(name), join(fresh, name), {
        recursive: true,
        // In a clone wizard/ has the sources too.
        filter: (path) => name !== 'wizard' || !path.endsWith('.ts'),
      });
    await rm(target, { recursive: true, force: true });
    await rename(fresh, target);
  } catch (error) {
    throw cannotWrite(target, error);
  }
}

/** Escapes for ExecStart= (systemd.service): quotes, backslashes, and the specifiers % and $. */
const unitQuoted = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;

/** The command of a task, without Node. */
const wordsOf = (job: Job, task: Task): readonly string[] => [
  programOf(job),
  'maintain',
  ...(task === 'check' ? ['check'] : []),
  '--dir',
  job.folder,
];

export const unitTexts = (job: Job): Record<string, string> =>
  Object.assign({}, ...tasksOf(job).map((task) => unitsFor(job, task))) as Record<string, string>;

function unitsFor(job: Job, task: Task): Record<string, string> {
  const words = [job.node, ...wordsOf(job, task)];
  const what = `${task === 'check' ? 'Check' : 'Maintain'} the fediverse site ${job.site}`;
  return {
    [`${unitOf(job, task)}.service`]: `# Written by \`fedi-setup maintain install\`; \`fedi-setup maintain remove\` removes it.
[Unit]
Description=${what}
After=docker.service network-online.target
Wants=network-online.target

[Service]
Type=oneshot
User=${job.user}
Environment=PATH=${SEARCH}${job.dockerHost === undefined ? '' : `\nEnvironment=${unitQuoted(`DOCKER_HOST=${job.dockerHost}`)}`}
ExecStart=${words.map(unitQuoted).join(' ')}
Nice=10
TimeoutStartSec=${task === 'check' ? '2min' : 'infinity'}
`,
    [`${unitOf(job, task)}.timer`]: `# Written by \`fedi-setup maintain install\`; \`fedi-setup maintain remove\` removes it.
[Unit]
Description=${what} every ${task === 'check' ? `${CHECK_MINUTES} minutes` : 'hour'}

[Timer]
${task === 'check' ? `OnCalendar=*:0/${CHECK_MINUTES}` : 'OnCalendar=hourly\nRandomizedDelaySec=20min\nPersistent=true'}

[Install]
WantedBy=timers.target
`,
  };
}

/** The end of our line in a crontab. */
const markOf = ({ site, folder }: Pick<Job, 'site' | 'folder'>): string => ` # fedi-setup ${site} ${folder}`;

/** The lines of a crontab. In them, % ends the command unless it is escaped. */
export function cronLines(job: Job): readonly string[] {
  const minute = (createHash('sha256').update(job.folder).digest()[0] ?? 0) % 60;
  const host = job.dockerHost === undefined ? '' : `DOCKER_HOST=${shellQuoted(job.dockerHost)} `;
  return tasksOf(job).map((task) => {
    const words = [job.node, ...wordsOf(job, task)].map(shellQuoted).join(' ');
    const command = `PATH=${SEARCH} ${host}${words} >/dev/null 2>&1${markOf(job)}`;
    const when = task === 'check' ? `${minute % CHECK_MINUTES}-59/${CHECK_MINUTES}` : minute;
    return `${when} * * * * ${command.replaceAll('%', '\\%')}`;
  });
}

/** Runs a program that may be missing. */
async function tried(
  program: string,
  argv: readonly string[],
  stdin?: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    return await run(program, argv, stdin === undefined ? {} : { stdin });
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    return { code: 127, stdout: '', stderr: `${program} is not installed` };
  }
}

const crontab = async (): Promise<string[]> => {
  const { code, stdout } = await tried('crontab', ['-l']);
  return code === 0 ? stdout.replace(/\n$/, '').split('\n') : [];
};

const isOurs =
  (job: Pick<Job, 'site' | 'folder'>) =>
  (line: string): boolean =>
    line.endsWith(markOf(job).replaceAll('%', '\\%'));

async function writeCrontab(lines: readonly string[]): Promise<boolean> {
  if (lines.every((line) => line === '')) return (await tried('crontab', ['-r'])).code === 0;
  return (await tried('crontab', ['-'], `${lines.join('\n')}\n`)).code === 0;
}

/** Installs the timer, or replaces an earlier one. */
export async function installTimer(job: Job): Promise<Scheduler> {
  await copyTool(job.folder);
  if (process.getuid?.() === 0 && (await exists('/run/systemd/system'))) {
    for (const [name, text] of Object.entries(unitTexts(job)))
      await writeFile(join(UNITS, name), text, { mode: 0o644 });
    const timers = tasksOf(job).map((task) => `${unitOf(job, task)}.timer`);
    for (const argv of [['daemon-reload'], ['enable', '--now', ...timers]]) {
      const { code, stderr } = await tried('systemctl', argv);
      if (code !== 0)
        throw new Problem(EXIT.FAILED, `systemctl ${argv.join(' ')} failed: ${stderr.trim()}`, {
          means: 'Maintenance does not run on a schedule yet.',
          next: `Fix that and run this again. \`systemctl status ${timers.join(' ')}\` shows its state.`,
        });
    }
    if (job.checks !== true) await removeUnits(job, 'check');
    return 'systemd';
  }
  const others = (await crontab()).filter((line) => !isOurs(job)(line));
  return (await writeCrontab([...others, ...cronLines(job)])) ? 'cron' : 'none';
}

/** Removes a timer of systemd. Accepts that there is none. */
async function removeUnits({ site, folder }: Pick<Job, 'site' | 'folder'>, task: Task): Promise<void> {
  const [service, timer] = ['service', 'timer'].map((type) => `${unitOf({ site }, task)}.${type}`) as [
    string,
    string,
  ];
  const text = await readFile(join(UNITS, service), 'utf8').catch(() => '');
  // Another site may have the same name.
  if (!text.includes(unitQuoted(folder)) || process.getuid?.() !== 0) return;
  await tried('systemctl', ['disable', '--now', timer]);
  await rm(join(UNITS, timer), { force: true });
  await rm(join(UNITS, service), { force: true });
  await tried('systemctl', ['daemon-reload']);
}

/** Removes the timers and the copy of the tool. Accepts that there are none. */
export async function removeTimer({ site, folder }: Pick<Job, 'site' | 'folder'>): Promise<void> {
  await removeUnits({ site, folder }, 'maintain');
  await removeUnits({ site, folder }, 'check');
  const lines = await crontab();
  const others = lines.filter((line) => !isOurs({ site, folder })(line));
  if (others.length < lines.length) await writeCrontab(others);
  await rm(toolFolder(folder), { recursive: true, force: true });
}
