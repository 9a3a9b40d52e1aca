import assert from "node:assert/strict";
import { test } from "node:test";
import { best, question, scores } from "../src/bundle/likeness.ts";

const vectors = new Float32Array([1, 0, 0.6, 0.8, 0, 1, -1, 0]);

test("a chip's nearest is the one of the smallest angle, and it itself comes first", () => {
  const query = question(vectors, 2, [0], [])!;
  const hits = best(scores(vectors, 2, query), 3);
  assert.deepEqual(
    hits.map(({ row }) => row),
    [0, 1, 2],
  );
  assert.ok(Math.abs(hits[1]!.score - 0.6) < 1e-6);
  assert.deepEqual(
    best(scores(vectors, 2, query), 1, new Set([0])).map(({ row }) => row),
    [1],
  );
});

test("examples are averaged, and those against push away", () => {
  const between = question(vectors, 2, [0, 2], [])!;
  assert.ok(Math.abs(between[0]! - between[1]!) < 1e-6);
  const away = question(vectors, 2, [1], [2])!;
  assert.ok(away[0]! > 0.6);
  assert.equal(question(vectors, 2, [0, 3], []), null);
  assert.equal(question(vectors, 2, [], []), null);
});
