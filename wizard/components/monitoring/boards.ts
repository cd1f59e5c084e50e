/** Grafana's boards, as files that it reads when it starts. Only types come from Grafana's package. */
import type { Dashboard, Panel as GrafanaPanel } from '@grafana/schema';
import { appOf } from '../../apps/index.ts';
import { BOARDS } from '../../apps/monitoring.ts';
import type { BoardId, Panel } from '../../apps/monitoring.ts';
import type { Config } from '../../config/config.ts';
import { PANELS } from './panels.ts';
import { serversOf } from './targets.ts';

const TITLES: Readonly<Record<BoardId, string>> = {
  overview: 'Overview',
  web: 'Web',
  queues: 'Queues',
  database: 'Databases',
  storage: 'Storage',
};

/** Version of the format; Grafana converts older ones. */
const SCHEMA = 39;
/** A board is 24 units wide. */
const WIDE = 24;
const SIZES = { number: { w: 4, h: 4 }, diagram: { w: 12, h: 8 } } as const;

const sourceOf = { type: 'prometheus', uid: 'prometheus' } as const;

function panelOf(
  { title, about, unit, queries, isNumber }: Panel,
  id: number,
  x: number,
  y: number,
): GrafanaPanel {
  return {
    id,
    type: isNumber === true ? 'stat' : 'timeseries',
    title,
    description: about,
    datasource: sourceOf,
    gridPos: { x, y, ...(isNumber === true ? SIZES.number : SIZES.diagram) },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(({ expr, legend }, i) => ({
      refId: String.fromCodePoint(65 + i),
      datasource: sourceOf,
      expr,
      legendFormat: legend,
    })),
    options:
      isNumber === true
        ? { reduceOptions: { calcs: ['lastNotNull'] }, graphMode: 'none' }
        : { tooltip: { mode: 'multi' }, legend: { displayMode: 'list', placement: 'bottom' } },
  };
}

/** From left to right, numbers first. */
function arrange(panels: readonly Panel[]): GrafanaPanel[] {
  let [x, y, height] = [0, 0, 0];
  return [...panels.filter(({ isNumber }) => isNumber), ...panels.filter(({ isNumber }) => !isNumber)].map(
    (panel, i) => {
      const { w, h } = panel.isNumber === true ? SIZES.number : SIZES.diagram;
      if (x + w > WIDE || (height !== 0 && h !== height)) [x, y] = [0, y + height];
      height = h;
      const placed = panelOf(panel, i + 1, x, y);
      x += w;
      return placed;
    },
  );
}

/** The diagrams of this site: those of servers that it has, and those of its apps. */
export function panelsFor(config: Config): Panel[] {
  const kinds = new Set(serversOf(config).map(({ exporter }) => exporter.template));
  const isThere = (needs: string | undefined): boolean =>
    needs === undefined || kinds.has(needs) || (needs === 'backup' && config.backup !== undefined);
  return [
    ...PANELS.filter(({ needs }) => isThere(needs)),
    ...config.apps.flatMap((app) => appOf(app.id).monitoring(app).panels ?? []),
  ];
}

export function boardsOf(config: Config): Dashboard[] {
  const panels = panelsFor(config);
  return BOARDS.map((id) => ({ id, own: panels.filter(({ board }) => board === id) }))
    .filter(({ own }) => own.length > 0)
    .map(({ id, own }) => ({
      uid: id,
      title: TITLES[id],
      tags: ['fedi-setup'],
      editable: false,
      schemaVersion: SCHEMA,
      timezone: 'browser',
      time: { from: 'now-6h', to: 'now' },
      refresh: '1m',
      links: [
        {
          type: 'dashboards',
          tags: ['fedi-setup'],
          title: 'Dashboards',
          asDropdown: false,
          icon: '',
          includeVars: false,
          keepTime: true,
          targetBlank: false,
          tooltip: '',
        },
      ],
      panels: arrange(own),
    }));
}
