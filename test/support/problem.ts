/** The Problem that code throws. */
import { Problem } from '../../wizard/problem.ts';

/** The Problem that `work` throws; throws for any other result, success included. */
export async function problemFrom(work: () => unknown): Promise<Problem> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('it was taken, but should have been refused');
}
