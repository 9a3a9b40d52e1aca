import assert from "node:assert/strict";
import { test } from "node:test";
import { placesOf, rowFeatures } from "../src/rows.ts";

const column = (name: string, type = "double") => ({ name, type });

test("rows with a geometry keep it, and it is no property", () => {
  const shape = { type: "Polygon", coordinates: [[[3, 4], [5, 4], [5, 6], [3, 4]]] }; // prettier-ignore
  const table = { columns: [column("id", "string"), column("geometry", "geometry")], rows: [["a", shape], ["b", null]], truncated: false }; // prettier-ignore
  const made = rowFeatures(table);
  assert.deepEqual(made.features[0], { type: "Feature", geometry: shape, properties: { id: "a" } });
  assert.equal(made.features[1]!.geometry, null);
  assert.deepEqual(placesOf(made), [{ lon: 3, lat: 4 }]);
});

test("rows with lon and lat are points, others have no place", () => {
  const placed = { columns: [column("lat"), column("lon")], rows: [[1, 2], [null, 2]], truncated: false }; // prettier-ignore
  assert.deepEqual(placesOf(rowFeatures(placed)), [{ lon: 2, lat: 1 }]);
  const bare = { columns: [column("n")], rows: [[7]], truncated: false };
  assert.deepEqual(rowFeatures(bare).features[0], { type: "Feature", geometry: null, properties: { n: 7 } });
});
