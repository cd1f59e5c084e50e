/** The results of a container's health check, for messages. */
import type { Container } from './engine.ts';

const CHECKS = 3;
const LINES = 5;

/** The last different results of the health check, oldest first; none for a container that is healthy or has no check. */
export function healthLines({ health, healthLog }: Container): string[] {
  if (health !== 'unhealthy' && health !== 'starting') return [];
  const results = healthLog
    .filter(({ exitCode }) => exitCode !== 0)
    .map(
      ({ exitCode, output }) =>
        `health check, exit code ${exitCode}: ${output.trim().split('\n').slice(-LINES).join('\n') || 'no output'}`,
    );
  return [...new Set(results.toReversed())].slice(0, CHECKS).toReversed();
}

/** A container this young may be unhealthy because its host is slow or busy. */
const YOUNG_MS = 10 * 60_000;

export const isYoung = ({ startedAt }: Container, now: Date): boolean =>
  now.getTime() - Date.parse(startedAt) < YOUNG_MS;
