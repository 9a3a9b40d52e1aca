/** Which of the store's own scenes are shown: of a view, and of a day. */

import { overlap } from "./geometry.ts";
import type { Box, Raster } from "./types.ts";

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
