/** Checks of the host and its engine: system, Docker, memory, cores, disk, clock. */
import { dirname } from 'node:path';
import { exists } from '../atomic.ts';
import { appOf, loadsOf, shareOf } from '../apps/index.ts';
import type { Share } from '../config/question.ts';
import type { AppConfig } from '../config/config.ts';
import { flagOf } from '../config/question.ts';
import { SWAP } from '../layout.ts';
import { Problem, messageOf } from '../problem.ts';
import { isOlder, numbersOf } from '../versions.ts';
import { isReserved } from '../config/addresses.ts';
import { forecast, readReadings } from '../disk-record.ts';
import { gib, sizeText } from './check.ts';
import type { CheckContext, Finding, CheckResult } from './check.ts';
import { registryOf } from './outside.ts';
import { neededPorts } from './ports.ts';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

/** Node's names of processors → Docker's. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' };

/** Platforms of the images. */
const PLATFORMS = ['amd64', 'arm64'];

export async function checkSystem({ host, info }: CheckContext): Promise<CheckResult> {
  const arch = info instanceof Problem ? (ARCHITECTURES[host.arch] ?? host.arch) : info.architecture;
  const system = info instanceof Problem ? '' : info.system;
  const found: Finding[] = [];
  if (host.platform !== 'linux' || system.startsWith('Docker Desktop')) {
    found.push({
      level: 'warning',
      what:
        host.platform === 'linux'
          ? 'Docker Desktop runs its containers in a virtual machine.'
          : `This is ${host.platform}, not Linux.`,
      means: 'It may be enough for testing, but fedi-setup was never tested there.',
      next: 'For a server, use Docker Engine on a Linux host.',
    });
  }
  if (!PLATFORMS.includes(arch)) {
    found.push({
      level: 'blocker',
      what: `Docker here runs programs for ${arch}.`,
      means:
        'The images exist only for amd64 and arm64. A 32-bit system on a 64-bit processor does not count.',
      next: 'Use a 64-bit system on one of these, or set your own images with --images-NAME.',
    });
  }
  return { seen: `${host.platform}, ${arch}${system === '' ? '' : `, ${system}`}`, found };
}

const ENGINE_MINIMUM = [20, 10] as const;
/** The first version with ip6tables enabled by default. */
const IPV6_ENGINE = 27;

