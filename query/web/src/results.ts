/** The file of a finished classification, read in the browser. */

import { parquetMetadata, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import type { Point } from "geojson";
import type { Classification, Classified, Position } from "./types.ts";

interface Row {
  id: string;
  class: string | null;
  confidence: number;
  distance: number;
  geometry: Point;
}

export async function readClassification(file: ArrayBuffer, most: number): Promise<Classification> {
  const columns = ["id", "class", "confidence", "distance", "geometry"];
  const rows = (await parquetReadObjects({ file, columns, compressors, rowEnd: most })) as unknown as Row[];
  const chips = rows.map(({ id, class: name, confidence, distance, geometry }): Classified => {
    const [lon, lat] = geometry.coordinates as Position;
    return { id, lon, lat, class: name, confidence, distance };
  });
  const classes = [...new Set(chips.flatMap((chip) => (chip.class === null ? [] : [chip.class])))].sort();
  return { classes, chips, total: Number(parquetMetadata(file).num_rows) };
}
