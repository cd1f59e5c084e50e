/**
 * Preloaded into a program of a test: its n-th file operation kills the process or fails.
 * FAULT_AT: the number (from 1) of the operation. FAULT: KILL, TORN (half of a write, then killed), or the code of an
 * error. Prints the number of operations.
 */
import files from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const at = Number(process.env.FAULT_AT);
const fault = process.env.FAULT;
const hits = { TORN: ['writeFile'], ENOSPC: ['open', 'writeFile', 'sync', 'mkdir', 'rename', 'link'] }[fault];
let count = 0;

const wrap = (object, name) => {
  if (hits && !hits.includes(name)) return;
  const real = object[name];
  object[name] = async function (...args) {
    count += 1;
    if (count !== at) return real.apply(this, args);
    if (fault === 'TORN' && name === 'writeFile' && typeof args[0] === 'string')
      await real.call(this, args[0].slice(0, args[0].length / 2));
    if (fault === 'KILL' || fault === 'TORN') process.kill(process.pid, 'SIGKILL');
    throw Object.assign(new Error(`${fault}: made by a test, ${name}`), { code: fault });
  };
};

const { open } = files;
const probe = await open('/dev/null');
for (const name of ['chmod', 'writeFile', 'sync']) wrap(Object.getPrototypeOf(probe), name);
await probe.close();
for (const name of ['open', 'rename', 'rm', 'mkdir', 'link', 'unlink', 'writeFile', 'chmod'])
  wrap(files, name);
syncBuiltinESMExports();
process.on('exit', () => process.stdout.write(`\n${count}`));
