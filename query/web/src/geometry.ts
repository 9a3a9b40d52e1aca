/** Plane geometry on degrees, good for chips and views. */

import type { Polygon } from "geojson";
import type { Box, Position } from "./types.ts";

interface Place {
  lon: number;
  lat: number;
}

const METRES_A_DEGREE = 111_320;
const SAMPLE = 48;

/** How far chips stand apart in degrees, east and north; never more than a chip's side, so that they touch at most. */
export function spacing(places: readonly Place[], chipMetres: number): [number, number] {
  const middle = places[places.length >> 1]?.lat ?? 0;
  const most: [number, number] = [
    chipMetres / METRES_A_DEGREE / Math.max(0.01, Math.cos((middle * Math.PI) / 180)),
    chipMetres / METRES_A_DEGREE,
  ];
  const step = Math.max(1, Math.floor(places.length / SAMPLE));
  const east: number[] = [];
  const north: number[] = [];
  for (let i = 0; i < places.length; i += step) {
    const [dx, dy] = nearestSteps(places[i]!, places, most);
    if (dx) east.push(dx);
    if (dy) north.push(dy);
  }
  return [median(east) ?? most[0], median(north) ?? most[1]];
}

function nearestSteps(of: Place, places: readonly Place[], most: [number, number]): [number, number] {
  let [dx, dy] = [0, 0];
  for (const other of places) {
    const [x, y] = [Math.abs(other.lon - of.lon), Math.abs(other.lat - of.lat)];
    // a neighbour east or west stands nearly level, whatever turn the grid has
    if (x > y * 3 && x <= most[0] * 1.05 && (!dx || x < dx)) dx = x;
    if (y > x * 3 && y <= most[1] * 1.05 && (!dy || y < dy)) dy = y;
  }
  return [dx, dy];
}

function median(values: number[]): number | undefined {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

/** A rectangle about a place. */
export function tile({ lon, lat }: Place, [width, height]: [number, number]): Polygon {
  return boxPolygon([lon - width / 2, lat - height / 2, lon + width / 2, lat + height / 2]);
}

export function boxPolygon([w, s, e, n]: Box): Polygon {
  return {
    type: "Polygon",
    coordinates: [
      [
        [w, s],
        [e, s],
        [e, n],
        [w, n],
        [w, s],
      ],
    ],
  };
}

export function boxCorners(box: Box): Position[] {
  const [w, s, e, n] = unwrapped(box);
  return [
    [w, s],
    [e, s],
    [e, n],
    [w, n],
  ];
}

/** The same box with its east beyond 180° where it crosses the antimeridian. */
export function unwrapped([w, s, e, n]: Box): Box {
  return [w, s, e < w ? e + 360 : e, n];
}

/** The smallest box that holds all places. */
export function boxAround(places: readonly Place[]): Box | null {
  if (!places.length) return null;
  const [lon, lat] = [places.map((p) => p.lon), places.map((p) => p.lat)];
  return [least(lon), least(lat), most(lon), most(lat)];
}

// Math.min(...) has a limit to how many numbers it takes
const least = (values: readonly number[]) => values.reduce((a, b) => Math.min(a, b));
const most = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b));

/** Whether two boxes meet; west of one may lie east of its east, across the antimeridian. */
export function overlap(a: Box, b: Box): boolean {
  const [one, other] = [unwrapped(a), unwrapped(b)];
  const meet = (shift: number) => one[0] <= other[2] + shift && other[0] + shift <= one[2];
  return [-360, 0, 360].some(meet) && a[1] <= b[3] && b[1] <= a[3];
}

export function holds(box: Box, { lon, lat }: Place): boolean {
  return overlap(box, [lon, lat, lon, lat]);
}
