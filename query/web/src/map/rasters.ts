/** The store's own scenes as rasters below the thematic layers. */

import type { Map as MapLibre } from "maplibre-gl";
import { unwrapped } from "../geometry.ts";
import type { Raster } from "../types.ts";
import { ABOVE_RASTERS } from "./base.ts";

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
    const bounds = unwrapped(bbox);
    map.addSource(id, { type: "raster", tiles: [url(item)], bounds, minzoom, maxzoom, tileSize: 256 });
    map.addLayer({ id, type: "raster", source: id, paint: { "raster-fade-duration": 120 } }, ABOVE_RASTERS);
  }
}

function name(item: string): string {
  return `scene ${item}`;
}
