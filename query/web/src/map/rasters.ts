/** The store's own scenes below the thematic layers, the latest on top. */

import type { Map as MapLibre } from "maplibre-gl";
import { overlap } from "../geometry.ts";
import type { Box, Raster } from "../types.ts";
import { ABOVE_RASTERS } from "./base.ts";

/** Scenes at once: each is a source with tiles of its own. */
const MOST = 12;

/** The scenes of a view, oldest first; of one day, or the latest of all. */
export function rastersOf(rasters: readonly Raster[], bounds: Box | null, day: string): Raster[] {
  return rasters
    .filter(({ bbox }) => !bounds || overlap(bbox, bounds))
    .filter(({ datetime }) => !day || datetime?.startsWith(day))
    .sort((a, b) => (a.datetime ?? "").localeCompare(b.datetime ?? ""))
    .slice(-MOST);
}

/** Days on which scenes were taken, in order. */
export function daysOf(rasters: readonly Raster[]): string[] {
  return [...new Set(rasters.flatMap(({ datetime }) => (datetime ? [datetime.slice(0, 10)] : [])))].sort();
}

export function showRasters(map: MapLibre, wanted: readonly Raster[], url: (item: string) => string): void {
  const ids = new Set(wanted.map(({ item }) => name(item)));
  for (const { id } of map.getStyle().layers) {
    if (!id.startsWith("scene ") || ids.has(id)) continue;
    map.removeLayer(id);
    map.removeSource(id);
  }
  for (const { item, bbox, minzoom, maxzoom } of wanted) {
    const id = name(item);
    if (map.getSource(id)) continue;
    map.addSource(id, { type: "raster", tiles: [url(item)], bounds: bbox, minzoom, maxzoom, tileSize: 256 });
    map.addLayer({ id, type: "raster", source: id, paint: { "raster-fade-duration": 120 } }, ABOVE_RASTERS);
  }
}

function name(item: string): string {
  return `scene ${item}`;
}
