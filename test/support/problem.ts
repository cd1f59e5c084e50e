/** What a piece of code says when it refuses. */
import { Problem } from '../../wizard/problem.ts';

/** The Problem that `work` ends with; anything else, success included, is thrown on. */
export async function problemFrom(work: () => unknown): Promise<Problem> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('it was taken, but should have been refused');
}
