/** Two dates side by side: a second map over the first, cut at a bar that can be dragged. */

import { Map as MapLibre, type GeoJSONSource } from "maplibre-gl";
import type { Api } from "../api.ts";
import { h, icon } from "../dom.ts";
import type { State } from "../state.ts";
import type { Store } from "../store.ts";
import { baseStyle, loadOutlines } from "./base.ts";
import { rastersOf } from "../scenes.ts";
import { addOutlines } from "./layers.ts";
import { footprints } from "./marks.ts";
import { showRasters } from "./rasters.ts";
import { isDark } from "./view.ts";

const KEY_STEP = 0.02;

export class Swipe {
  readonly #below: MapLibre;
  readonly #store: Store<State>;
  readonly #api: Api;
  #above: MapLibre | null = null;
  #parts: HTMLElement[] = [];
  #ready = false;
  #share = 0.5;

  constructor(below: MapLibre, store: Store<State>, api: Api) {
    this.#below = below;
    this.#store = store;
    this.#api = api;
    store.watch(["swipe", "tab"], ({ swipe, tab }) =>
      swipe && tab === "change" ? this.#open() : this.#close(),
    );
    store.watch(["after", "before", "rasters", "bounds", "pairs", "chips"], () => this.#show());
  }

  #open(): void {
    if (this.#above) return;
    const layer = h("div", { class: "swipe-map", "aria-hidden": "true" });
    const bar = h(
      "div",
      {
        class: "swipe-bar",
        role: "slider",
        tabindex: 0,
        "aria-label": "Swipe between the dates",
        "aria-valuemin": 0,
        "aria-valuemax": 100,
        onkeydown: (event: KeyboardEvent) => this.#key(event),
        onpointerdown: (event: PointerEvent) => bar.setPointerCapture(event.pointerId),
        onpointermove: (event: PointerEvent) => bar.hasPointerCapture(event.pointerId) && this.#drag(event),
      },
      h("span", { class: "swipe-day left" }),
      h("span", { class: "swipe-grip" }, icon("swipe")),
      h("span", { class: "swipe-day right" }),
    );
    this.#below.getContainer().append(layer, bar);
    this.#parts = [layer, bar];
    this.#above = new MapLibre({
      container: layer,
      style: baseStyle(isDark()),
      interactive: false,
      attributionControl: false,
      maxZoom: 19,
      ...this.#camera(),
    });
    const above = this.#above;
    above.once("style.load", () => {
      void loadOutlines(above);
      addOutlines(above);
      this.#ready = true;
      this.#show();
    });
    this.#below.on("move", this.#follow);
    this.#below.on("resize", this.#follow);
    this.#cut(this.#share);
    this.#show();
  }

  #close(): void {
    this.#below.off("move", this.#follow);
    this.#below.off("resize", this.#follow);
    this.#above?.remove();
    this.#above = null;
    this.#ready = false;
    for (const part of this.#parts) part.remove();
    this.#parts = [];
  }

  #show(): void {
    const { rasters, bounds, before, after, collection } = this.#store.now;
    const [, bar] = this.#parts;
    if (!bar) return;
    bar.querySelector(".left")!.textContent = before;
    bar.querySelector(".right")!.textContent = after;
    if (!this.#above || !this.#ready || !collection) return;
    this.#above.getSource<GeoJSONSource>("footprints")?.setData(footprints(this.#store.now));
    showRasters(this.#above, rastersOf(rasters, bounds, after), (item) =>
      this.#api.rasterTiles(collection, item),
    );
  }

  #camera() {
    const { lng, lat } = this.#below.getCenter();
    return { center: [lng, lat] as [number, number], zoom: this.#below.getZoom() };
  }

  readonly #follow = (): void => {
    this.#above?.resize();
    this.#above?.jumpTo(this.#camera());
  };

  #drag(event: PointerEvent): void {
    const { left, width } = this.#below.getContainer().getBoundingClientRect();
    this.#cut((event.clientX - left) / width);
  }

  #key(event: KeyboardEvent): void {
    const step = { ArrowLeft: -KEY_STEP, ArrowRight: KEY_STEP }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    this.#cut(this.#share + step);
  }

  #cut(share: number): void {
    this.#share = Math.min(0.98, Math.max(0.02, share));
    const [layer, bar] = this.#parts;
    const percent = `${(this.#share * 100).toFixed(1)}%`;
    layer!.style.clipPath = `inset(0 0 0 ${percent})`;
    bar!.style.left = percent;
    bar!.setAttribute("aria-valuenow", (this.#share * 100).toFixed(0));
  }
}
