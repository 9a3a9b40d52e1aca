/** Where and when: the filter that every question shares. */

import type { App } from "../app.ts";
import { boxCorners } from "../geometry.ts";
import { fill, h, icon } from "../dom.ts";
import { closeOutside, field, iconButton } from "./parts.ts";

export function filterBar(app: App): HTMLElement {
  const area = h("div", { class: "filter" });
  const { store } = app;
  store.watch(["area", "drawing"], ({ area: corners, drawing }) =>
    fill(area, ...areaParts(app, corners !== null, drawing)),
  );
  return h("div", { class: "filters", role: "group", "aria-label": "Where and when" }, area, dates(app));
}

function areaParts({ store, map }: App, chosen: boolean, drawing: boolean): (HTMLElement | null)[] {
  if (drawing) return [h("span", { class: "chosen" }, "Drawing …")];
  if (chosen) {
    return [
      h("span", { class: "chosen" }, icon("draw"), "In the area"),
      iconButton("close", "Clear the area", () => store.set({ area: null }), { "data-key": "area" }),
    ];
  }
  return [
    h(
      "button",
      {
        type: "button",
        class: "button small",
        "data-key": "area",
        title: "Draw an area (D)",
        onclick: () => map.draw(),
      },
      icon("draw"),
      "Draw area",
    ),
    h(
      "button",
      {
        type: "button",
        class: "button small",
        title: "Take what is in view as the area",
        onclick: () => store.set({ area: boxCorners(map.bounds) }),
      },
      icon("fit"),
      "View",
    ),
  ];
}

function dates({ store }: App): HTMLElement {
  const from = dateInput("From", (value) => store.set({ from: value }));
  const to = dateInput("Until", (value) => store.set({ to: value }));
  const text = h("span");
  const clear = iconButton("close", "Clear the dates", () => store.set({ from: "", to: "" }));
  store.watch(["from", "to"], (state) => {
    if (from.value !== state.from) from.value = state.from;
    if (to.value !== state.to) to.value = state.to;
    from.max = state.to;
    to.min = state.from;
    text.textContent = spanText(state.from, state.to);
    clear.hidden = !state.from && !state.to;
  });
  const menu = h(
    "details",
    { class: "menu dates" },
    h("summary", { class: "button small" }, icon("calendar"), text),
    h("div", { class: "menu-items" }, field("From", from), field("Until", to)),
  );
  closeOutside(menu);
  return h("div", { class: "filter" }, menu, clear);
}

function spanText(from: string, to: string): string {
  if (from && to) return from === to ? from : `${from} to ${to}`;
  if (from) return `From ${from}`;
  return to ? `Until ${to}` : "Any date";
}

export function dateInput(label: string, change: (value: string) => void): HTMLInputElement {
  const input = h("input", {
    type: "date",
    "aria-label": label,
    title: label,
    onchange: () => change(input.value),
  });
  return input;
}
