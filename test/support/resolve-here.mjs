// Preloaded into the tool by NODE_OPTIONS: names of TEST_NAMES (JSON, name → address) resolve as if they were in DNS.
import dns from 'node:dns';
import { isIP } from 'node:net';

const names = new Map(Object.entries(JSON.parse(process.env['TEST_NAMES'] ?? '{}')));
const { lookup } = dns;

dns.lookup = (host, options, done) => {
  const address = names.get(host);
  if (address === undefined || typeof options !== 'object') return lookup(host, options, done);
  const family = isIP(address);
  if (options.all) done(null, [{ address, family }]);
  else done(null, address, family);
};
