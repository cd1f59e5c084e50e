/** The volumes of each app, and containers left by a run. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { APP_IDS } from '../apps/index.ts';
import { keptVolumes } from '../apps/majors.ts';
import { readAsset } from '../assets.ts';
import type { Engine } from '../docker/engine.ts';
import { isOf } from '../stack/compose.ts';
import type { ComposeFile } from '../stack/compose.ts';
import { parseYaml } from '../yaml.ts';

/** A volume, and its directory if it is a bind mount. */
export interface DataPlace {
  readonly volume: string;
  readonly device: string | undefined;
}

/** `the volume a_b (/directory)`, for messages. */
export const placesIn = (places: readonly DataPlace[]): string =>
  places
    .map(({ volume, device }) => `the volume ${volume}${device === undefined ? '' : ` (${device})`}`)
    .join(', ');

/** Notice about a data directory that a removal leaves. */
export const dataStay = (device: string): string => `data stay in ${device}: sudo rm -r ${device}`;

/** App → its data, for apps that have data or containers. */
export async function dataOf(engine: Engine, project: string): Promise<Map<string, readonly DataPlace[]>> {
  const services = (await engine.containers(project)).map(({ service }) => service);
  const kept = await keptVolumes(engine, project);
  const found = new Map<string, readonly DataPlace[]>();
  for (const id of APP_IDS) {
    const { volumes } = parseYaml(await readAsset(`compose/${id}.yaml`)) as unknown as ComposeFile;
    const places: DataPlace[] = [];
    for (const key of Object.keys(volumes)) {
      const volume = await engine.volume(`${project}_${key}`);
      if (volume !== undefined) places.push({ volume: `${project}_${key}`, device: volume.device });
      // Of its database before an upgrade.
      for (const old of kept) if (old.key === key) places.push({ volume: old.volume, device: undefined });
    }
    if (places.length > 0 || services.some((service) => isOf(id, service))) found.set(id, places);
  }
  return found;
}

/** Locations of the data, according to the current compose.yaml. */
export async function placesBefore(folder: string): Promise<ComposeFile['x-data'] & object> {
  const text = await readFile(join(folder, 'compose.yaml'), 'utf8').catch(() => '');
  try {
    return (parseYaml(text) as unknown as ComposeFile | null)?.['x-data'] ?? {};
  } catch {
    return {}; // not valid YAML after an edit by hand; reported later
  }
}
