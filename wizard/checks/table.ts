/** The checks, in the order they run. */
import type { Check } from './check.ts';
import { checkClock, checkCores, checkDisk, checkDocker, checkMemory, checkSystem } from './machine.ts';
import { checkMetadata } from './metadata.ts';
import { checkCaa, checkDns } from './names.ts';
import { checkIPv6, checkOutside, checkRegistry } from './outside.ts';
import { checkPolicy } from './policy.ts';
import { checkPorts, checkProxy } from './ports.ts';
import { checkCertificates, checkContainers } from './site.ts';
import { checkUploads } from './uploads.ts';

// prettier-ignore
export const CHECKS: readonly Check[] = [
  { id: 'docker', phase: 'before', title: 'Docker', about: 'client, engine and Compose, their versions, whose they are, your rights', run: checkDocker },
  { id: 'system', phase: 'before', title: 'System', about: 'Linux on amd64 or arm64', run: checkSystem },
  { id: 'memory', phase: 'before', title: 'Memory', about: 'memory and swap against what the site needs', run: checkMemory },
  { id: 'cores', phase: 'before', title: 'Processor cores', about: 'cores against the servers of the site', run: checkCores },
  { id: 'disk', phase: 'before', title: 'Disk', about: 'bytes and inodes, where the site and where Docker keep data', run: checkDisk },
  { id: 'ports', phase: 'before', title: 'Ports', about: '80 and 443, and who holds them', run: checkPorts },
  { id: 'proxy', phase: 'before', title: 'Your proxy', about: 'whether others get to its port too', run: checkProxy },
  { id: 'dns', phase: 'before', title: 'DNS', about: 'A and AAAA records against the addresses of this host', run: checkDns },
  { id: 'caa', phase: 'before', title: 'CAA', about: 'whether the domain lets Let’s Encrypt give certificates', run: checkCaa },
  { id: 'clock', phase: 'before', title: 'Clock', about: 'the time, against that of a server the site needs, or NTP', run: checkClock },
  { id: 'registry', phase: 'before', title: 'Registry', about: 'whether the engine can pull what is missing, for this processor', run: checkRegistry },
  { id: 'outside', phase: 'inside', title: 'Out of a container', about: 'DNS and HTTPS, as a container has them', run: checkOutside },
  { id: 'ipv6', phase: 'inside', title: 'IPv6 out of a container', about: 'the same by IPv6, where the host has it', run: checkIPv6 },
  { id: 'containers', phase: 'site', title: 'Containers', about: 'whether they run and are healthy; else their last lines', run: checkContainers },
  { id: 'policy', phase: 'site', title: 'Rights of the containers', about: 'users, capabilities, file systems and limits of the running containers', run: checkPolicy },
  { id: 'uploads', phase: 'site', title: 'Uploads', about: 'whether the app may work on them and everybody see them; default pictures', run: checkUploads },
  { id: 'metadata', phase: 'site', title: 'Cloud metadata', about: 'whether containers reach the cloud’s metadata service, and with it credentials', run: checkMetadata },
  { id: 'certificates', phase: 'site', title: 'Certificates', about: 'whether they are served and renewed in time', run: (context) => checkCertificates(context) },
];

/** The table as the README shows it. */
export const checksInWords = (): string =>
  `| check | looks at |\n|---|---|\n${CHECKS.map(({ id, about }) => `| \`${id}\` | ${about} |`).join('\n')}\n`;
