/** Change: two dates side by side, and the places that differ most between them. */

import type { FeatureCollection, Point } from "geojson";
import { change } from "../actions.ts";
import type { App } from "../app.ts";
import { fill, h } from "../dom.ts";
import { daysOf } from "../scenes.ts";
import type { State } from "../state.ts";
import type { Pair } from "../types.ts";
import { dateInput } from "./filters.ts";
import { count, day, exporter, field, pending, section, thumbnail } from "./parts.ts";

export function changePanel(app: App): HTMLElement {
  const { store } = app;
  const list = h("div");
  store.watch(["pairs"], (state) => showPairs(app, list, state));
  return h("div", {}, section("Two dates", days(app), actions(app)), list);
}

function days({ store }: App): HTMLElement {
  const known = h("datalist", { id: "days" });
  const before = dateInput("Before", (value) => store.set({ before: value }));
  const after = dateInput("After", (value) => store.set({ after: value }));
  const hint = h("p", { class: "hint" });
  for (const input of [before, after]) input.setAttribute("list", "days");
  store.watch(["before", "after", "rasters"], (state) => {
    before.value = state.before;
    after.value = state.after;
    const all = daysOf(state.rasters);
    fill(known, ...all.map((value) => h("option", { value })));
    const some = all.length > 6 ? [...all.slice(0, 3), "…", ...all.slice(-3)] : all;
    hint.textContent =
      all.length > 1
        ? `Scenes of ${some.join(", ")}.`
        : "The store's scenes are of one day or not at hand, so there is nothing to swipe between.";
  });
  // the first and the last day are what most want to compare
  store.watch(["rasters"], ({ rasters, before: a, after: b }) => {
    const all = daysOf(rasters);
    if (all.length > 1 && !a && !b) store.set({ before: all[0]!, after: all.at(-1)! });
  });
  return h(
    "div",
    {},
    hint,
    h("div", { class: "fields" }, field("Before", before), field("After", after)),
    known,
  );
}

function actions(app: App): HTMLElement {
  const { store } = app;
  const swipe = h("input", {
    type: "checkbox",
    id: "swipe",
    onchange: () => store.set({ swipe: swipe.checked }),
  });
  const rank = h(
    "button",
    { type: "button", class: "button primary", onclick: () => void change(app) },
    "Rank changes",
  );
  store.watch(["swipe", "before", "after"], (state) => {
    swipe.checked = state.swipe;
    swipe.disabled = rank.disabled = !state.before || !state.after;
  });
  return h("div", { class: "actions" }, rank, h("label", { class: "check" }, swipe, "Swipe on the map"));
}

function showPairs(app: App, list: HTMLElement, { pairs }: State): void {
  if (pairs.is !== "done")
    return fill(list, pending(pairs, "Rank the places by how far their vectors moved between the dates."));
  const all = pairs.value;
  fill(
    list,
    h(
      "div",
      { class: "row" },
      h("h2", {}, count(all.length, "place")),
      all.length > 0 && exporter("change", () => points(all)),
    ),
    all.length
      ? h("ol", { class: "pairs" }, ...all.map((pair, i) => row(app, pair, i + 1)))
      : h("p", { class: "empty" }, "No place has chips on both dates."),
  );
}

function row(app: App, pair: Pair, rank: number): HTMLElement {
  return h(
    "li",
    {},
    h(
      "button",
      {
        type: "button",
        class: "pair",
        onclick: () => app.map.go([pair.lon, pair.lat], 14),
        "aria-label": `Place ${rank}, distance ${pair.distance.toFixed(3)}: show on the map`,
      },
      h("span", { class: "rank" }, rank),
      figure(app, pair.id_a, pair.datetime_a),
      figure(app, pair.id_b, pair.datetime_b),
      h("span", { class: "score" }, pair.distance.toFixed(3)),
    ),
  );
}

function figure(app: App, id: string, datetime: string): HTMLElement {
  return h("span", { class: "dated" }, thumbnail(app, id, ""), h("span", { class: "note" }, day(datetime)));
}

function points(pairs: readonly Pair[]): FeatureCollection<Point> {
  return {
    type: "FeatureCollection",
    features: pairs.map(({ lon, lat, ...properties }) => ({
      type: "Feature",
      geometry: { type: "Point", coordinates: [lon, lat] },
      properties,
    })),
  };
}
