/** A DNS server for tests, over UDP: the queries are real packets. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIP } from 'node:net';

const TYPES: Readonly<Record<number, string>> = { 1: 'A', 5: 'CNAME', 28: 'AAAA', 257: 'CAA' };
const NUMBERS = { A: 1, CNAME: 5, AAAA: 28, CAA: 257 } as const;
type Type = keyof typeof NUMBERS;

/** Name → records; CAA as `0 issue ca.example`. `SERVFAIL`: the answer to every query for the name. */
export type Zone = Record<string, Partial<Record<Type, readonly string[]>> | 'SERVFAIL'>;

export interface Dns {
  /** `address:port`. */
  readonly server: string;
  /** Set by each test. */
  zone: Zone;
  /** Queries as `TYPE name`, in order, without repeats. */
  readonly asked: string[];
  close(): void;
}

const encodeName = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.from([0]),
  ]);

function encodeIPv6(address: string): Buffer {
  const [head = '', tail] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const [before, after] = [groups(head), groups(tail ?? '')];
  const middle = tail === undefined ? [] : Array.from({ length: 8 - before.length - after.length }, () => 0);
  return Buffer.from([...before, ...middle, ...after].flatMap((group) => [group >> 8, group & 255]));
}

function encode(type: Type, value: string): Buffer {
  if (type === 'A') return Buffer.from(value.split('.').map(Number));
  if (type === 'AAAA') return encodeIPv6(value);
  if (type === 'CNAME') return encodeName(value);
  const [flags = '0', tag = '', ...rest] = value.split(' ');
  return Buffer.from([Number(flags), tag.length, ...Buffer.from(tag + rest.join(' '))]);
}

function record(name: string, type: Type, value: string): Buffer {
  const data = encode(type, value);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(NUMBERS[type], 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(60, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([encodeName(name), fixed, data]);
}

/** @param port 0: any */
export async function dnsServer(address: string, port = 0): Promise<Dns> {
  const socket = createSocket(isIP(address) === 6 ? 'udp6' : 'udp4');
  const dns: Dns = { server: '', zone: {}, asked: [], close: () => socket.close() };
  socket.on('message', (query, from) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] as number; length > 0; length = query[at] as number) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length).toLowerCase());
      at += length + 1;
    }
    const name = labels.join('.');
    const type = TYPES[query.readUInt16BE(at + 1)];
    const question = query.subarray(12, at + 5);
    const line = `${type} ${name}`;
    if (!dns.asked.includes(line)) dns.asked.push(line);
    const answers: Buffer[] = [];
    let owner = name;
    let entry = dns.zone[owner];
    while (entry !== undefined && entry !== 'SERVFAIL' && entry.CNAME !== undefined) {
      const [next = ''] = entry.CNAME;
      answers.push(record(owner, 'CNAME', next));
      owner = next;
      entry = dns.zone[owner];
    }
    if (entry !== undefined && entry !== 'SERVFAIL' && type !== undefined)
      for (const value of entry[type as Type] ?? []) answers.push(record(owner, type as Type, value));
    // A name with subdomains exists, although it has no records.
    const known = entry !== undefined || Object.keys(dns.zone).some((one) => one.endsWith(`.${owner}`));
    const header = Buffer.alloc(12);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8180 | (entry === 'SERVFAIL' ? 2 : known ? 0 : 3), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(answers.length, 6);
    socket.send(Buffer.concat([header, question, ...answers]), from.port, from.address);
  });
  socket.bind(port, address);
  await once(socket, 'listening');
  return Object.assign(dns, { server: `${address}:${socket.address().port}` });
}
