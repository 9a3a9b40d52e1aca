/** How good the labels are: cross-validation, what a threshold gives, and labels worth a second look. */

import type { App } from "../app.ts";
import { fill, h } from "../dom.ts";
import type { State } from "../state.ts";
import type { Curve, Evaluation, Figure, Score } from "../types.ts";
import { percent, section, thumbnail } from "./parts.ts";

const [WIDTH, HEIGHT] = [320, 64];
/** Doubtful labels that are shown. */
const SHOWN = 5;

export function qualityPart(app: App): HTMLElement {
  const where = h("div");
  app.store.watch(["evaluation", "classified", "sure"], (state) => {
    where.toggleAttribute("aria-busy", state.evaluation.is === "loading");
    if (state.evaluation.is === "loading") return;
    fill(where, state.classified.is === "idle" ? null : parts(app, state));
  });
  return where;
}

function parts(app: App, { evaluation, sure }: State): HTMLElement | null {
  // too few labels to be tested are no failure: the answer says what to add
  if (evaluation.is === "failed") return h("p", { class: "note" }, `No score yet: ${evaluation.message}`);
  if (evaluation.is !== "done") return null;
  const { spatial, random, curve, doubtful } = evaluation.value;
  return section(
    "How good is it?",
    scores(spatial, random),
    drawing(curve, sure),
    h("p", { class: "note" }, atThreshold(curve, sure)),
    doubtful.length > 0 && again(app, doubtful),
  );
}

function scores(spatial: Score, random: Score): HTMLElement {
  const cell = ({ value, low, high }: Figure) =>
    h("td", {}, value.toFixed(2), h("span", { class: "quiet" }, ` ${low.toFixed(2)}–${high.toFixed(2)}`));
  const line = (name: string, score: Score) =>
    h("tr", {}, h("th", { scope: "row" }, name), cell(score.accuracy), cell(score.macro_f1));
  const head = ["Tested", "Accuracy", "Macro F1"].map((text) => h("th", { scope: "col" }, text));
  return h(
    "table",
    { class: "scores" },
    h("thead", {}, h("tr", {}, ...head)),
    h("tbody", {}, line("in other places", spatial), line("at random", random)),
  );
}

/** Precision and coverage over the least confidence, with the one that is chosen. */
function drawing({ threshold, precision, coverage }: Curve, sure: number): HTMLElement {
  const path = (values: readonly (number | null)[]) =>
    values
      .flatMap((y, i) =>
        y === null ? [] : [`${(threshold[i]! * WIDTH).toFixed(1)},${((1 - y) * HEIGHT).toFixed(1)}`],
      )
      .join(" ");
  const frame = h("div", { class: "curve" });
  // a picture of numbers that are said in words below it
  frame.innerHTML = `<svg viewBox="-2 -4 ${WIDTH + 4} ${HEIGHT + 8}" aria-hidden="true">
    <line class="axis" x1="0" y1="${HEIGHT}" x2="${WIDTH}" y2="${HEIGHT}" />
    <polyline class="coverage" points="${path(coverage)}" /><polyline class="precision" points="${path(precision)}" />
    <line class="chosen" x1="${sure * WIDTH}" y1="0" x2="${sure * WIDTH}" y2="${HEIGHT}" /></svg>`;
  frame.append(
    h(
      "p",
      { class: "note" },
      h("span", { class: "key precision" }),
      "right ",
      h("span", { class: "key coverage" }),
      "this sure",
    ),
  );
  return frame;
}

function atThreshold({ threshold, precision, coverage }: Curve, sure: number): string {
  const after = threshold.findIndex((value) => value >= sure - 1e-9);
  const at = after < 0 ? threshold.length - 1 : after;
  const right = precision[at];
  if (right === null || right === undefined) return "In other places, no answer was this sure.";
  return `In other places ${percent(coverage[at]!)} of the answers were this sure, and ${percent(right)} of these right.`;
}

function again(app: App, doubtful: Evaluation["doubtful"]): HTMLElement {
  const one = ({ id, label, prediction }: Evaluation["doubtful"][number]) => {
    const show = () => {
      const place = app.store.now.chips.get(id)?.properties;
      if (place) app.map.go([place.lon, place.lat], 14);
    };
    return h(
      "li",
      { class: "next" },
      h(
        "button",
        { type: "button", class: "pick", "aria-label": "Show this chip on the map", onclick: show },
        thumbnail(app, id, ""),
      ),
      h("p", { class: "note" }, `labelled ${label}, looks like ${prediction}`),
    );
  };
  return section("Worth a second look", h("ul", { class: "nexts" }, ...doubtful.slice(0, SHOWN).map(one)));
}
