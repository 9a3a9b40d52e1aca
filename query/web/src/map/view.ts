/** The map: draws the state, and tells where it was clicked. */

import {
  AttributionControl,
  Map as MapLibre,
  NavigationControl,
  ScaleControl,
  setWorkerUrl,
  type GeoJSONSource,
  type MapMouseEvent,
} from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import worker from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import type { FeatureCollection } from "geojson";
import type { Api } from "../api.ts";
import { boxCorners } from "../geometry.ts";
import { collectionOf, type State } from "../state.ts";
import type { Store } from "../store.ts";
import type { Box, Position } from "../types.ts";
import { baseStyle, loadOutlines, paintBase, setTiles } from "./base.ts";
import { Sketch } from "./draw.ts";
import { heatFeatures } from "./heat.ts";
import { addChips, addThematicLayers, type SourceName } from "./layers.ts";
import { badges, collection, footprints, matches, mosaic, sqlRows } from "./marks.ts";
import { rastersOf } from "../scenes.ts";
import { showRasters } from "./rasters.ts";
import { Swipe } from "./swipe.ts";
import { serveTiles } from "./tiles.ts";

setWorkerUrl(worker);

export type Click = { place: Position; add: boolean; against: boolean };

export class MapView {
  readonly #map: MapLibre;
  readonly #store: Store<State>;
  readonly #api: Api;
  #sketch: Sketch | null = null;
  #heat: FeatureCollection = collection([]);

