/** Label: classes, labelled chips, the classified area, and what to label next. */

import type { FeatureCollection, Point } from "geojson";
import { cancel, classify, label, suggest } from "../actions.ts";
import type { App } from "../app.ts";
import { fill, h } from "../dom.ts";
import { download } from "../exports.ts";
import { classColour } from "../palette.ts";
import type { State } from "../state.ts";
import type { Classification, Method, Suggestion } from "../types.ts";
import { count, exporter, field, pending, percent, section, thumbnail } from "./parts.ts";
import { classList } from "./classes.ts";
import { qualityPart } from "./quality.ts";

const METHODS: [Method, string][] = [
  ["knn", "Nearest neighbours"],
  ["probe", "Linear probe"],
  ["forest", "Random forest"],
  ["prototype", "Prototype"],
];

export function labelPanel(app: App): HTMLElement {
  const result = h("div");
  const next = h("div");
  const act = h("div", { class: "actions" });
  const { store } = app;
  store.watch(["labels", "classified", "job"], (state) => fill(act, ...buttons(app, state)));
  store.watch(["classified", "sure", "classes", "job"], (state) => showResult(app, result, state));
  store.watch(["suggestions", "labels", "classes", "activeClass"], (state) =>
    fill(next, nextPart(app, state)),
  );
  return h("div", {}, classList(app), methodField(app), act, result, next, qualityPart(app));
}

function methodField({ store }: App): HTMLElement {
  const select = h(
    "select",
    { id: "method", onchange: () => store.set({ method: select.value as Method }) },
    ...METHODS.map(([value, text]) => h("option", { value }, text)),
  );
  store.watch(["method"], ({ method }) => (select.value = method));
  return h("div", { class: "fields" }, field("Method", select));
}

function buttons(app: App, { labels, classified, job }: State): (HTMLElement | null)[] {
  const used = new Set(Object.values(labels)).size;
  const lacking = used < 2 ? "Label chips of at least two classes first." : null;
  const busy = classified.is === "loading" || job.is === "loading";
  return [
    h(
      "button",
      {
        type: "button",
        class: "button primary",
        "data-key": "classify",
        disabled: Boolean(lacking) || busy,
        onclick: () => void classify(app),
      },
      "Classify the view",
    ),
    h(
      "button",
      {
        type: "button",
        class: "button",
        "data-key": "everything",
        disabled: Boolean(lacking) || busy,
        title: "Every chip of the area or of the store",
        onclick: () => void classify(app, true),
      },
      "Everything",
    ),
    h(
      "button",
      {
        type: "button",
        class: "button",
        "data-key": "suggest",
        disabled: Boolean(lacking),
        onclick: () => void suggest(app),
      },
      "What next?",
    ),
    lacking ? h("p", { class: "note" }, `${count(Object.keys(labels).length, "label")}. ${lacking}`) : null,
  ];
}

function showResult(app: App, where: HTMLElement, state: State): void {
  const { classified, job } = state;
  const old = where.querySelector(".legend");
  where.toggleAttribute("aria-busy", classified.is === "loading");
  if (classified.is === "loading" && old) return;
  fill(
    where,
    jobPart(app, state),
    classified.is === "idle" && job.is !== "idle"
      ? null
      : classified.is === "done"
        ? legend(app, state, classified.value)
        : pending(classified, ""),
  );
}

function jobPart(app: App, { job }: State): HTMLElement | null {
  if (job.is !== "done") return job.is === "failed" ? pending(job, "") : null;
  const { id, status, progress, message } = job.value;
  if (status === "running") {
    return h(
      "div",
      { class: "job", role: "status" },
      h(
        "div",
        { class: "row" },
        h("span", {}, `Classifying, ${percent(progress)}`),
        h("button", { type: "button", class: "link", onclick: () => void cancel(app, job.value) }, "Stop"),
      ),
      h("progress", { value: progress, max: 1, "aria-label": message || "Progress" }),
    );
  }
  const save = async () => download("classified.parquet", new Blob([await app.api.jobResult(id)]));
  return h(
    "div",
    { class: "row" },
    h("span", {}, "The whole area is classified."),
    h("button", { type: "button", class: "button small", onclick: () => void save() }, "Save GeoParquet"),
  );
}

