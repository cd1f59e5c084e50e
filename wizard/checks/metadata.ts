/** Checks whether containers can reach the cloud's metadata service, which often hands out credentials. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from '../problem.ts';
import { parseYaml } from '../yaml.ts';
import type { CheckContext, CheckResult } from './check.ts';

/** Most clouds; Alibaba; Amazon over IPv6. */
const SERVICES = ['169.254.169.254', '100.100.100.200', 'fd00:ec2::254'];

/** Docker's names of the non-internal networks with app services. */
async function frontNetworks(folder: string, project: string): Promise<string[]> {
  try {
    const compose = parseYaml(await readFile(join(folder, 'compose.yaml'), 'utf8')) as {
      services?: Record<string, { networks?: Record<string, unknown> }>;
      networks?: Record<string, { internal?: boolean; name?: string } | null>;
    } | null;
    const used = Object.entries(compose?.services ?? {}).flatMap(([name, { networks = {} }]) =>
      name === 'caddy' ? [] : Object.keys(networks),
    );
    return Object.entries(compose?.networks ?? {})
      .filter(([key, network]) => used.includes(key) && network?.internal !== true)
      .map(([key, network]) => network?.name ?? `${project}_${key}`);
  } catch {
    return [];
  }
}

const inBrackets = (address: string): string => (address.includes(':') ? `[${address}]` : address);

/** Firewall commands for forwarded packets: they affect containers, not the host itself. */
function rulesFor(addresses: readonly string[]): string {
  const iptables = addresses.map(
    (address) => `sudo ip${address.includes(':') ? '6' : ''}tables -I DOCKER-USER -d ${address} -j REJECT`,
  );
  const nft = [
    'sudo nft add table inet metadata',
    "sudo nft 'add chain inet metadata forward { type filter hook forward priority -10; }'",
    ...addresses.map(
      (address) =>
        `sudo nft add rule inet metadata forward ip${address.includes(':') ? '6' : ''} daddr ${address} reject`,
    ),
  ];
  return `With iptables: \`${iptables.join(' && ')}\`; with nft: \`${nft.join(' && ')}\`. To keep the rules after a reboot, use iptables-persistent or /etc/nftables.conf.`;
}

/** Tries to connect from a container of Caddy's image, which has curl, on each app's network. */
export async function checkMetadata({
  config,
  engine,
  info,
  caddy,
  folder,
  exists,
}: CheckContext): Promise<CheckResult | undefined> {
  if (info instanceof Problem || caddy === undefined || !exists) return undefined;
  const networks = await frontNetworks(folder, config.name);
  if (networks.length === 0) return undefined;
  const argv = ['curl', '--silent', '--head', '--output', '/dev/null', '--noproxy', '*', '--max-time', '3', '--write-out', '%{time_connect} %{url}\\n']; // prettier-ignore
  const urls = SERVICES.flatMap((address) => [`http://${inBrackets(address)}/`, '--output', '/dev/null']);
  const outputs = await Promise.all(
    networks.map((network) =>
      engine.run({ image: caddy, argv: [...argv, '--parallel', '--parallel-immediate', ...urls], network }),
    ),
  );
  const lines = outputs.flatMap(({ stdout }) => stdout.split('\n'));
  const open = SERVICES.filter((address) =>
    lines.some((line) => line.includes(`//${inBrackets(address)}/`) && Number.parseFloat(line) > 0),
  );
  const looked = outputs.every(({ stdout }) => stdout.includes('http://'));
  const seen = !looked && open.length === 0 ? 'not checked' : `${open.join(', ') || 'none'} open on ${networks.join(', ')}`; // prettier-ignore
  if (open.length === 0) return { seen, found: [] };
  return {
    seen,
    found: [
      {
        level: 'warning',
        what: `Containers can reach the cloud’s metadata service: ${open.join(', ')}.`,
        means:
          'An ActivityPub server fetches URLs that other servers choose. An attacker may use that to read the credentials of this machine.',
        next: rulesFor(open),
      },
    ],
  };
}