export async function checkDocker({ info, folder, host, config }: CheckContext): Promise<CheckResult> {
  if (info instanceof Problem) {
    const { message, means = '', next = '' } = info;
    return { seen: message, found: [{ level: 'blocker', what: message, means, next, must: true }] };
  }
  const { version, composeVersion, rootless, mapsUsers, dataRoot, socket, chosenBy, ignored } = info;
  const found: Finding[] = [];
  const engine = numbersOf(version) ?? [];
  if (isOlder(engine, ENGINE_MINIMUM)) {
    found.push({
      level: 'blocker',
      what: `The engine ${version} is too old: at least ${ENGINE_MINIMUM.join('.')} is needed.`,
      means: 'If it is Podman, whose socket reports such versions: Podman is not supported.',
      next: 'Install Docker Engine: https://docs.docker.com/engine/install/',
    });
  }
  if (config.bind.includes(':') && isOlder(engine, [IPV6_ENGINE])) {
    found.push({
      level: 'warning',
      what: `The engine ${version} hides the addresses of IPv6 visitors.`,
      means: 'They all appear to come from one address, so limits and bans affect all of them or none.',
      next: `Update Docker to ${IPV6_ENGINE} or newer (before: "experimental" and "ip6tables" in daemon.json), or listen on IPv4 with --bind 0.0.0.0.`,
    });
  }
  if (chosenBy !== undefined) {
    found.push({
      level: 'warning',
      what: `This is not the default Docker of this host: ${chosenBy} names ${socket}.`,
      means: 'The site will run there; later commands need the same setting.',
      next: 'If you do not want that, run `docker context use default` and unset DOCKER_HOST.',
    });
  }
  if (ignored.length > 0) {
    const several = ignored.length > 1;
    found.push({
      level: 'warning',
      what: `${ignored.join(', ')} ${several ? 'are' : 'is'} set in this shell.`,
      means: `${several ? 'They are' : 'It is'} for engines on other machines. The site is set up without ${several ? 'them' : 'it'}, but \`docker\` in this shell may fail.`,
      next: `\`unset ${ignored.join(' ')}\`, and remove ${several ? 'them' : 'it'} from your profile.`,
    });
  }
  if (dataRoot.startsWith('/var/snap/')) {
    const seesFolder = folder.startsWith('/home/');
    found.push({
      level: seesFolder ? 'warning' : 'blocker',
      what: 'Docker was installed as a snap.',
      means: seesFolder
        ? 'It can read only /home, and snap updates it while the site runs.'
        : `It can read only /home, not ${folder}: the containers would see empty directories.`,
      next: '`sudo snap remove docker`, then install Docker Engine: https://docs.docker.com/engine/install/',
    });
  }
  const directories = config.apps.flatMap(({ folders }) => Object.values(folders));
  if (mapsUsers && directories.length > 0) {
    found.push({
      level: 'blocker',
      what: `Docker maps the users of containers to others (userns-remap), so it cannot give ${directories.join(', ')} to the app.`,
      means: 'The app could not write its data there.',
      next: 'Leave the data in Docker volumes, or remove userns-remap from /etc/docker/daemon.json.',
    });
  }
  if (rootless) {
    const first = await host.firstFreePort();
    const low = neededPorts(config).filter(({ port }) => port < first);
    found.push(
      low.length > 0
        ? {
            level: 'blocker',
            what: `Docker is rootless here and cannot listen on port ${low[0]?.port}: the lowest is ${first}.`,
            means: 'Caddy needs that port to serve the site.',
            next: `\`sudo sysctl net.ipv4.ip_unprivileged_port_start=80\`; to keep it, put that setting in a file in /etc/sysctl.d.`,
          }
        : {
            level: 'warning',
            what: 'Docker is rootless here.',
            means:
              'All visitors appear to come from one address, so limits and bans affect all of them or none.',
            next: 'Run Docker as root, or see “source IP” in https://docs.docker.com/engine/security/rootless/',
          },
    );
  }
  return { seen: `${version}, Compose ${composeVersion}, at ${socket}`, found };
}

/** The minimum that the site needs. */
const needed = ({ config: { apps } }: CheckContext): { memoryMiB: number; diskGiB: number } => ({
  memoryMiB: apps.reduce((sum, { id }) => sum + appOf(id).minimum.memoryMiB, 0),
  diskGiB: apps.reduce((sum, { id }) => sum + appOf(id).minimum.diskGiB, 0),
});

/** The load of each app and the sum: `Mastodon 1.9 GB, snac 256 MB: together 2.1 GB, at most 3 busy processes`. */
export function together(apps: readonly Pick<AppConfig, 'id' | 'options'>[]): string {
  const loads = loadsOf(apps);
  const memory = loads.reduce((sum, { memoryMiB }) => sum + memoryMiB, 0);
  const processes = loads.reduce((sum, one) => sum + one.processes, 0);
  const parts = loads.map(({ id, memoryMiB }) => `${appOf(id).name} ${gib(memoryMiB * MIB)}`);
  return `${parts.join(', ')}: together ${gib(memory * MIB)}, at most ${processes} busy processes`;
}

/** Flags for smaller sizes that fit each app's share of this host. */
function smaller({ config: { apps } }: CheckContext, host: Share): string[] {
  return apps.flatMap(({ id, size: now }) =>
    appOf(id).questions.flatMap((question) => {
      const size = question.byHost?.(shareOf(id, apps, host));
      return size === undefined || size === now ? [] : [`--${flagOf(question)} ${size}`];
    }),
  );
}

