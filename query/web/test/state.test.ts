import assert from "node:assert/strict";
import { test } from "node:test";
import { unwrapped } from "../src/map/heat.ts";
import { badges, mosaic } from "../src/map/marks.ts";
import { daysOf, rastersOf } from "../src/scenes.ts";
import { classColour, HIT, LIKE, spreadOf } from "../src/palette.ts";
import { ANSWERED, ASKED, filterOf, rankedHits, type State } from "../src/state.ts";
import { Store } from "../src/store.ts";
import type { Chip, Raster } from "../src/types.ts";

const chip = (id: string): Chip => ({
  type: "Feature",
  geometry: { type: "Point", coordinates: [1, 2] },
  properties: { id, lon: 1, lat: 2, datetime: null },
});
const state: State = {
  ...ASKED,
  ...ANSWERED,
  positives: ["a"],
  k: 2,
  hits: { is: "done", value: { type: "FeatureCollection", features: ["a", "b", "c", "d"].map(chip) } },
  chips: new Map(["a", "b", "c", "d"].map((id) => [id, chip(id)])),
};

test("a store tells those who watch what changed, once, after all has changed", () => {
  const store = new Store({ a: 1, b: 2, c: 3 });
  const seen: string[] = [];
  store.watch(["a", "b"], ({ a, b }) => seen.push(`${a}${b}`));
  store.set({ a: 5, b: 6 });
  store.set({ c: 9 });
  store.set({ a: 5 });
  assert.deepEqual(seen, ["12", "56"]);
});

test("examples are no hits, and the map ranks as the list does", () => {
  assert.deepEqual(rankedHits(state).map(({ properties }) => properties.id), ["b", "c"]); // prettier-ignore
  const marks = badges(state).features.map(({ properties: { id, text, colour } }) => [id, text, colour]);
  assert.deepEqual(marks, [["a", "+", LIKE], ["b", "1", HIT], ["c", "2", HIT]]); // prettier-ignore
});

test("labels have the colour of their class", () => {
  const labelled = { ...state, tab: "label" as const, classes: ["x", "y"], labels: { b: "y" } };
  assert.deepEqual(badges(labelled).features.map(({ properties }) => properties.colour), [classColour(1)]); // prettier-ignore
});

test("the mosaic shows confidence as strength, and what is unsure as grey", () => {
  const chips = [0.9, 0.3].map((confidence, i) => ({
    id: `${i}`,
    lon: i,
    lat: 0,
    class: "x",
    confidence,
    distance: 0,
  }));
  const [sure, unsure] = mosaic({ classes: ["x"], chips }, ["x"], 0.5, 100).features.map(
    ({ properties }) => properties!,
  );
  assert.equal(sure!["colour"], classColour(0));
  assert.notEqual(unsure!["colour"], classColour(0));
  assert.ok(sure!["opacity"] > unsure!["opacity"]);
});

test("filters leave out what was not chosen, and close the polygon", () => {
  assert.deepEqual(filterOf(ASKED), {});
  assert.deepEqual(filterOf({ ...ASKED, from: "2019-01-01", area: [[0, 0], [1, 0], [1, 1]] }), {
    between: "2019-01-01/..",
    within: { type: "Polygon", coordinates: [[[0, 0], [1, 0], [1, 1], [0, 0]]] },
  }); // prettier-ignore
});

test("scenes of a view and a day, oldest first", () => {
  const raster = (item: string, datetime: string | null, west: number): Raster => ({
    item, datetime, bbox: [west, 0, west + 1, 1], minzoom: 8, maxzoom: 13,
  }); // prettier-ignore
  const all = [
    raster("new", "2020-05-01T10:00:00Z", 0),
    raster("old", "2019-05-01T10:00:00Z", 0),
    raster("far", null, 50),
  ];
  assert.deepEqual(rastersOf(all, [0, 0, 2, 2], "").map(({ item }) => item), ["old", "new"]); // prettier-ignore
  assert.deepEqual(rastersOf(all, null, "2020-05-01").map(({ item }) => item), ["new"]); // prettier-ignore
  assert.deepEqual(daysOf(all), ["2019-05-01", "2020-05-01"]);
});

test("colours spread over what is there, without the outermost", () => {
  const values = Array.from({ length: 1001 }, (_, i) => i / 1000);
  assert.deepEqual(spreadOf([...values, 50]), [0.01, 0.991]);
  assert.equal(spreadOf([])[1], 1);
  const [low, high] = spreadOf([2, 2]);
  assert.ok(high > low);
});

test("a cell across the antimeridian is drawn in one piece", () => {
  assert.deepEqual(unwrapped([[179, 0], [-179, 0], [-179, 1]]), [[179, 0], [181, 0], [181, 1]]); // prettier-ignore
  assert.deepEqual(unwrapped([[-1, 0], [1, 0]]), [[-1, 0], [1, 0]]); // prettier-ignore
});
