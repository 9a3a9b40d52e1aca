/** Drawing a polygon: a click sets a corner, Enter or a click on the first corner closes it, Escape gives up. */

import type { Map as MapLibre, MapMouseEvent } from "maplibre-gl";
import type { Feature } from "geojson";
import type { Position } from "../types.ts";

/** Pixels within which a click means the first corner. */
const NEAR = 12;

export class Sketch {
  #corners: Position[] = [];
  readonly #map: MapLibre;
  readonly #show: (features: Feature[]) => void;
  readonly #done: (corners: Position[] | null) => void;

  constructor(
    map: MapLibre,
    show: (features: Feature[]) => void,
    done: (corners: Position[] | null) => void,
  ) {
    this.#map = map;
    this.#show = show;
    this.#done = done;
    map.on("click", this.#click);
    map.on("mousemove", this.#move);
    map.doubleClickZoom.disable();
    map.getCanvas().style.cursor = "crosshair";
  }

  /** Close the polygon; with fewer than three corners nothing was drawn. */
  finish(): void {
    this.#end(this.#corners.length >= 3 ? this.#corners : null);
  }

  cancel(): void {
    this.#end(null);
  }

  back(): void {
    this.#corners.pop();
    this.#draw();
  }

  readonly #click = (event: MapMouseEvent): void => {
    const first = this.#corners[0];
    const place: Position = [event.lngLat.lng, event.lngLat.lat];
    if (first && this.#corners.length >= 3 && this.#map.project(first).dist(event.point) < NEAR)
      return this.finish();
    const last = this.#corners.at(-1);
    // the second click of a double click closes the polygon
    if (last && this.#map.project(last).dist(event.point) < 4) return this.finish();
    this.#corners.push(place);
    this.#draw();
  };

  readonly #move = (event: MapMouseEvent): void => {
    this.#draw([event.lngLat.lng, event.lngLat.lat]);
  };

  #draw(pointer?: Position): void {
    const line = pointer && this.#corners.length ? [...this.#corners, pointer] : [...this.#corners];
    if (line.length >= 3) line.push(line[0]!);
    const points: Feature[] = this.#corners.map((coordinates) => {
      return { type: "Feature", geometry: { type: "Point", coordinates }, properties: {} };
    });
    this.#show([
      { type: "Feature", geometry: { type: "LineString", coordinates: line }, properties: {} },
      ...points,
    ]);
  }

  #end(corners: Position[] | null): void {
    this.#map.off("click", this.#click);
    this.#map.off("mousemove", this.#move);
    this.#map.getCanvas().style.cursor = "";
    // not at once, or the double click that ended it zooms
    setTimeout(() => this.#map.doubleClickZoom.enable(), 300);
    this.#show([]);
    this.#done(corners);
  }
}
