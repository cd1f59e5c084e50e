/** Tells public addresses and names from private and reserved ones. */
import { BlockList, isIP } from 'node:net';
import { shortIPv6 } from './parse.ts';

const PRIVATE = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const)
  PRIVATE.addSubnet(network, bits, 'ipv4');
for (const [network, bits] of [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
] as const)
  PRIVATE.addSubnet(network, bits, 'ipv6');

/** Whether the address is globally routable. */
export const isPublic = (address: string): boolean =>
  !PRIVATE.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** The canonical spelling of an address. */
export const spelled = (address: string): string => (isIP(address) === 6 ? shortIPv6(address) : address);

/** Names that never exist in the public DNS (RFC 2606, 6761, 6762, 7686, 8375, 9476; ICANN's `internal`). */
export const isReserved = (name: string): boolean =>
  /(^|\.)(test|localhost|invalid|example|local|onion|alt|internal|home\.arpa)$/.test(name);
