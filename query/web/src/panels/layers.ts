/** What the map shows, and its looks. */

import type { App } from "../app.ts";
import { h, icon } from "../dom.ts";
import type { Layer, Theme } from "../state.ts";
import { closeOutside, field } from "./parts.ts";

const NAMES: [Layer, string][] = [
  ["raster", "Scenes (R)"],
  ["chips", "Footprints (C)"],
  ["heat", "Similarity heat map (H)"],
];

export function layerMenu({ store }: App): HTMLElement {
  const boxes = NAMES.map(([layer, text]) => {
    const box = h("input", { type: "checkbox", onchange: () => toggle(layer) });
    return { layer, box, label: h("label", { class: "check" }, box, text) };
  });
  const toggle = (layer: Layer) => {
    const { layers } = store.now;
    store.set({ layers: layers.includes(layer) ? layers.filter((l) => l !== layer) : [...layers, layer] });
  };
  const tiles = h("input", {
    type: "url",
    placeholder: "https://…/{z}/{x}/{y}.png",
    spellcheck: "false",
    onchange: () => store.set({ tiles: tiles.checkValidity() ? tiles.value.trim() : "" }),
  });
  const theme = h(
    "select",
    { onchange: () => store.set({ theme: theme.value as Theme }) },
    ...["auto", "light", "dark"].map((value) => h("option", { value }, value)),
  );
  store.watch(["layers", "tiles", "theme"], (state) => {
    for (const { layer, box } of boxes) box.checked = state.layers.includes(layer);
    tiles.value = state.tiles;
    theme.value = state.theme;
  });
  const menu = h(
    "details",
    { class: "menu layers" },
    h(
      "summary",
      { class: "icon-button float", "aria-label": "Layers and looks", title: "Layers and looks" },
      icon("layers"),
    ),
    h(
      "div",
      { class: "menu-items" },
      h("div", { class: "checks" }, ...boxes.map(({ label }) => label)),
      field("Background tiles", tiles),
      h("p", { class: "hint" }, "Without tiles the map needs no network."),
      field("Theme", theme),
    ),
  );
  closeOutside(menu);
  return menu;
}
