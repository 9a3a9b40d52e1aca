import assert from "node:assert/strict";
import { test } from "node:test";
import type { FeatureCollection, Geometry } from "geojson";
import { parquetMetadata, parquetReadObjects } from "hyparquet";
import { toCsv, toGeoJson, toGeoParquet } from "../src/exports.ts";
import { readClassification } from "../src/results.ts";

const square = { type: "Polygon" as const, coordinates: [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]] }; // prettier-ignore
const features: FeatureCollection<Geometry | null> = {
  type: "FeatureCollection",
  features: [
    {
      type: "Feature",
      geometry: square,
      properties: { id: "a", class: "water", confidence: 0.75, distance: 0, near: ["b"] },
    },
    { type: "Feature", geometry: null, properties: { id: "b", class: null, confidence: 0.5, sure: false } },
  ],
};

test("GeoJSON is what it was", async () => {
  assert.deepEqual(JSON.parse(await toGeoJson(features).text()), features);
});

test("GeoParquet has the values, the shapes and the geo key", async () => {
  const file = await (await toGeoParquet(features)).arrayBuffer();
  const geo = parquetMetadata(file).key_value_metadata?.find(({ key }) => key === "geo")?.value;
  assert.deepEqual(JSON.parse(geo!), {
    version: "1.1.0",
    primary_column: "geometry",
    columns: { geometry: { encoding: "WKB", geometry_types: ["Polygon"] } },
  });
  const rows = await parquetReadObjects({ file });
  assert.deepEqual(rows[0], {
    id: "a",
    class: "water",
    confidence: 0.75,
    distance: 0,
    near: '["b"]',
    sure: null,
    geometry: square,
  });
  assert.equal(rows[1]!["class"], null);
  assert.equal(rows[1]!["sure"], false);
  assert.equal(rows[1]!["geometry"], null);
});

test("a finished classification is read back", async () => {
  const geometry = { type: "Point" as const, coordinates: [13, 45] };
  const whole = { ...features, features: features.features.map((feature) => ({ ...feature, geometry })) };
  const { classes, chips } = await readClassification(await (await toGeoParquet(whole)).arrayBuffer(), 1);
  assert.deepEqual(classes, ["water"]);
  assert.deepEqual(chips, [{ id: "a", lon: 13, lat: 45, class: "water", confidence: 0.75, distance: 0 }]);
});

test("CSV quotes what needs it", async () => {
  const columns = [
    { name: "a", type: "VARCHAR" },
    { name: "b, c", type: "DOUBLE" },
  ];
  const csv = toCsv({ columns, rows: [['say "x"', 1.5], [null, [1]]], truncated: false }); // prettier-ignore
  assert.equal(await csv.text(), 'a,"b, c"\r\n"say ""x""",1.5\r\n,[1]\r\n');
});
