/** Keyboard shortcuts. */

import type { App } from "./app.ts";
import { boxAround } from "./geometry.ts";
import { TABS, type Layer } from "./state.ts";

/** What the help shows; the map's own keys come from MapLibre. */
export const SHORTCUTS: readonly { keys: readonly string[]; does: string }[] = [
  { keys: ["1", "2", "3", "4"], does: "Find, Label, Change, SQL" },
  { keys: ["D"], does: "Draw an area; Enter closes it, Backspace takes a corner back, Esc gives up" },
  { keys: ["H"], does: "Similarity heat map" },
  { keys: ["R"], does: "Scenes" },
  { keys: ["C"], does: "Footprints" },
  { keys: ["F"], does: "Fit the hits" },
  { keys: ["U"], does: "Upload a chip" },
  { keys: ["J", "K"], does: "Next and previous hit" },
  { keys: ["+", "−"], does: "More, less like the hit in focus" },
  { keys: ["Shift", "1…9"], does: "Choose a class" },
  { keys: ["Shift", "click"], does: "Add an example" },
  { keys: ["Alt", "click"], does: "Add a counter-example" },
  { keys: ["Enter"], does: "Click in the middle of the map, where a cross is while it has the focus" },
  { keys: ["?"], does: "This help" },
];

const LAYER_KEYS: Record<string, Layer> = { h: "heat", r: "raster", c: "chips" };

export function listen(app: App): void {
  document.addEventListener("keydown", (event) => {
    if (
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      isTyping(event.target) ||
      document.querySelector("dialog[open]")
    )
      return;
    if (sketching(app, event) || press(app, event)) event.preventDefault();
  });
}

function isTyping(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return !["checkbox", "range"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

function sketching({ map }: App, { key }: KeyboardEvent): boolean {
  const sketch = map.sketch();
  if (!sketch) return false;
  if (key === "Enter") sketch.finish();
  else if (key === "Escape") sketch.cancel();
  else if (key === "Backspace") sketch.back();
  else return false;
  return true;
}

function press(app: App, event: KeyboardEvent): boolean {
  const { store, map } = app;
  const key = event.key.toLowerCase();
  const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
  const layer = LAYER_KEYS[key];
  if (digit && event.shiftKey) {
    const at = Number(digit) - 1;
    if (at < store.now.classes.length) store.set({ activeClass: at });
  } else if (digit && TABS[Number(digit) - 1]) store.set({ tab: TABS[Number(digit) - 1]! });
  else if (layer) {
    const { layers } = store.now;
    store.set({ layers: layers.includes(layer) ? layers.filter((l) => l !== layer) : [...layers, layer] });
  } else if (key === "d") map.draw();
  else if (key === "f") fitHits(app);
  else if (key === "u") document.querySelector<HTMLInputElement>("#upload")?.click();
  else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  else if (key === "+" || key === "=") judge("like");
  else if (key === "-") judge("unlike");
  else if (key === "?") document.querySelector<HTMLDialogElement>("#help")?.showModal();
  else return false;
  return true;
}

function fitHits({ store, map }: App): void {
  const { hits } = store.now;
  const box = hits.is === "done" && boxAround(hits.value.features.map(({ properties }) => properties));
  if (box) map.fit(box);
}

function step(by: number): void {
  const all = [...document.querySelectorAll<HTMLElement>(".tile .pick")];
  const at = all.indexOf(document.activeElement as HTMLElement);
  all[at < 0 ? 0 : Math.max(0, Math.min(all.length - 1, at + by))]?.focus();
}

function judge(kind: "like" | "unlike"): void {
  document.activeElement?.closest(".tile")?.querySelector<HTMLElement>(`.verdict .${kind}`)?.click();
}
