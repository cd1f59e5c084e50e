/** Checks the running containers against the policy. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { POLICY, violations } from '../docker/policy.ts';
import type { Exceptions } from '../docker/policy.ts';
import { Problem } from '../problem.ts';
import { parseYaml } from '../yaml.ts';
import type { CheckContext, Finding, CheckResult } from './check.ts';

/** Service → exceptions; undefined: the site has no compose.yaml yet. */
async function exceptionsOf(folder: string): Promise<Readonly<Record<string, Exceptions>> | undefined> {
  try {
    const compose = parseYaml(await readFile(join(folder, 'compose.yaml'), 'utf8')) as {
      services?: Record<string, { 'x-exceptions'?: Exceptions }>;
    } | null;
    return Object.fromEntries(
      Object.entries(compose?.services ?? {}).map(([name, one]) => [name, one['x-exceptions'] ?? {}]),
    );
  } catch {
    return undefined;
  }
}

export async function checkPolicy({
  config,
  engine,
  folder,
  info,
}: CheckContext): Promise<CheckResult | undefined> {
  const exceptions = await exceptionsOf(folder);
  if (info instanceof Problem || exceptions === undefined) return undefined;
  const found: Finding[] = [];
  const reasons = new Map<string, string[]>();
  const others: string[] = [];
  let count = 0;
  for (const { service, rights } of await engine.containers(config.name)) {
    const allowed = exceptions[service];
    // Services from compose.override.yaml are not subject to the policy.
    if (allowed === undefined) {
      others.push(service);
      continue;
    }
    count++;
    for (const [rule, reason] of Object.entries(allowed))
      reasons.set(`${rule}: ${reason}`, [...(reasons.get(`${rule}: ${reason}`) ?? []), service]);
    const broken = violations(rights, allowed);
    if (broken.length === 0) continue;
    found.push({
      level: 'warning',
      what: `The container ${service} violates the policy: ${broken.map(({ id }) => id).join(', ')}.`,
      means: `By the policy a container ${broken.map(({ demand }) => demand).join('; ')}. This one has more rights, so a break-in can do more harm.`,
      next: 'Remove the setting from compose.override.yaml if it is yours, then run `fedi-setup apply`.',
    });
  }
  if (count === 0) return undefined;
  const rules = POLICY.map(({ demand }) => demand).join('; ');
  const list = [...reasons].map(([reason, services]) => `${services.join(', ')}: ${reason}`).join(' ');
  return {
    seen: `${count} containers. Policy: each ${rules}. Exceptions: ${list || 'none'}${others.length === 0 ? '' : `. Yours, not checked: ${others.join(', ')}`}`,
    found,
  };
}
