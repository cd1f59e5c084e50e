/** What an app of a site has on the engine: volumes, and containers that a run left. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { APP_IDS } from '../apps/index.ts';
import { readAsset } from '../assets.ts';
import type { Engine } from '../docker/engine.ts';
import { isOf } from '../render/compose.ts';
import type { ComposeFile } from '../render/compose.ts';
import { parseYaml } from '../yaml.ts';

/** A volume, and the directory it leads to where Docker does not keep it. */
export interface DataPlace {
  readonly volume: string;
  readonly device: string | undefined;
}

/** `the volume a_b`, with the directory that it leads to; for people. */
export const placesIn = (places: readonly DataPlace[]): string =>
  places
    .map(({ volume, device }) => `the volume ${volume}${device === undefined ? '' : ` (${device})`}`)
    .join(', ');

/** What a removal says of a directory of the person's own. */
export const dataStay = (device: string): string => `data stay in ${device}: sudo rm -r ${device}`;

/** App → its data, for apps that have any or that have containers. */
export async function dataOf(engine: Engine, project: string): Promise<Map<string, readonly DataPlace[]>> {
  const services = (await engine.containers(project)).map(({ service }) => service);
  const found = new Map<string, readonly DataPlace[]>();
  for (const id of APP_IDS) {
    const { volumes } = parseYaml(await readAsset(`compose/${id}.yaml`)) as unknown as ComposeFile;
    const places: DataPlace[] = [];
    for (const key of Object.keys(volumes)) {
      const volume = await engine.volume(`${project}_${key}`);
      if (volume !== undefined) places.push({ volume: `${project}_${key}`, device: volume.device });
    }
    if (places.length > 0 || services.some((service) => isOf(id, service))) found.set(id, places);
  }
  return found;
}

/** Where the data are by the compose.yaml that is there. */
export async function placesBefore(folder: string): Promise<ComposeFile['x-data'] & object> {
  const text = await readFile(join(folder, 'compose.yaml'), 'utf8').catch(() => '');
  try {
    return (parseYaml(text) as unknown as ComposeFile | null)?.['x-data'] ?? {};
  } catch {
    return {}; // edited by hand into no YAML: the run finds that later
  }
}
