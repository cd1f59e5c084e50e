/**
 * Preloaded into the tool (`NODE_OPTIONS=--import=…`): ends it with SIGKILL at exactly one point.
 * Points are lines of output (the kill follows the line), renames and links (before and after) and started programs (right after).
 * Each is named by its kind and the number of earlier ones of that kind. FAULT_LOG collects the names, FAULT_AT selects one.
 * FAULT_ONCE names a file: the kill is at the first kind of point that it does not contain, and adds it; FAULT_SKIP: a pattern
 * of points to skip.
 */
import child from 'node:child_process';
import { appendFileSync, readFileSync } from 'node:fs';
import files from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename } from 'node:path';

const { FAULT_AT, FAULT_LOG, FAULT_ONCE, FAULT_SKIP } = process.env;
const seen = new Map();
const died = FAULT_ONCE ? readFileSync(FAULT_ONCE, 'utf8').split('\n') : [];

function isFresh(kind) {
  if (!FAULT_ONCE || died.includes(kind) || (FAULT_SKIP && new RegExp(FAULT_SKIP).test(kind))) return false;
  appendFileSync(FAULT_ONCE, `${kind}\n`);
  return true;
}

function point(kind) {
  const count = (seen.get(kind) ?? 0) + 1;
  seen.set(kind, count);
  const name = `${kind} #${count}`;
  if (FAULT_LOG) appendFileSync(FAULT_LOG, `${name}\n`);
  if (name === FAULT_AT || isFresh(kind)) process.kill(process.pid, 'SIGKILL');
}

// Only the program itself, not programs that it starts with the same environment.
if (process.argv[1]?.includes('fedi-setup')) {
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = (text, ...rest) => {
    const result = write(text, ...rest);
    for (const line of String(text).split('\n').filter(Boolean)) {
      point('any line');
      if (!line.startsWith('{')) continue;
      const { event, id, state } = JSON.parse(line);
      point(['line', event, id, state].filter(Boolean).join(' '));
    }
    return result;
  };
  for (const call of ['rename', 'link']) {
    const real = files[call];
    files[call] = async (from, to) => {
      // Names of receipts contain the time.
      const name = basename(String(to)).replace(/^\d{4}-.*\.json$/, 'receipt');
      point(`${call} ${name}`);
      await real(from, to);
      point(`${call} done ${name}`);
    };
  }
  const { spawn } = child;
  child.spawn = (program, argv, ...rest) => {
    const started = spawn(program, argv, ...rest);
    // Options and paths differ between runs; the arguments before the first path do not.
    const words = argv.filter((word) => /^[a-z-]+$/.test(word) && !word.startsWith('-')).slice(0, 2);
    point(`start ${[basename(program), ...words].join(' ')}`);
    return started;
  };
  syncBuiltinESMExports();
}
