/** Find: examples for and against, the places most like them, the heat map. */

import type { App } from "../app.ts";
import { heatFeatures } from "../map/heat.ts";
import { boxAround, holds } from "../geometry.ts";
import { fill, h, icon } from "../dom.ts";
import { HEAT } from "../palette.ts";
import { hasQuestion, rankedHits, type State } from "../state.ts";
import type { Chip, Hits } from "../types.ts";
import { count, day, exporter, field, iconButton, pending, thumbnail } from "./parts.ts";

export function findPanel(app: App): HTMLElement {
  const examples = h("div", { class: "examples" });
  const results = h("div", { class: "results" });
  const heat = h("div");
  app.store.watch(["positives", "negatives", "upload", "collection", "tab"], (state) =>
    fill(examples, ...exampleParts(app, state)),
  );
  app.store.watch(["hits", "positives", "negatives", "upload", "bounds"], (state) =>
    showHits(app, results, state),
  );
  app.store.watch(["hovered"], ({ hovered }) => markHovered(results, hovered));
  app.store.watch(["heat", "layers", "positives"], (state) => fill(heat, heatPart(app, state)));
  return h("div", {}, examples, settings(app), heat, results);
}

function exampleParts(app: App, state: State): (HTMLElement | null)[] {
  if (!hasQuestion(state)) return [beginning()];
  const { store } = app;
  const without = (key: "positives" | "negatives", id: string) => {
    store.set({ [key]: store.now[key].filter((other) => other !== id) });
  };
  const chip = (key: "positives" | "negatives", id: string) => {
    const kind = key === "positives" ? "like" : "unlike";
    return h(
      "li",
      { class: `example ${kind}` },
      thumbnail(app, id, key === "positives" ? "Example" : "Counter-example"),
      h("span", { class: "sign", "aria-hidden": "true" }, key === "positives" ? "+" : "−"),
      iconButton(
        "close",
        key === "positives" ? "Remove this example" : "Remove this counter-example",
        () => without(key, id),
        { class: "corner" },
      ),
    );
  };
  const file =
    state.upload &&
    h(
      "li",
      { class: "example like file", title: state.upload.name },
      h("span", { class: "thumb" }, icon("upload"), h("span", {}, state.upload.name)),
      iconButton("close", "Remove the uploaded chip", () => store.set({ upload: null }), { class: "corner" }),
    );
  return [
    h(
      "div",
      { class: "row" },
      h("h2", {}, "Places like"),
      h(
        "button",
        {
          type: "button",
          class: "link",
          onclick: () => store.set({ positives: [], negatives: [], upload: null }),
        },
        "Clear",
      ),
    ),
    h(
      "ul",
      { class: "strip", "aria-label": "Examples" },
      file,
      ...state.positives.map((id) => chip("positives", id)),
      ...state.negatives.map((id) => chip("negatives", id)),
    ),
  ];
}

function beginning(): HTMLElement {
  return h(
    "div",
    { class: "hero" },
    h("h2", {}, "Find the places like this one"),
    h("p", {}, "Click a place on the map, or bring a chip of your own."),
    uploadButton(),
    h("p", { class: "hint" }, "Shift-click adds an example, Alt-click a counter-example."),
  );
}

function uploadButton(): HTMLElement {
  const press = () => document.querySelector<HTMLInputElement>("#upload")?.click();
  return h("button", { type: "button", class: "button", onclick: press }, icon("upload"), "Upload a chip");
}

function settings({ store }: App): HTMLElement {
  const k = h(
    "select",
    { id: "k", onchange: () => store.set({ k: Number(k.value) }) },
    ...[12, 24, 48, 96, 200].map((n) => h("option", { value: n }, n)),
  );
  const spread = h(
    "select",
    { id: "spread", onchange: () => store.set({ spread: Number(spread.value) }) },
    ...[
      [0, "none"],
      [250, "250 m"],
      [500, "500 m"],
      [1000, "1 km"],
      [5000, "5 km"],
    ].map(([value, text]) => h("option", { value: value! }, text!)),
  );
  const whole = h("div", { class: "fields" }, field("Hits", k), field("Apart", spread));
  store.watch(["k", "spread", "positives", "upload"], (state) => {
    ensure(k, String(state.k));
    ensure(spread, String(state.spread));
    whole.hidden = !hasQuestion(state);
  });
  return whole;
}

/** A value from the URL may be one that the list does not offer. */
function ensure(select: HTMLSelectElement, value: string): void {
  if (![...select.options].some((option) => option.value === value))
    select.append(h("option", { value }, value));
  select.value = value;
}

