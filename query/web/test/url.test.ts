import assert from "node:assert/strict";
import { test } from "node:test";
import { ASKED, type Asked } from "../src/state.ts";
import { fromHash, toHash } from "../src/url.ts";

const id = (digit: string) => digit.repeat(32);

test("what was asked comes back from its link", () => {
  const asked: Asked = {
    collection: "north italy",
    tab: "label",
    view: { center: [13.36, 45.76], zoom: 11.5 },
    layers: ["heat"],
    tiles: "https://tiles.example/{z}/{x}/{y}.png",
    theme: "dark",
    positives: [id("a"), id("b")],
    negatives: [id("c")],
    k: 48,
    spread: 500,
    area: [
      [13.1, 45.1],
      [13.2, 45.1],
      [13.2, 45.2],
    ],
    from: "2019-01-01",
    to: "2019-12-31",
    classes: ["Water: deep; cold", "Town", "empty"],
    labels: { [id("1")]: "Water: deep; cold", [id("2")]: "Town", [id("3")]: "Town" },
    method: "probe",
    sure: 0.4,
    before: "2019-01-01",
    after: "2020-01-01",
    swipe: true,
    sql: "SELECT 'a=b&c' FROM embeddings -- 100 %",
  };
  assert.deepEqual(fromHash(`#${toHash(asked)}`), asked);
});

test("the beginning needs no link", () => {
  assert.equal(toHash(ASKED), "");
  assert.deepEqual(fromHash(""), ASKED);
});

test("a layer list without layers is not the default", () => {
  assert.deepEqual(fromHash(`#${toHash({ ...ASKED, layers: [] })}`).layers, []);
});

test("nonsense in a link is left out", () => {
  const link = [
    "like=zz.<b>",
    "k=1e9",
    "at=500,1,3",
    "area=1,2;3",
    "from=yesterday",
    "tiles=javascript:alert(1)",
    "t=evil",
    "classes=%25E0%25A4%25A:1",
    "theme=pink",
    "sure=2",
  ];
  assert.deepEqual(fromHash(`#${link.join("&")}`), ASKED);
});
