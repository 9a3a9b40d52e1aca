/** The base map: Natural Earth's land and borders from the package, and tiles of the user's choice. */

import type { Map as MapLibre, StyleSpecification } from "maplibre-gl";
import type { GeometryCollection, Topology } from "topojson-specification";
import { feature, mesh } from "topojson-client";
import atlas from "world-atlas/countries-50m.json?url";

const INK = {
  light: { ocean: "#dfe7ea", land: "#f4f2ec", border: "#c9c5b8", coast: "#b3bec1" },
  dark: { ocean: "#0d1418", land: "#1a2227", border: "#38444b", coast: "#2f3c43" },
};
const EMPTY = { type: "FeatureCollection" as const, features: [] };

/** Rasters go below this layer, thematic layers above it. */
export const ABOVE_RASTERS = "above-rasters";
const ABOVE_TILES = "above-tiles";

export function baseStyle(dark: boolean): StyleSpecification {
  const ink = INK[dark ? "dark" : "light"];
  const anchor = (id: string) => ({
    id,
    type: "background" as const,
    layout: { visibility: "none" as const },
  });
  return {
    version: 8,
    sources: {
      land: { type: "geojson", data: EMPTY, attribution: "Natural Earth" },
      borders: { type: "geojson", data: EMPTY },
    },
    layers: [
      { id: "ocean", type: "background", paint: { "background-color": ink.ocean } },
      { id: "land", type: "fill", source: "land", paint: { "fill-color": ink.land } },
      { id: "coast", type: "line", source: "land", paint: { "line-color": ink.coast, "line-width": 0.8 } },
      {
        id: "border",
        type: "line",
        source: "borders",
        paint: { "line-color": ink.border, "line-width": 0.8 },
      },
      anchor(ABOVE_TILES),
      anchor(ABOVE_RASTERS),
    ],
  };
}

export function paintBase(map: MapLibre, dark: boolean): void {
  const ink = INK[dark ? "dark" : "light"];
  map.setPaintProperty("ocean", "background-color", ink.ocean);
  map.setPaintProperty("land", "fill-color", ink.land);
  map.setPaintProperty("coast", "line-color", ink.coast);
  map.setPaintProperty("border", "line-color", ink.border);
}

type Countries = Topology<{ countries: GeometryCollection; land: GeometryCollection }>;
let outlines: Promise<Countries> | undefined;

export async function loadOutlines(map: MapLibre): Promise<void> {
  outlines ??= fetch(atlas).then((answer) => answer.json() as Promise<Countries>);
  const world = await outlines;
  source(map, "land").setData(feature(world, world.objects.land));
  source(map, "borders").setData(mesh(world, world.objects.countries, (a, b) => a !== b));
}

function source(map: MapLibre, id: string) {
  return map.getSource(id) as import("maplibre-gl").GeoJSONSource;
}

/** Show tiles of a URL with {z}/{x}/{y}, or none. */
export function setTiles(map: MapLibre, url: string): void {
  if (map.getLayer("tiles")) map.removeLayer("tiles");
  if (map.getSource("tiles")) map.removeSource("tiles");
  if (!url) return;
  map.addSource("tiles", { type: "raster", tiles: [url], tileSize: 256 });
  map.addLayer({ id: "tiles", type: "raster", source: "tiles" }, ABOVE_TILES);
}
