/** Reads YAML, with positions, and writes it. The only importer of js-yaml. */
import {
  DEFAULT_SCALAR_STYLE_RULES,
  dump,
  EVENT_ID,
  getScalarValue,
  load,
  parseEvents,
  SCALAR_STYLE,
  YAMLException,
} from 'js-yaml';
import type { Event, ScalarStyleRule } from 'js-yaml';
import { messageOf } from './problem.ts';

export type Yaml = string | number | boolean | null | Yaml[] | { [key: string]: Yaml };

/** A YAML file that could not be read; `line` is 1-based. */
export class YamlError extends Error {
  readonly line: number;
  constructor(message: string, line: number) {
    super(message);
    this.line = line;
  }
}

/** Parses one document (YAML 1.2 core). An empty text is `null`. Throws {@link YamlError}. */
export function parseYaml(text: string): Yaml {
  if (text.replace(/^\s*(#.*)?$/gm, '').trim() === '') return null;
  try {
    return load(text) as Yaml;
  } catch (error) {
    const mark = error instanceof YAMLException ? error.mark : undefined;
    const reason = error instanceof YAMLException ? error.reason : messageOf(error);
    throw new YamlError(reason, (mark?.line ?? 0) + 1);
  }
}

/** A block with empty lines at its end ends the document with `...`, and lines that follow would change its value. */
const quoteOpenEnded: ScalarStyleRule = (layout) => {
  if (/(^|\n)\n$/.test(layout.node.value)) layout.style = SCALAR_STYLE.DOUBLE_QUOTED;
};

/** Prints a value: no anchors, no folding; quotes strings that YAML 1.1 reads as numbers. */
export function printYaml(value: unknown): string {
  return dump(value, {
    noRefs: true,
    lineWidth: -1,
    quoteStyle: 'double',
    scalarStyleRules: [quoteOpenEnded, ...Object.values(DEFAULT_SCALAR_STYLE_RULES)],
  });
}

/** Position of a key in the text: offsets are zero-based and end-exclusive, lines 1-based. */
export interface Place {
  readonly path: readonly string[];
  readonly line: number;
  readonly keyStart: number;
  /** Range of a scalar value, quotes included; undefined for a mapping or a sequence. */
  readonly value: { readonly start: number; readonly end: number } | undefined;
  /** The scalar as written, unquoted, so that `0644` and `1e3` stay text. Undefined for an alias too. */
  readonly text: string | undefined;
  /** True for a key of a `{flow}` mapping. */
  readonly flow: boolean;
}

/** Every mapping key of a document with its position, in the order of the text. */
export function places(text: string): Place[] {
  const found: Place[] = [];
  const events: Event[] = parseEvents(text, {});
  let at = 0;
  const lineOf = (offset: number): number => text.slice(0, offset).split('\n').length;
  const FLOW = 2;

  // Recursive descent over the event list; `visit` consumes exactly one node.
  const visit = (
    path: readonly string[],
    after: number,
  ): { start: number; end: number; text: string } | undefined => {
    const event = events[at++];
    if (event === undefined) return undefined;
    if (event.type === EVENT_ID.SCALAR) {
      // A missing value belongs after the colon of its key.
      if (event.valueStart < 0) {
        const colon = text.indexOf(':', after) + 1;
        return { start: colon, end: colon, text: '' };
      }
      const quoted = text[event.valueStart - 1] === '"' || text[event.valueStart - 1] === "'" ? 1 : 0;
      return {
        start: event.valueStart - quoted,
        end: event.valueEnd + quoted,
        text: getScalarValue(text, event),
      };
    }
    if (event.type === EVENT_ID.MAPPING) {
      while (events[at] !== undefined && events[at]?.type !== EVENT_ID.POP) {
        const key = events[at++];
        const name = key?.type === EVENT_ID.SCALAR ? getScalarValue(text, key) : '?';
        const keyStart = key?.type === EVENT_ID.SCALAR ? key.valueStart : 0;
        const index = found.push({
          path: [...path, name],
          line: lineOf(keyStart),
          keyStart,
          value: undefined,
          text: undefined,
          flow: Number(event.style) === FLOW,
        });
        const value = visit([...path, name], key?.type === EVENT_ID.SCALAR ? key.valueEnd : keyStart);
        found[index - 1] = { ...(found[index - 1] as Place), value, text: value?.text };
      }
      at++;
      return undefined;
    }
    if (event.type === EVENT_ID.SEQUENCE) {
      for (let i = 0; events[at] !== undefined && events[at]?.type !== EVENT_ID.POP; i++)
        visit([...path, String(i)], 0);
      at++;
      return undefined;
    }
    return undefined;
  };
  while (at < events.length) {
    if (events[at]?.type === EVENT_ID.DOCUMENT) {
      at++;
      visit([], 0);
    } else at++;
  }
  return found;
}
