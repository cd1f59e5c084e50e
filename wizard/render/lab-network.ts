/**
 * Addresses of a lab's network that count as public, even for PHP (FILTER_FLAG_GLOBAL_RANGE): a /28 of 192.88.99.0/24, the
 * deprecated anycast prefix of 6to4 relays, which is no longer routed (RFC 7526).
 */
import { createHash } from 'node:crypto';
import { BlockList } from 'node:net';
import type { Network } from '../docker/engine.ts';
import { EXIT, Problem } from '../problem.ts';

const PREFIX = '192.88.99';
const COUNT = 16;
const SIZE = 16;

/** Whether two IPv4 subnets in CIDR notation overlap: one of them contains the first address of the other. */
function overlap(one: string, other: string): boolean {
  const contains = (subnet: string, address: string): boolean => {
    const [net = '', bits] = subnet.split('/');
    const list = new BlockList();
    list.addSubnet(net, Number(bits), 'ipv4');
    return list.check(address, 'ipv4');
  };
  return contains(one, other.split('/')[0] ?? '') || contains(other, one.split('/')[0] ?? '');
}

/**
 * Selects the subnet of a site's lab network: that of the existing network, otherwise a free one, beginning at a place
 * that the project's name determines.
 *
 * @param networks all networks of the engine
 * @throws Problem (exit 4) if other networks use all of them
 */
export function labSubnet(project: string, key: string, networks: readonly Network[]): string {
  const isOwn = (one: Network): boolean => one.project === project && one.key === key;
  const used = networks.filter((one) => !isOwn(one)).flatMap(({ subnets }) => subnets);
  const isFree = (subnet: string): boolean => !used.some((other) => overlap(subnet, other));
  const [first = 0] = createHash('sha256').update(project).digest();
  const all = Array.from(
    { length: COUNT },
    (_, index) => `${PREFIX}.${((first + index) % COUNT) * SIZE}/${32 - Math.log2(SIZE)}`,
  );
  const existing = networks.find(isOwn)?.subnets.find((subnet) => all.includes(subnet));
  const found = existing ?? all.find(isFree);
  if (found !== undefined) return found;
  const names = networks.filter((one) => one.subnets.some((subnet) => overlap(subnet, `${PREFIX}.0/24`)));
  throw new Problem(
    EXIT.PREFLIGHT,
    `No addresses of ${PREFIX}.0/24 are free for this lab: other networks of Docker use them.`,
    {
      means: `They are ${names.map(({ name }) => name).join(', ')}. Nothing was changed.`,
      next: 'Remove one that is unused with `docker network rm NAME` and run this again.',
    },
  );
}