  constructor(container: HTMLElement, store: Store<State>, api: Api, click: (click: Click) => void) {
    this.#store = store;
    this.#api = api;
    const { view } = store.now;
    serveTiles(api);
    this.#map = new MapLibre({
      container,
      style: baseStyle(isDark()),
      ...(view ?? { center: [10, 25], zoom: 1.4 }),
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      maxZoom: 19,
    });
    this.#map.touchZoomRotate.disableRotation();
    this.#map.keyboard.disableRotation();
    this.#map.addControl(new AttributionControl({ compact: true }));
    this.#map.addControl(new NavigationControl({ showCompass: false }), "top-right");
    this.#map.addControl(new ScaleControl({}), "bottom-right");
    this.#map.on("click", (event: MapMouseEvent) => {
      if (this.#sketch) return;
      const { shiftKey, ctrlKey, metaKey, altKey } = event.originalEvent;
      const { lng, lat } = event.lngLat.wrap();
      click({
        place: [lng, lat],
        add: shiftKey || ctrlKey || metaKey,
        against: altKey,
      });
    });
    this.#map.getCanvas().addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || this.#sketch) return;
      const { lng, lat } = this.#map.getCenter().wrap(); // where a cross is drawn while the map has the focus
      const { shiftKey, ctrlKey, metaKey, altKey } = event;
      click({ place: [lng, lat], add: shiftKey || ctrlKey || metaKey, against: altKey });
      event.preventDefault();
    });
    this.#map.once("style.load", () => this.#begin());
    new ResizeObserver(() => this.#map.resize()).observe(container);
  }

  get bounds(): Box {
    const { _sw: sw, _ne: ne } = this.#map.getBounds();
    const [south, north] = [Math.max(-90, sw.lat), Math.min(90, ne.lat)];
    // as the service has it, west of east across the antimeridian
    if (ne.lng - sw.lng >= 360) return [-180, south, 180, north];
    return [sw.wrap().lng, south, ne.wrap().lng, north];
  }

  /** The whole of the map as a picture would show it; for tests. */
  get idle(): boolean {
    return this.#map.loaded() && !this.#map.isMoving();
  }

  project(place: Position): [number, number] {
    const { x, y } = this.#map.project(place);
    return [x, y];
  }

  fit(box: Box, maxZoom = 15): void {
    this.#map.fitBounds(box, { padding: 48, maxZoom, duration: calm() ? 0 : 600 });
  }

  go(place: Position, zoom = 13): void {
    const to = { center: place, zoom: Math.max(zoom, this.#map.getZoom()) };
    if (calm()) this.#map.jumpTo(to);
    else this.#map.easeTo({ ...to, duration: 500 });
  }

  sketch(): Sketch | null {
    return this.#sketch;
  }

  draw(): void {
    if (this.#sketch) return;
    this.#store.set({ drawing: true });
    this.#sketch = new Sketch(
      this.#map,
      (features) => this.#put("sketch", collection(features)),
      (corners) => {
        this.#sketch = null;
        this.#store.set(corners ? { drawing: false, area: corners } : { drawing: false });
      },
    );
  }

  #begin(): void {
    addThematicLayers(this.#map);
    void loadOutlines(this.#map);
    this.#moved();
    this.#map.on("moveend", () => this.#moved());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
      paintBase(this.#map, isDark()),
    );
    const store = this.#store;
    store.watch(["theme"], () => paintBase(this.#map, isDark()));
    store.watch(["tiles"], ({ tiles }) => setTiles(this.#map, tiles));
    store.watch(["collection"], ({ collection: c }) => c && addChips(this.#map, this.#api.footprintTiles(c)));
    store.watch(["layers", "collection"], ({ layers }) =>
      this.#visible(["chips", "cells", "cells-line"], layers.includes("chips")),
    );
    store.watch(["rasters", "layers", "collection", "bounds", "swipe", "tab", "before"], (state) =>
      this.#rasters(state),
    );
    store.watch(["area"], ({ area }) => this.#put("area", areaFeatures(area)));
    store.watch(
      ["tab", "hits", "positives", "negatives", "labels", "classes", "suggestions", "pairs", "chips"],
      (state) => {
        this.#put("footprints", footprints(state));
        this.#put("badges", badges(state));
      },
    );
    store.watch(["tab", "table"], (state) => this.#put("rows", sqlRows(state)));
    store.watch(["hovered"], ({ hovered }) => {
      for (const layer of ["footprints-hover", "matches"])
        this.#map.setFilter(layer, ["==", ["get", "id"], hovered ?? ""]);
    });
    store.watch(["tab", "matches"], (state) => this.#put("matches", matches(state)));
    store.watch(["tab", "classified", "classes", "sure"], (state) => this.#classes(state));
    store.watch(["heat"], ({ heat }) => void this.#prepareHeat(heat));
    store.watch(["tab", "layers"], () => this.#showHeat());
    this.#hovering();
    new Swipe(this.#map, store, this.#api);
  }

  #moved(): void {
    const { lng, lat } = this.#map.getCenter();
    this.#store.set({ view: { center: [lng, lat], zoom: this.#map.getZoom() }, bounds: this.bounds });
  }

  #rasters({ rasters, layers, collection: c, bounds, swipe, tab, before }: State): void {
    const day = swipe && tab === "change" ? before : "";
    const wanted = layers.includes("raster") && c ? rastersOf(rasters, bounds, day) : [];
    showRasters(this.#map, wanted, (item) => this.#api.rasterTiles(c!, item));
  }

  #classes(state: State): void {
    const shown = state.tab === "label" && state.classified.is === "done" ? state.classified.value : null;
    const metres = collectionOf(state)?.chip_metres ?? 500;
    this.#put("classes", shown ? mosaic(shown, state.classes, state.sure, metres) : collection([]));
  }

  async #prepareHeat(heat: State["heat"]): Promise<void> {
    if (heat.is === "loading") return;
    this.#heat = heat.is === "done" ? await heatFeatures(heat.value) : collection([]);
    this.#showHeat();
  }

  #showHeat(): void {
    const { tab, layers } = this.#store.now;
    this.#put("heat", tab === "find" && layers.includes("heat") ? this.#heat : collection([]));
  }

  #hovering(): void {
    this.#map.on("mousemove", "dots", (event) => {
      const id = event.features?.[0]?.properties["id"] as string | undefined;
      this.#store.set({ hovered: id ?? null });
      if (!this.#sketch) this.#map.getCanvas().style.cursor = "pointer";
    });
    this.#map.on("mouseleave", "dots", () => {
      this.#store.set({ hovered: null });
      if (!this.#sketch) this.#map.getCanvas().style.cursor = "";
    });
  }

  #visible(layers: readonly string[], shown: boolean): void {
    for (const id of layers) {
      if (this.#map.getLayer(id)) this.#map.setLayoutProperty(id, "visibility", shown ? "visible" : "none");
    }
  }

  #put(name: SourceName, data: FeatureCollection): void {
    (this.#map.getSource(name) as GeoJSONSource | undefined)?.setData(data);
  }
}

/** The area's outline, and the world around it in shade. */
function areaFeatures(area: State["area"]): FeatureCollection {
  if (!area) return collection([]);
  const ring = [...area, area[0]!];
  const world = boxCorners([-180, -85, 180, 85]);
  const shade = [[...world, world[0]!], ring];
  return collection([
    { type: "Feature", geometry: { type: "Polygon", coordinates: shade }, properties: { outside: true } },
    { type: "Feature", geometry: { type: "Polygon", coordinates: [ring] }, properties: {} },
  ]);
}

export function isDark(): boolean {
  const { theme } = document.documentElement.dataset;
  return theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
}

function calm(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
