/** Rotates secrets of an existing site. */
import { appOf } from '../apps/index.ts';
import type { Rotation } from '../apps/shared/server.ts';
import { serverRotations } from '../apps/shared/server.ts';
import { componentsOf } from '../components/index.ts';
import type { Config } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { runtimeOf } from '../docker/runtime.ts';
import { EXIT, Problem } from '../problem.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import { SITE_SECRETS } from '../secrets/store.ts';
import type { SecretSpec, Store } from '../secrets/store.ts';

/** By name of the secret. Other secrets need no step in a server: generating a new value is enough. */
const rotationsOf = (config: Config): Readonly<Record<string, Rotation>> =>
  serverRotations(config.apps.flatMap(({ id, options }) => appOf(id).servers?.(options) ?? []));

/** Secrets that fedi-setup can rotate without losing data. */
export const rotatable = (config: Config): SecretSpec[] =>
  [
    ...SITE_SECRETS,
    ...config.apps.flatMap(({ id }) => appOf(id).secrets),
    ...componentsOf(config).flatMap(({ secrets }) => secrets?.(config) ?? []),
  ].filter((spec) => spec.class !== 'forever' && spec.make !== undefined);

/** Generates a new value in the store, which still has to be saved. */
export async function renew(config: Config, store: Store, spec: SecretSpec, now: Date): Promise<void> {
  const value = await (spec.make as NonNullable<SecretSpec['make']>)();
  if (rotationsOf(config)[spec.name] === undefined) store.put(spec.name, spec.class, value, now);
  else store.announce(spec.name, value);
}

/** Sets pending passwords in their servers, while the containers that use them still have the old ones. */
export async function changeInServers(
  engine: Engine,
  config: Config,
  store: Store,
  progress: Progress,
  now: () => Date,
): Promise<void> {
  const rotations = rotationsOf(config);
  // Save first, so that a killed run does not lose the new value.
  if (store.coming().length > 0) await store.save();
  for (const name of store.coming()) {
    const rotation = rotations[name];
    // Its server is not part of the site now, and may come back with the old value.
    if (rotation === undefined) store.withdraw(name);
    else {
      await withLine(progress, `rotate.${name}`, `New ${name} set in ${rotation.service}`, async () => {
        const { service, change } = rotation;
        const { code, stderr } = await runtimeOf(engine, config.name).exec(
          service,
          change(store.get(name), (other) => store.get(other)),
        );
        if (code === 0) return;
        throw new Problem(EXIT.FAILED, `${service} rejected the new ${name} (exit code ${code}).`, {
          means: 'The previous value stays in use.',
          next: 'Fix the error in the log above, then run `fedi-setup apply` to retry.',
          log: stderr.trim().split('\n').slice(-10).join('\n'),
        });
      });
      store.settle(name, now());
    }
  }
}
