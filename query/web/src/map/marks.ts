/** From what is known to what the map draws; the tab decides which answer it shows. */

import type { Feature, FeatureCollection, Geometry } from "geojson";
import { spacing, tile } from "../geometry.ts";
import { CLASS_COLOURS, HIT, LIKE, UNLIKE, classColour } from "../palette.ts";
import { rankedHits, type State } from "../state.ts";
import { rowFeatures } from "../rows.ts";
import type { Classification } from "../types.ts";

export interface Mark {
  id: string;
  colour: string;
  text: string;
  order: number;
}
type Marks = FeatureCollection<Geometry, Mark>;

/** Footprints that stand out: examples, hits, suggestions, changes, rows of SQL. */
export function footprints(state: State): Marks {
  return collection(marked(state).flatMap(([id, mark]) => shape(state, id, mark)));
}

/** The same as points, for badges that show at every zoom. */
export function badges(state: State): Marks {
  return collection(
    marked(state).flatMap(([id, mark]) => {
      const place = state.chips.get(id)?.properties;
      if (!place) return [];
      return {
        type: "Feature",
        geometry: { type: "Point", coordinates: [place.lon, place.lat] },
        properties: mark,
      };
    }),
  );
}

function marked(state: State): [string, Mark][] {
  const mark = (id: string, colour: string, text: string, order: number): [string, Mark] => {
    return [id, { id, colour, text, order }];
  };
  if (state.tab === "label") {
    const labelled = Object.entries(state.labels).map(([id, name]) => {
      return mark(id, classColour(state.classes.indexOf(name)), "", 1);
    });
    const next = state.suggestions.is === "done" ? state.suggestions.value : [];
    const open = next.filter(({ id }) => !(id in state.labels));
    return [...labelled, ...open.map(({ id }) => mark(id, HIT, "?", 0))];
  }
  if (state.tab === "change") {
    const pairs = state.pairs.is === "done" ? state.pairs.value : [];
    return pairs.map(({ id_a }, i) => mark(id_a, HIT, String(i + 1), i + 1));
  }
  if (state.tab === "sql") return [];
  const examples = [
    ...state.positives.map((id) => mark(id, LIKE, "+", 0)),
    ...state.negatives.map((id) => mark(id, UNLIKE, "−", 0)),
  ];
  const ranked = rankedHits(state).map(({ properties: { id } }, i) => mark(id, HIT, String(i + 1), i + 1));
  return [...examples, ...ranked];
}

function shape(state: State, id: string, properties: Mark): Feature<Geometry, Mark>[] {
  const geometry = state.chips.get(id)?.geometry;
  return geometry ? [{ type: "Feature", geometry, properties }] : [];
}

/** What of each hit matches; the map shows that of the one under the pointer. */
export function matches(state: State): FeatureCollection {
  if (state.tab !== "find" || state.matches.is !== "done") return collection([]);
  return collection(
    state.matches.value.features.flatMap((one) => (one.geometry ? [{ ...one, geometry: one.geometry }] : [])),
  );
}

/** What SQL returned with a place. */
export function sqlRows(state: State): FeatureCollection {
  if (state.tab !== "sql" || state.table.is !== "done") return collection([]);
  const { features } = rowFeatures(state.table.value);
  return collection(features.filter((row): row is Feature => row.geometry !== null));
}

/** The classes as a mosaic without overlaps: chips may overlap, so each gets the ground nearest to its centre. */
export function mosaic(
  answer: Classification,
  classes: readonly string[],
  sure: number,
  metres: number,
): FeatureCollection {
  const size = spacing(answer.chips, metres);
  return collection(
    answer.chips.map((chip) => {
      const at = chip.class === null || chip.confidence < sure ? -1 : classes.indexOf(chip.class);
      const colour = at < 0 ? CLASS_COLOURS[CLASS_COLOURS.length - 1]! : classColour(at);
      const opacity = at < 0 ? 0.12 : 0.2 + 0.55 * Math.max(0, Math.min(1, chip.confidence));
      return { type: "Feature", geometry: tile(chip, size), properties: { id: chip.id, colour, opacity } };
    }),
  );
}

export function collection<G extends Geometry | null, P>(features: Feature<G, P>[]): FeatureCollection<G, P> {
  return { type: "FeatureCollection", features };
}
