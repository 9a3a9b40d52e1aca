/** Results as files: GeoJSON, GeoParquet 1.1, CSV. */

import type { Feature, FeatureCollection, Geometry } from "geojson";
import type { ColumnSource } from "hyparquet-writer";
import type { Table } from "./types.ts";

type Features = FeatureCollection<Geometry | null>;
type Value = string | number | boolean | null;

export function toGeoJson(features: Features): Blob {
  return new Blob([JSON.stringify(features)], { type: "application/geo+json" });
}

/** Columns of plain values; what is nested is written as JSON. */
export function columnsOf(features: readonly Feature<Geometry | null>[]): Map<string, Value[]> {
  const names = new Set(features.flatMap(({ properties }) => Object.keys(properties ?? {})));
  names.delete("geometry");
  return new Map([...names].map((name) => [name, features.map((f) => plain(f.properties?.[name]))]));
}

function plain(value: unknown): Value {
  if (value === null || value === undefined) return null;
  if (typeof value === "number" || typeof value === "string" || typeof value === "boolean") return value;
  return JSON.stringify(value);
}

export async function toGeoParquet(features: Features): Promise<Blob> {
  const { geojsonToWkb, parquetWriteBuffer } = await import("hyparquet-writer");
  const columnData: ColumnSource[] = [...columnsOf(features.features)].map(([name, data]) =>
    column(name, data),
  );
  const shapes = features.features.map(({ geometry }) => (geometry ? geojsonToWkb(geometry) : null));
  columnData.push({ name: "geometry", data: shapes, type: "BYTE_ARRAY", nullable: true });
  const types = [...new Set(features.features.flatMap(({ geometry }) => (geometry ? [geometry.type] : [])))];
  const geo = {
    version: "1.1.0",
    primary_column: "geometry",
    columns: { geometry: { encoding: "WKB", geometry_types: types.sort() } },
  };
  const buffer = parquetWriteBuffer({ columnData, kvMetadata: [{ key: "geo", value: JSON.stringify(geo) }] });
  return new Blob([buffer], { type: "application/vnd.apache.parquet" });
}

function column(name: string, values: Value[]): ColumnSource {
  const is = (type: string) => values.every((value) => value === null || typeof value === type);
  if (is("number")) return { name, data: values, type: "DOUBLE", nullable: true };
  if (is("boolean")) return { name, data: values, type: "BOOLEAN", nullable: true };
  return {
    name,
    data: values.map((value) => (value === null ? null : String(value))),
    type: "STRING",
    nullable: true,
  };
}

/** RFC 4180. */
export function toCsv({ columns, rows }: Table): Blob {
  const cell = (value: unknown) => {
    const text = value === null || value === undefined ? "" : String(plain(value));
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns.map(({ name }) => name), ...rows].map((line) => line.map(cell).join(","));
  return new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" });
}

export function download(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
