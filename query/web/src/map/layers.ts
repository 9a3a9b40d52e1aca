/** The thematic layers: which they are, and how they look. */

import type {
  ExpressionSpecification,
  LayerSpecification,
  Map as MapLibre,
  SourceSpecification,
} from "maplibre-gl";
import { HEAT, HIT, LIKE, MATCH, UNLIKE } from "../palette.ts";

export const SOURCES = [
  "heat",
  "classes",
  "area",
  "rows",
  "matches",
  "footprints",
  "badges",
  "sketch",
] as const;
export type SourceName = (typeof SOURCES)[number];

const FONT = ["Inter Variable"];
const INK = "#11181c";
const BADGE = "badge ";
/** Pixels across, on the screen. */
const BADGE_SIZE = 20;
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
    id: "matches",
    type: "fill",
    source: "matches",
    filter: ["==", ["get", "id"], ""],
    paint: { "fill-color": MATCH, "fill-opacity": 0.6, "fill-antialias": false },
  },
  {
    id: "dots",
    type: "circle",
    source: "badges",
    layout: { "circle-sort-key": ["-", ["get", "order"]] },
    paint: {
      "circle-color": colour,
      "circle-radius": ["case", ["==", ["get", "text"], ""], 6, 3.5],
      "circle-stroke-color": ["case", ["==", ["get", "text"], ""], "#fff", INK],
      "circle-stroke-width": 1.6,
    },
  },
  {
    // where badges would cover each other, the best has one and the others stay dots
    id: "badges",
    type: "symbol",
    source: "badges",
    filter: ["!=", ["get", "text"], ""],
    layout: {
      "icon-image": ["concat", BADGE, colour],
      "text-field": ["get", "text"],
      "text-font": FONT,
      "text-size": 10.5,
      "symbol-sort-key": ["get", "order"],
      "icon-padding": 0,
      "text-padding": 0,
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

const EMPTY: SourceSpecification = { type: "geojson", data: { type: "FeatureCollection", features: [] } };

export function addThematicLayers(map: MapLibre): void {
  for (const name of SOURCES) map.addSource(name, EMPTY);
  for (const rim of [HIT, LIKE, UNLIKE]) map.addImage(BADGE + rim, badge(rim), { pixelRatio: 2 });
  for (const layer of LAYERS) map.addLayer(layer);
}

/** Only the footprints that stand out, for the other date of a swipe. */
export function addOutlines(map: MapLibre): void {
  map.addSource("footprints", EMPTY);
  for (const layer of LAYERS)
    if (["footprints-casing", "footprints-line"].includes(layer.id)) map.addLayer(layer);
}

/** A dark disc with a coloured rim, at twice the pixels. */
function badge(rim: string): ImageData {
  const side = BADGE_SIZE * 2;
  const context = new OffscreenCanvas(side, side).getContext("2d")!;
  context.arc(side / 2, side / 2, side / 2 - 3, 0, 2 * Math.PI);
  context.fillStyle = INK;
  context.strokeStyle = rim;
  context.lineWidth = 4;
  context.fill();
  context.stroke();
  return context.getImageData(0, 0, side, side);
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
      paint: { "fill-color": "#12a594", "fill-opacity": 0.12 },
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
        "line-opacity": ["interpolate", ["linear"], ["zoom"], 9, 0.05, 12, 0.14, 15, 0.4],
      },
    },
    "heat",
  );
}
