import assert from "node:assert/strict";
import { test } from "node:test";
import { boxAround, holds, overlap, spacing, tile, unwrapped } from "../src/geometry.ts";

const METRES_A_DEGREE = 111_320;

/** A grid about the equator, turned by an angle, steps in degrees. */
function grid(east: number, north: number, turn: number) {
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const places = [];
  for (let row = 0; row < 12; row += 1) {
    for (let col = 0; col < 12; col += 1) {
      const [x, y] = [col * east, row * north];
      places.push({ lon: x * cos - y * sin, lat: x * sin + y * cos });
    }
  }
  return places;
}

const near = (a: number, b: number) => Math.abs(a - b) <= 0.02 * b;

test("spacing finds the steps of a grid, also of one that is turned a little", () => {
  for (const turn of [0, 0.03, -0.05]) {
    const [dx, dy] = spacing(grid(0.004, 0.003, turn), 0.008 * METRES_A_DEGREE);
    assert.ok(near(dx, 0.004) && near(dy, 0.003), `${turn}: ${dx}, ${dy}`);
  }
});

test("chips far apart are no larger than a chip", () => {
  const side = 448;
  const [dx, dy] = spacing(grid(1, 1, 0), side);
  assert.ok(near(dy, side / METRES_A_DEGREE) && dx >= dy);
  assert.deepEqual(spacing([], METRES_A_DEGREE), [1, 1]);
});

test("boxes meet across the antimeridian", () => {
  const fiji: [number, number, number, number] = [177, -20, -178, -15];
  assert.ok(overlap(fiji, [170, -30, 178, 0]) && overlap([-179, -18, -170, 0], fiji));
  assert.ok(overlap(fiji, fiji) && overlap(fiji, [-180, -90, 180, 90]));
  assert.ok(!overlap(fiji, [-170, -30, 170, 0]) && !overlap([0, -20, 10, -15], fiji));
  assert.ok(holds(fiji, { lon: -179.5, lat: -17 }) && holds(fiji, { lon: 179.5, lat: -17 }));
  assert.ok(!holds(fiji, { lon: -177, lat: -17 }) && !holds(fiji, { lon: 0, lat: -17 }));
  assert.deepEqual(unwrapped(fiji), [177, -20, 182, -15]);
  assert.deepEqual(unwrapped([1, 2, 3, 4]), [1, 2, 3, 4]);
});

test("a tile lies about its place", () => {
  const { coordinates } = tile({ lon: 10, lat: 50 }, [2, 1]);
  assert.deepEqual(coordinates[0]![0], [9, 49.5]);
  assert.deepEqual(coordinates[0]![2], [11, 50.5]);
  assert.deepEqual(coordinates[0]!.at(-1), coordinates[0]![0]);
});

test("boxes", () => {
  const box = boxAround([
    { lon: 1, lat: 5 },
    { lon: -2, lat: 3 },
  ])!;
  assert.deepEqual(box, [-2, 3, 1, 5]);
  assert.equal(boxAround([]), null);
  assert.ok(holds(box, { lon: 0, lat: 4 }) && !holds(box, { lon: 2, lat: 4 }));
  assert.ok(overlap(box, [1, 5, 2, 6]) && !overlap(box, [1.1, 3, 2, 6]));
});
