/** The similarity heat map: H3 cells as polygons, coloured by likeness. */

import type { FeatureCollection, Polygon } from "geojson";
import { spreadOf } from "../palette.ts";
import type { HeatMap } from "../types.ts";

/** `heat` runs from 0 to 1 over the likeness that is there. */
export async function heatFeatures({ cells }: HeatMap): Promise<FeatureCollection<Polygon>> {
  const { cellToBoundary } = await import("h3-js");
  const [low, high] = spreadOf(cells.map(({ mean }) => mean));
  return {
    type: "FeatureCollection",
    features: cells.map((cell) => ({
      type: "Feature",
      geometry: { type: "Polygon", coordinates: [unwrapped(cellToBoundary(cell.h3, true))] },
      properties: { ...cell, heat: Math.max(0, Math.min(1, (cell.mean - low) / (high - low))) },
    })),
  };
}

/** A ring across the antimeridian goes on beyond 180 degrees, as the map wants it. */
export function unwrapped(ring: number[][]): number[][] {
  const lon = ring.map(([x]) => x!);
  if (Math.max(...lon) - Math.min(...lon) < 180) return ring;
  return ring.map(([x, y]) => [x! < 0 ? x! + 360 : x!, y!]);
}