export async function checkMemory(context: CheckContext): Promise<CheckResult | undefined> {
  const { info, host, swapGiB, config } = context;
  if (info instanceof Problem) return undefined;
  const { memoryMiB: need } = needed(context);
  const swap = await host.swapMiB();
  const here = `${gib(info.memoryMiB * MIB)} of memory and ${gib(swap * MIB)} of swap`;
  const busy = config.apps.length > 1 ? `. Under load they use more: ${together(config.apps)}` : '';
  const least = `${config.apps.map(({ id }) => appOf(id).name).join(', ')} need${config.apps.length > 1 ? '' : 's'} at least ${gib(need * MIB)}`;
  const seen = `this host has ${here}; ${least}${busy}`;
  if (swapGiB > 0 && !host.isRoot) {
    const { file, fstab } = SWAP;
    return {
      seen,
      found: [
        {
          level: 'blocker',
          what: 'Only root can create a swap file.',
          means: 'The flag --swap asks for one.',
          next: `Run this with sudo, or omit --swap and create it yourself: \`sudo sh -c 'install -m 600 /dev/null ${file} && dd if=/dev/zero of=${file} bs=1M count=${swapGiB * 1024} && mkswap ${file} && swapon ${file} && echo "${file} none swap sw 0 0" >>${fstab}'\`.`,
          must: true,
        },
      ],
    };
  }
  if (info.memoryMiB + swap + swapGiB * 1024 >= need)
    return { seen, found: tooMuch(context, { memoryMiB: info.memoryMiB, cores: info.cpus }) };
  const offer = Math.max(1, Math.ceil((need - info.memoryMiB - swap) / 1024));
  return {
    seen,
    found: [
      {
        level: 'warning',
        what: `This host has less memory than the site needs: ${here}; ${least}.`,
        means: 'It may start, but the kernel may kill it later.',
        next: `Add memory, or swap: ${host.isRoot ? '' : 'as root, '}\`fedi-setup apply --swap ${offer}\` creates a swap file of ${offer} GB.`,
        ...(host.isRoot ? { swapGiB: offer } : {}),
      },
    ],
  };
}

/** Warns if the chosen sizes exceed the host's memory and smaller ones exist. */
function tooMuch(context: CheckContext, host: Share): Finding[] {
  const { apps } = context.config;
  const sum = loadsOf(apps).reduce((total, { memoryMiB }) => total + memoryMiB, 0);
  const flags = smaller(context, host);
  if (sum <= host.memoryMiB || flags.length === 0) return [];
  return [
    {
      level: 'warning',
      what: `Under load the apps use more memory than this host has: ${together(apps)}; it has ${gib(host.memoryMiB * MIB)}.`,
      means: 'The kernel then kills the largest process.',
      next: `Use smaller sizes: \`fedi-setup apply ${flags.join(' ')}\`; or add memory.`,
    },
  ];
}

export async function checkCores(context: CheckContext): Promise<CheckResult | undefined> {
  const { info, config } = context;
  if (info instanceof Problem) return undefined;
  const want = config.apps.reduce((sum, { id }) => sum + appOf(id).minimum.cores, 0);
  const seen = want === 0 ? `${info.cpus}` : `${info.cpus}; ${want} recommended`;
  if (info.cpus >= want) return { seen, found: [] };
  const names = config.apps.filter(({ id }) => appOf(id).minimum.cores > 0).map(({ id }) => appOf(id).name);
  return {
    seen,
    found: [
      {
        level: 'warning',
        what: `This host has ${info.cpus} processor core${info.cpus === 1 ? '' : 's'} for ${names.join(' and ')} (${together(config.apps)}).`,
        means: 'Pages are slow while images are processed and posts are delivered.',
        next: `Use a machine with ${want} cores.`,
      },
    ],
  };
}

/** A file system that is full sooner gets a warning. */
const FORECAST_DAYS = 30;
const CLEAN_UP =
  '`fedi-setup cleanup` shows what uses the space, and removes what is not needed. Otherwise, use a larger disk.';

/** Below this a file system counts as full. */
const FEW_INODES = 5000;

