/** What the service answers; see the OpenAPI document at /docs. */

import type { Feature, FeatureCollection, Geometry, Polygon } from "geojson";

export type Position = [lon: number, lat: number];
export type Box = [west: number, south: number, east: number, north: number];

export interface Collection {
  id: string;
  title: string;
  chips: number;
  extent: { spatial: { bbox: Box[] }; temporal: { interval: [string | null, string | null][] } };
  encoder: { name: string; dimension: number };
  chip_metres: number;
}

export interface ChipProperties {
  id: string;
  lon: number;
  lat: number;
  datetime: string | null;
  item?: string;
  score?: number;
  rank?: number;
}

export type Chip = Feature<Geometry, ChipProperties>;
export interface Report {
  plan: string;
  exact: boolean;
  candidates: number;
  scanned: number;
  warnings: string[];
}
export interface Hits extends FeatureCollection<Geometry, ChipProperties> {
  features: Chip[];
  report?: Report;
}

/** What of a chip matches the examples; null where nothing does, or where a reason says why it is not known. */
export type Matches = FeatureCollection<Geometry | null, { id: string; matching?: number; reason?: string }>;

/** What a search, a heat map or a classification may be limited to. */
export interface Filter {
  bbox?: Box;
  within?: Polygon;
  between?: string;
}

export interface Question extends Filter {
  positives: string[];
  negatives: string[];
  k: number;
  spread?: number;
}

export type Labels = Record<string, string>;
export type Method = "knn" | "probe" | "forest" | "prototype";

export interface Classified {
  id: string;
  lon: number;
  lat: number;
  class: string | null;
  confidence: number;
  distance: number;
}

export interface Classification {
  classes: string[];
  chips: Classified[];
  /** Chips of the file, if those here are only the first of them. */
  total?: number;
}

/** A figure and its 95 % interval. */
export interface Figure {
  value: number;
  low: number;
  high: number;
}
export interface Score {
  accuracy: Figure;
  macro_f1: Figure;
  tested: number;
}
/** What each least confidence gives on places that were not learned from. */
export interface Curve {
  threshold: number[];
  coverage: number[];
  precision: (number | null)[];
}
export interface Evaluation {
  spatial: Score;
  random: Score;
  curve: Curve;
  doubtful: { id: string; label: string; prediction: string; confidence: number }[];
}

export interface Suggestion {
  id: string;
  lon: number;
  lat: number;
  why: string;
  confidence: number;
  uncertainty: number;
}

export interface HeatMap {
  resolution: number;
  cells: { h3: string; chips: number; mean: number; best: number }[];
}

export interface Pair {
  id_a: string;
  id_b: string;
  lon: number;
  lat: number;
  distance: number;
  datetime_a: string;
  datetime_b: string;
}

export interface Raster {
  item: string;
  datetime: string | null;
  bbox: Box;
  minzoom: number;
  maxzoom: number;
}

export interface Table {
  columns: { name: string; type: string }[];
  rows: unknown[][];
  truncated: boolean;
}

export interface Job {
  id: string;
  status: "running" | "done" | "failed";
  progress: number;
  message: string;
  result?: string;
}
