/** snac's queues: a file for each job, in the data. */
import { shellProgram } from '../../assets.ts';
import type { Jobs } from '../app.ts';

export const snacJobs: Jobs = {
  service: 'snac',
  look: { argv: shellProgram('apps/snac/programs/list-jobs.sh') },
  parse: (stdout, now) => {
    const due = stdout
      .split('\n')
      .filter(Boolean)
      .map((name) => {
        const [, seconds] = /^(\d+\.\d+)\.json$/.exec(name.trim()) ?? [];
        if (seconds === undefined) throw new Error(`not a time: ${name}`);
        return Number(seconds) * 1000;
      });
    const waiting = due.filter((time) => time <= now.getTime());
    const oldest = waiting.length === 0 ? undefined : waiting.reduce((a, b) => Math.min(a, b));
    return {
      waiting: waiting.length,
      oldest,
      later: due.length - waiting.length,
      // It drops a job that failed too often.
      failed: 0,
      failedAt: { newest: undefined, hundredth: undefined },
      queues: {},
      oldestIn: {},
      // Its threads are in the same process.
      workers: undefined,
    };
  },
  always: [],
  single: { snac: 'Both would write the same files.' },
};