function heatPart({ store }: App, { heat, layers, positives }: State): HTMLElement | null {
  if (!positives.length) return null;
  const on = layers.includes("heat");
  const toggle = () => store.set({ layers: on ? layers.filter((l) => l !== "heat") : [...layers, "heat"] });
  const box = h("input", { type: "checkbox", id: "heat", "data-key": "heat", onchange: toggle });
  box.checked = on;
  const legend =
    on &&
    heat.is === "done" &&
    h(
      "div",
      { class: "row" },
      h("span", { class: "ramp", style: `background: linear-gradient(90deg, ${HEAT.join(", ")})` }),
      h("span", { class: "ramp-ends" }, "unlike → like"),
      exporter("heat-map", () => heatFeatures(heat.value)),
    );
  return h(
    "div",
    { class: "heat" },
    h("label", { class: "check" }, box, "Similarity heat map of the view"),
    on && heat.is === "failed" && pending(heat, ""),
    legend || null,
  );
}

function showHits(app: App, list: HTMLElement, state: State): void {
  const { hits } = state;
  const old = list.querySelector(".grid");
  // hits stay in place, dimmed, until others are there
  list.toggleAttribute("aria-busy", hits.is === "loading");
  if (hits.is === "loading" && old) return;
  if (hits.is !== "done") {
    return fill(list, hits.is === "idle" ? null : hits.is === "loading" ? skeleton() : pending(hits, ""));
  }
  const ranked = rankedHits(state);
  fill(
    list,
    heading(app, state, hits.value, ranked),
    ranked.length
      ? h("ol", { class: "grid", "aria-label": "Hits" }, ...ranked.map((hit, i) => tile(app, hit, i + 1)))
      : h("p", { class: "empty" }, "Nothing passes the filter. Widen the area or the dates."),
  );
  markHovered(list, state.hovered);
}

function heading({ map }: App, { bounds }: State, all: Hits, ranked: readonly Chip[]): HTMLElement {
  const places = ranked.map(({ properties }) => properties);
  const outside = bounds ? places.filter((place) => !holds(bounds, place)).length : 0;
  const box = boxAround(places);
  const { report } = all;
  return h(
    "div",
    {},
    h(
      "div",
      { class: "row" },
      h("h2", {}, count(ranked.length, "hit")),
      h(
        "span",
        { class: "tools" },
        outside > 0 &&
          box &&
          h(
            "button",
            { type: "button", class: "button small", "data-key": "fit", onclick: () => map.fit(box) },
            icon("fit"),
            `${outside} out of view`,
          ),
        exporter("hits", () => ({ ...all, features: [...ranked] })),
      ),
    ),
    report
      ? h(
          "p",
          { class: "note" },
          `${report.exact ? "exact" : report.plan} · ${count(report.candidates, "candidate")}`,
        )
      : null,
    ...(report?.warnings ?? []).map((warning) => h("p", { class: "note warning" }, warning)),
  );
}

function tile(app: App, { properties: hit }: Chip, rank: number): HTMLElement {
  const { store, map } = app;
  const { id } = hit;
  const judge = (key: "positives" | "negatives") => store.set({ [key]: [...store.now[key], id] });
  return h(
    "li",
    {
      class: "tile",
      "data-id": id,
      onpointerenter: () => store.set({ hovered: id }),
      onpointerleave: () => store.set({ hovered: null }),
    },
    h(
      "button",
      {
        type: "button",
        class: "pick",
        "data-key": id,
        title: `${day(hit.datetime)} · ${hit.lon.toFixed(4)}, ${hit.lat.toFixed(4)}`,
        "aria-label": `Hit ${rank}, likeness ${hit.score?.toFixed(3)}, ${day(hit.datetime)}: show on the map`,
        onclick: () => map.go([hit.lon, hit.lat]),
        onfocus: () => store.set({ hovered: id }),
      },
      thumbnail(app, id, ""),
      h("span", { class: "rank" }, rank),
    ),
    h(
      "div",
      { class: "verdict" },
      h("span", { class: "score" }, hit.score?.toFixed(3) ?? ""),
      iconButton("up", `More like hit ${rank}`, () => judge("positives"), { class: "like" }),
      iconButton("down", `Less like hit ${rank}`, () => judge("negatives"), { class: "unlike" }),
    ),
  );
}

function skeleton(): HTMLElement {
  return h(
    "div",
    { class: "grid", role: "status", "aria-label": "Searching" },
    ...Array.from({ length: 12 }, () => h("div", { class: "tile bone" })),
  );
}

function markHovered(list: HTMLElement, id: string | null): void {
  for (const each of list.querySelectorAll<HTMLElement>(".tile"))
    each.classList.toggle("hovered", each.dataset["id"] === id);
}
