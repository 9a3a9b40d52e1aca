/** The file of a finished classification, read in the browser. */

import { parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import type { Polygon } from "geojson";
import type { Classification, Classified } from "./types.ts";

interface Row {
  id: string;
  class: string | null;
  confidence: number;
  distance: number;
  geometry: Polygon;
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

function middle({ coordinates }: Polygon): [number, number] {
  const ring = coordinates.flat(Number(Array.isArray(coordinates[0]?.[0]?.[0]))) as unknown as number[][];
  const mean = (axis: number) =>
    ring.slice(1).reduce((sum, corner) => sum + corner[axis]!, 0) / (ring.length - 1);
  return [mean(0), mean(1)];
}