export async function checkDisk(context: CheckContext): Promise<CheckResult> {
  const { folder, info, exists: isThere, swapGiB } = context;
  let existing = folder;
  while (!(await exists(existing)) && dirname(existing) !== existing) existing = dirname(existing);
  // An existing site already has its images and data there.
  const data = isThere ? GIB / 2 : needed(context).diskGiB * GIB;
  const places = [
    { path: existing, what: 'the site directory', bytes: 16 * MIB, low: 0 },
    ...(info instanceof Problem
      ? []
      : [{ path: info.dataRoot, what: 'Docker’s data', bytes: data, low: isThere ? 2 * GIB : 0 }]),
    ...(swapGiB > 0 ? [{ path: '/', what: 'the swap file', bytes: swapGiB * GIB + GIB, low: 0 }] : []),
  ];
  const found: Finding[] = [];
  const seen: string[] = [];
  for (const { path, what, bytes, low } of places) {
    const space = await context.host.space(path);
    if (space === undefined) {
      seen.push(`${path} is not accessible`);
      continue;
    }
    const { freeBytes, freeInodes, inodes } = space;
    seen.push(`${gib(freeBytes)}${inodes > 0 ? ` and ${freeInodes} inodes` : ''} free in ${path}`);
    if (freeBytes < bytes) {
      found.push({
        level: 'blocker',
        what: `Only ${gib(freeBytes)} free for ${what} (${path}); ${gib(bytes)} needed.`,
        means: 'On a full disk, a database stops and may lose data.',
        next: 'Free some space there.',
      });
    } else if (freeBytes < low) {
      found.push({
        level: 'warning',
        what: `Only ${gib(freeBytes)} left for ${what} (${path}).`,
        means: 'On a full disk, a database stops and may lose data.',
        next: CLEAN_UP,
      });
    }
    if (inodes > 0 && freeInodes < FEW_INODES) {
      found.push({
        level: 'blocker',
        what: `Only ${freeInodes} inodes free for ${what} (${path}).`,
        means: 'No more files can be created there, even with free space.',
        next: 'Remove many small files there.',
      });
    }
  }
  const full = isThere ? forecast(await readReadings(folder), context.now()) : undefined;
  if (full !== undefined && full.days < FORECAST_DAYS) {
    const { path, days, perDay } = full;
    seen.push(`${path} will be full in ${Math.round(days)} days`);
    found.push({
      level: 'warning',
      what: `At the rate of the last 30 days (${sizeText(perDay)} a day), ${path} will be full in ${Math.round(days)} days.`,
      means: 'On a full disk, a database stops and may lose data.',
      next: CLEAN_UP,
    });
  }
  return { seen: seen.join('; '), found };
}

const CLOCK_WARNING_S = 30;
/** S3 accepts signatures for 15 minutes, Mastodon for an hour (measured, see its signed_request.rb); a TOTP code is valid for 30 s. */
const CLOCK_BLOCKER_S = 300;

const TIME_FIX =
  '`sudo timedatectl set-ntp true`, or install chrony. On a virtual machine, check its host’s clock too.';

/** Asks only servers that the site needs anyway; otherwise uses the system's NTP status. */
export async function checkClock({
  host,
  config,
  pulls,
  now,
}: CheckContext): Promise<CheckResult | undefined> {
  const directory = config.tls.ca?.directory;
  const urls = [
    ...(directory === undefined || isReserved(new URL(directory).hostname) ? [] : [directory]),
    ...pulls.slice(0, 1).map((reference) => registryOf(reference).url),
  ];
  const failed: string[] = [];
  for (const url of urls) {
    const { hostname } = new URL(url);
    const before = now().getTime();
    let date: Date;
    try {
      date = await host.dateAt(url);
    } catch (error) {
      failed.push(`no time from ${hostname} (${messageOf(error)})`);
      continue;
    }
    // A Date header is truncated to whole seconds.
    const off = Math.round(((before + now().getTime()) / 2 - date.getTime() - 500) / 1000);
    const seen = `${Math.abs(off)} s ${off < 0 ? 'behind' : 'ahead of'} the time of ${hostname}`;
    if (Math.abs(off) <= CLOCK_WARNING_S) return { seen, found: [] };
    return {
      seen,
      found: [
        {
          level: Math.abs(off) > CLOCK_BLOCKER_S ? 'blocker' : 'warning',
          what: `The clock of this host is ${Math.abs(off)} seconds ${off < 0 ? 'slow' : 'fast'}.`,
          means: 'Other servers refuse signatures with a wrong time, and certificates appear invalid.',
          next: TIME_FIX,
        },
      ],
    };
  }
  const synchronized = await host.isSynchronized();
  // Nothing is known about it.
  if (synchronized === undefined && failed.length === 0) return undefined;
  const seen = [
    ...failed,
    synchronized === undefined
      ? 'not compared'
      : `the system clock is ${synchronized ? '' : 'not '}synchronized by NTP`,
  ].join('; ');
  if (synchronized !== false || config.tls.isLab) return { seen, found: [] };
  return {
    seen,
    found: [
      {
        level: 'warning',
        what: 'The clock of this host is not synchronized.',
        means: 'If it drifts, other servers refuse signatures of this one.',
        next: TIME_FIX,
      },
    ],
  };
}
