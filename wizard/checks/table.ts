/** The checks, in the order they run. */
import type { Check } from './check.ts';
import { checkClock, checkCores, checkDisk, checkDocker, checkMemory, checkSystem } from './machine.ts';
import { checkBackups } from './backups.ts';
import { checkBuckets } from './buckets.ts';
import { checkDifferences } from './differences.ts';
import { checkFiles } from './files.ts';
import { checkGoodbye } from './goodbye.ts';
import { checkDatabases } from './databases.ts';
import { checkVersions } from './versions.ts';
import { checkGit } from './git.ts';
import { checkJobs } from './jobs.ts';
import { checkKernel } from './kernel.ts';
import { checkMail } from './mail.ts';
import { checkMedia } from './media.ts';
import { checkMetadata } from './metadata.ts';
import { checkMigrations } from './migrations.ts';
import { checkCaa, checkDns } from './names.ts';
import { checkIPv6, checkOutside, checkRegistry } from './outside.ts';
import { checkPolicy } from './policy.ts';
import { checkPorts, checkProxy } from './ports.ts';
import { checkCertificates, checkContainers, checkData } from './site.ts';
import { checkUnfinished } from './unfinished.ts';
import { checkRetention } from './retention.ts';
import { checkStreaming } from './streaming.ts';
import { checkStatusPage } from './status-page.ts';
import { checkUploads } from './uploads.ts';

// prettier-ignore
export const CHECKS: readonly Check[] = [
  { id: 'docker', phase: 'before', title: 'Docker', about: 'client, engine and Compose: versions, location, your permissions', run: checkDocker },
  { id: 'system', phase: 'before', title: 'System', about: 'Linux on amd64 or arm64', run: checkSystem },
  { id: 'memory', phase: 'before', title: 'Memory', about: 'memory and swap against what the site needs', run: checkMemory },
  { id: 'cores', phase: 'before', title: 'Processor cores', about: 'processor cores against what the site needs', run: checkCores },
  { id: 'disk', phase: 'before', title: 'Disk', about: 'free bytes and inodes for the site and for Docker’s data', run: checkDisk },
  { id: 'ports', phase: 'before', title: 'Ports', about: 'whether 80 and 443 are free, or what uses them', run: checkPorts },
  { id: 'proxy', phase: 'before', title: 'Your proxy', about: 'whether its port is open to others', run: checkProxy },
  { id: 'dns', phase: 'before', title: 'DNS', about: 'A and AAAA records against the addresses of this host', run: checkDns },
  { id: 'caa', phase: 'before', title: 'CAA', about: 'whether the domain allows certificates of Let’s Encrypt', run: checkCaa },
  { id: 'clock', phase: 'before', title: 'Clock', about: 'the time, compared with a server that the site needs, or NTP', run: checkClock },
  { id: 'registry', phase: 'before', title: 'Registry', about: 'whether the engine can pull the missing images for this processor', run: checkRegistry },
  { id: 'outside', phase: 'inside', title: 'Container network', about: 'DNS and HTTPS from inside a container', run: checkOutside },
  { id: 'ipv6', phase: 'inside', title: 'Container IPv6', about: 'the same over IPv6, if the host has it', run: checkIPv6 },
  { id: 'containers', phase: 'site', title: 'Containers', about: 'whether they run and are healthy; if not, their last log lines', run: checkContainers },
  { id: 'data', phase: 'site', title: 'Data', about: 'whether data volumes and secrets are still there', run: checkData },
  { id: 'unfinished', phase: 'site', title: 'Interrupted work', about: 'whether a restore or an upgrade was interrupted, or the site was stopped to move it', run: checkUnfinished },
  { id: 'migrations', phase: 'site', title: 'Migrations', about: 'whether the databases have those of the installed versions', run: checkMigrations },
  { id: 'jobs', phase: 'site', title: 'Background jobs', about: 'whether workers take the jobs of every queue, in time; a second scheduler; jobs that failed for good', run: checkJobs },
  { id: 'streaming', phase: 'site', title: 'Live updates', about: 'whether a WebSocket on the public name reaches the server of live updates', run: checkStreaming },
  { id: 'mail', phase: 'site', title: 'Outgoing mail', about: 'whether the apps’ containers reach the mail server and may log in; no mail is sent', run: checkMail },
  { id: 'bucket', phase: 'site', title: 'Buckets with media', about: 'a small object, written, read anonymously and deleted', run: checkBuckets },
  { id: 'media', phase: 'site', title: 'Moved media', about: 'whether a move of media was interrupted, or left a copy in the old place', run: checkMedia },
  { id: 'goodbye', phase: 'site', title: 'Goodbye', about: 'whether the accounts of an app are being deleted, or were deleted, on other servers', run: checkGoodbye },
  { id: 'backups', phase: 'site', title: 'Backups', about: 'whether they succeeded, are recent and were tested; whether the recovery sheet was written', run: checkBackups },
  { id: 'retention', phase: 'site', title: 'Retention', about: 'whether copies of remote media are removed, and backups on this host will fit', run: checkRetention },
  { id: 'databases', phase: 'site', slow: true, title: 'Databases', about: 'their major versions; volumes with the data of earlier ones', run: checkDatabases },
  { id: 'versions', phase: 'site', title: 'Versions', about: 'whether the software that changes its data has the version of this fedi-setup', run: async (context) => checkVersions(context) },
  { id: 'differences', phase: 'site', title: 'Answers, files, containers', about: 'files that were changed by hand; containers, images and Caddy’s configuration that are not those of the files', run: checkDifferences },
  { id: 'policy', phase: 'site', title: 'Container policy', about: 'users, capabilities, file systems and limits of the running containers', run: checkPolicy },
  { id: 'git', phase: 'site', title: 'Git', about: 'whether a Git repository contains files with secrets', run: checkGit },
  { id: 'files', phase: 'site', title: 'Site directory', about: 'who may read the secrets, and whether all files have one owner', run: checkFiles },
  { id: 'uploads', phase: 'site', slow: true, title: 'Uploads', about: 'their owner and permissions; missing default images', run: checkUploads },
  { id: 'metadata', phase: 'site', title: 'Cloud metadata', about: 'whether containers can read the cloud’s metadata service, often with credentials', run: checkMetadata },
  { id: 'statuspage', phase: 'site', title: 'Status page', about: 'whether it is served and kept up to date, if there is one', run: checkStatusPage },
  { id: 'certificates', phase: 'site', title: 'Certificates', about: 'whether they are served and renewed in time', run: (context) => checkCertificates(context) },
  { id: 'kernel', phase: 'site', title: 'Kernel', about: 'settings that Valkey and HTTP/3 recommend; advice only', run: checkKernel },
];
