/** The file of a finished classification, read in the browser. */

import { parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import type { MultiPolygon, Polygon } from "geojson";
import type { Classification, Classified } from "./types.ts";

interface Row {
  id: string;
  class: string | null;
  confidence: number;
  distance: number;
  geometry: Polygon | MultiPolygon;
}

export async function readClassification(file: ArrayBuffer, most: number): Promise<Classification> {
  const columns = ["id", "class", "confidence", "distance", "geometry"];
  const rows = (await parquetReadObjects({ file, columns, compressors, rowEnd: most })) as unknown as Row[];
  const chips = rows.map(({ id, class: name, confidence, distance, geometry }): Classified => {
    const [lon, lat] = middle(geometry);
    return { id, lon, lat, class: name, confidence, distance };
  });
  const classes = [...new Set(chips.flatMap((chip) => (chip.class === null ? [] : [chip.class])))].sort();
  return { classes, chips };
}

/** The mean of the corners; of the first part where a chip was split at 180 degrees. */
function middle({ type, coordinates }: Polygon | MultiPolygon): [number, number] {
  const ring = (type === "Polygon" ? coordinates[0]! : coordinates[0]![0]!).slice(1);
  const mean = (axis: number) => ring.reduce((sum, corner) => sum + corner[axis]!, 0) / ring.length;
  return [mean(0), mean(1)];
}