function legend(app: App, { classes, sure }: State, answer: Classification): HTMLElement {
  const { chips, total = chips.length } = answer;
  const cut = total > chips.length; // the file holds all
  const passing = chips.filter((chip) => chip.class !== null && chip.confidence >= sure);
  const slider = h("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.01,
    value: sure,
    "aria-label": "Least confidence",
    "data-key": "sure",
    oninput: () => app.store.set({ sure: Number(slider.value) }),
  });
  return h(
    "section",
    { class: "section legend" },
    h(
      "div",
      { class: "row" },
      h("h2", {}, cut ? `The first ${chips.length} of ${count(total, "chip")}` : count(chips.length, "chip")),
      cut ? null : exporter("classified", () => points(answer)),
    ),
    h(
      "ul",
      { class: "bars" },
      ...classes.flatMap((name, i) => {
        const of = passing.filter((chip) => chip.class === name);
        const mean = of.reduce((sum, chip) => sum + chip.confidence, 0) / (of.length || 1);
        return h(
          "li",
          { style: `--colour: ${classColour(i)}; --share: ${of.length / (chips.length || 1)}` },
          h("span", { class: "bar-name" }, name),
          h("span", { class: "bar" }),
          h("span", { class: "number" }, percent(of.length / (chips.length || 1))),
          h("span", { class: "number quiet", title: "Mean confidence" }, of.length ? mean.toFixed(2) : "–"),
        );
      }),
    ),
    h("label", { class: "slider" }, h("span", {}, "Surer than"), slider, h("output", {}, sure.toFixed(2))),
    h(
      "p",
      { class: "note" },
      `${percent(passing.length / (chips.length || 1))} of the chips are this sure; the rest is grey.`,
    ),
  );
}

/** Chips at their centres: what was asked is a class for each, not its outline. */
function points({ chips }: Classification): FeatureCollection<Point> {
  return {
    type: "FeatureCollection",
    features: chips.map(({ lon, lat, ...properties }) => ({
      type: "Feature",
      id: properties.id,
      geometry: { type: "Point", coordinates: [lon, lat] },
      properties,
    })),
  };
}

function nextPart(app: App, state: State): HTMLElement | null {
  const { suggestions } = state;
  if (suggestions.is === "idle") return null;
  if (suggestions.is !== "done") return pending(suggestions, "");
  const open = suggestions.value.filter(({ id }) => !(id in state.labels));
  return section(
    "Label next",
    open.length
      ? h("ul", { class: "nexts" }, ...open.map((one) => suggestion(app, state, one)))
      : h("p", { class: "empty" }, "All of these are labelled. Ask again for more."),
  );
}

function suggestion(
  app: App,
  { classes }: State,
  { id, lon, lat, why, confidence }: Suggestion,
): HTMLElement {
  return h(
    "li",
    { class: "next" },
    h(
      "button",
      {
        type: "button",
        class: "pick",
        "aria-label": "Show this chip on the map",
        onclick: () => app.map.go([lon, lat], 14),
      },
      thumbnail(app, id, ""),
    ),
    h(
      "div",
      {},
      h("p", { class: "note" }, `${why} · confidence ${confidence.toFixed(2)}`),
      h(
        "div",
        { class: "answers" },
        ...classes.map((name, i) =>
          h(
            "button",
            {
              type: "button",
              class: "answer",
              "data-key": `answer-${id}-${i}`,
              style: `--colour: ${classColour(i)}`,
              onclick: () => label(app, id, name),
            },
            name,
          ),
        ),
      ),
    ),
  );
}
