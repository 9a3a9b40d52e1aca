/** Rows of SQL as features: by their column of geometries, else by lon and lat. */

import type { Feature, FeatureCollection, Geometry } from "geojson";
import type { Table } from "./types.ts";

type Rows = FeatureCollection<Geometry | null>;

export function rowFeatures({ columns, rows }: Table): Rows {
  const shape = columns.findIndex(({ type }) => type === "geometry");
  const [lon, lat] = ["lon", "lat"].map((wanted) => columns.findIndex(({ name }) => name === wanted));
  const features = rows.map((row): Feature<Geometry | null> => {
    const point = { type: "Point" as const, coordinates: [Number(row[lon!]), Number(row[lat!])] };
    const placed = lon! >= 0 && lat! >= 0 && row[lon!] !== null && row[lat!] !== null;
    const properties = Object.fromEntries(
      columns.flatMap(({ name }, i) => (i === shape ? [] : [[name, row[i]]])),
    );
    return {
      type: "Feature",
      geometry: shape >= 0 ? (row[shape] as Geometry | null) : placed ? point : null,
      properties,
    };
  });
  return { type: "FeatureCollection", features };
}

/** A corner of each feature, enough to know where they lie. */
export function placesOf({ features }: Rows): { lon: number; lat: number }[] {
  return features.flatMap(({ geometry }) => {
    if (!geometry || geometry.type === "GeometryCollection") return [];
    const [lon, lat] = geometry.coordinates.flat(3) as number[];
    return [{ lon: lon!, lat: lat! }];
  });
}
