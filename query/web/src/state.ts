/** All that the page knows: what was asked (kept in the URL) and what was answered (not kept). */

import type {
  Box,
  Chip,
  Classification,
  Collection,
  Evaluation,
  Filter,
  HeatMap,
  Hits,
  Job,
  Labels,
  Matches,
  Method,
  Pair,
  Position,
  Raster,
  Suggestion,
  Table,
} from "./types.ts";

export type Tab = "find" | "label" | "change" | "sql";
export const TABS: readonly Tab[] = ["find", "label", "change", "sql"];
export type Theme = "auto" | "light" | "dark";
export type Layer = "raster" | "chips" | "heat";
export const LAYERS: readonly Layer[] = ["raster", "chips", "heat"];

/** What was asked. */
export interface Asked {
  collection: string | null;
  tab: Tab;
  view: { center: Position; zoom: number } | null;
  layers: readonly Layer[];
  tiles: string;
  theme: Theme;
  positives: readonly string[];
  negatives: readonly string[];
  k: number;
  spread: number;
  area: readonly Position[] | null;
  from: string;
  to: string;
  classes: readonly string[];
  labels: Labels;
  method: Method;
  sure: number;
  before: string;
  after: string;
  swipe: boolean;
  sql: string;
}

/** An answer on its way. */
export type Remote<T> =
  { is: "idle" } | { is: "loading" } | { is: "failed"; message: string } | { is: "done"; value: T };

/** What was answered, and what concerns this moment only. */
export interface Answered {
  collections: Remote<Collection[]>;
  rasters: readonly Raster[];
  upload: File | null;
  hits: Remote<Hits>;
  matches: Remote<Matches>;
  heat: Remote<HeatMap>;
  classified: Remote<Classification>;
  evaluation: Remote<Evaluation>;
  job: Remote<Job>;
  suggestions: Remote<Suggestion[]>;
  pairs: Remote<Pair[]>;
  table: Remote<Table>;
  chips: ReadonlyMap<string, Chip>;
  activeClass: number;
  drawing: boolean;
  hovered: string | null;
  bounds: Box | null;
}

export type State = Asked & Answered;

export const ASKED: Asked = {
  collection: null,
  tab: "find",
  view: null,
  layers: ["raster", "chips"],
  tiles: "",
  theme: "auto",
  positives: [],
  negatives: [],
  k: 24,
  spread: 0,
  area: null,
  from: "",
  to: "",
  classes: ["Class 1", "Class 2"],
  labels: {},
  method: "knn",
  sure: 0,
  before: "",
  after: "",
  swipe: false,
  sql: "",
};

const idle = { is: "idle" } as const;
export const ANSWERED: Answered = {
  collections: { is: "loading" },
  rasters: [],
  upload: null,
  hits: idle,
  matches: idle,
  heat: idle,
  classified: idle,
  evaluation: idle,
  job: idle,
  suggestions: idle,
  pairs: idle,
  table: idle,
  chips: new Map(),
  activeClass: 0,
  drawing: false,
  hovered: null,
  bounds: null,
};

/** The area and the dates as the service takes them; nothing where nothing was chosen. */
export function filterOf(state: Asked): Filter {
  const filter: Filter = {};
  if (state.area) filter.within = { type: "Polygon", coordinates: [[...state.area, state.area[0]!]] };
  if (state.from || state.to) filter.between = `${state.from || ".."}/${state.to || ".."}`;
  return filter;
}

/** The collection that is shown, once the service has told of it. */
export function collectionOf(state: State): Collection | undefined {
  if (state.collections.is !== "done") return undefined;
  return state.collections.value.find(({ id }) => id === state.collection);
}

export function hasQuestion(state: State): boolean {
  return state.positives.length > 0 || state.upload !== null;
}

/** Hits without the examples themselves, best first. */
export function rankedHits(state: State): Chip[] {
  if (state.hits.is !== "done") return [];
  const examples = new Set([...state.positives, ...state.negatives]);
  return state.hits.value.features.filter(({ properties: { id } }) => !examples.has(id)).slice(0, state.k);
}
