/** The thematic layers: which they are, and how they look. */

import type {
  ExpressionSpecification,
  LayerSpecification,
  Map as MapLibre,
  SourceSpecification,
} from "maplibre-gl";
import { HEAT } from "../palette.ts";

export const SOURCES = ["heat", "classes", "area", "rows", "footprints", "badges", "sketch"] as const;
export type SourceName = (typeof SOURCES)[number];

const FONT = ["Inter Variable"];
const colour: ExpressionSpecification = ["get", "colour"];
const ramp = HEAT.flatMap((value, i) => [i / (HEAT.length - 1), value]);
const heat = ["interpolate", ["linear"], ["get", "heat"], ...ramp] as ExpressionSpecification;

const LAYERS: readonly LayerSpecification[] = [
  {
    id: "heat",
    type: "fill",
    source: "heat",
    paint: { "fill-color": heat, "fill-opacity": 0.72, "fill-antialias": false },
  },
  {
    id: "classes",
    type: "fill",
    source: "classes",
    paint: { "fill-color": colour, "fill-opacity": ["get", "opacity"], "fill-antialias": false },
  },
  {
    id: "area-shade",
    type: "fill",
    source: "area",
    paint: { "fill-color": "#000", "fill-opacity": ["case", ["==", ["get", "outside"], true], 0.28, 0] },
  },
  {
    id: "area-line",
    type: "line",
    source: "area",
    filter: ["!=", ["get", "outside"], true],
    paint: { "line-color": "#fff", "line-width": 2, "line-dasharray": [2, 1.5] },
  },
  { id: "rows-fill", type: "fill", source: "rows", paint: { "fill-color": "#b277ff", "fill-opacity": 0.25 } },
  { id: "rows-line", type: "line", source: "rows", paint: { "line-color": "#b277ff", "line-width": 1.6 } },
  {
    id: "rows-point",
    type: "circle",
    source: "rows",
    filter: ["==", ["geometry-type"], "Point"],
    paint: {
      "circle-color": "#b277ff",
      "circle-radius": 4.5,
      "circle-stroke-color": "#fff",
      "circle-stroke-width": 1.2,
    },
  },
  {
    id: "footprints-casing",
    type: "line",
    source: "footprints",
    paint: { "line-color": "#0b1013", "line-width": 3.6, "line-opacity": 0.55 },
  },
  {
    id: "footprints-line",
    type: "line",
    source: "footprints",
    paint: { "line-color": colour, "line-width": 1.9 },
  },
  {
    id: "footprints-hover",
    type: "fill",
    source: "footprints",
    filter: ["==", ["get", "id"], ""],
    paint: { "fill-color": colour, "fill-opacity": 0.45 },
  },
  {
    id: "badges-disc",
    type: "circle",
    source: "badges",
    layout: { "circle-sort-key": ["-", ["get", "order"]] },
    paint: {
      "circle-color": ["case", ["==", ["get", "text"], ""], colour, "#11181c"],
      "circle-radius": ["case", ["==", ["get", "text"], ""], 6, 9],
      "circle-stroke-color": ["case", ["==", ["get", "text"], ""], "#fff", colour],
      "circle-stroke-width": 1.8,
    },
  },
  {
    id: "badges-text",
    type: "symbol",
    source: "badges",
    layout: {
      "text-field": ["get", "text"],
      "text-font": FONT,
      "text-size": 10.5,
      "text-allow-overlap": true,
      "symbol-sort-key": ["-", ["get", "order"]],
    },
    paint: { "text-color": "#fff" },
  },
  { id: "sketch-line", type: "line", source: "sketch", paint: { "line-color": "#ffb703", "line-width": 2 } },
  {
    id: "sketch-point",
    type: "circle",
    source: "sketch",
    filter: ["==", ["geometry-type"], "Point"],
    paint: {
      "circle-color": "#ffb703",
      "circle-radius": 4.5,
      "circle-stroke-color": "#11181c",
      "circle-stroke-width": 1.5,
    },
  },
];

export function addThematicLayers(map: MapLibre): void {
  const empty: SourceSpecification = { type: "geojson", data: { type: "FeatureCollection", features: [] } };
  for (const name of SOURCES) map.addSource(name, empty);
  for (const layer of LAYERS) map.addLayer(layer);
}

/** Show the chips of a collection: cells with counts from afar, footprints from near. */
export function addChips(map: MapLibre, tiles: string): void {
  for (const id of ["chips", "cells", "cells-line"]) if (map.getLayer(id)) map.removeLayer(id);
  if (map.getSource("chips")) map.removeSource("chips");
  map.addSource("chips", { type: "vector", tiles: [tiles], maxzoom: 14 });
  const common = { source: "chips" };
  map.addLayer(
    {
      id: "cells",
      type: "fill",
      "source-layer": "cells",
      ...common,
      paint: { "fill-color": "#12a594", "fill-opacity": 0.22 },
    },
    "heat",
  );
  map.addLayer(
    {
      id: "cells-line",
      type: "line",
      "source-layer": "cells",
      ...common,
      paint: { "line-color": "#12a594", "line-opacity": 0.5, "line-width": 0.8 },
    },
    "heat",
  );
  map.addLayer(
    {
      id: "chips",
      type: "line",
      "source-layer": "chips",
      ...common,
      paint: {
        "line-color": "#fff",
        "line-width": 0.7,
        "line-opacity": ["interpolate", ["linear"], ["zoom"], 9, 0.12, 14, 0.45],
      },
    },
    "area-shade",
  );
}
