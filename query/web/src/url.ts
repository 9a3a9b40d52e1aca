/** What was asked, as the part of the URL after "#": a link brings back the same page. */

import { ASKED, LAYERS, TABS, type Asked, type Layer, type Tab, type Theme } from "./state.ts";
import type { Labels, Method, Position } from "./types.ts";

const METHODS: readonly Method[] = ["knn", "probe", "forest", "prototype"];
const THEMES: readonly Theme[] = ["auto", "light", "dark"];
const ID = /^[0-9a-f]{32}$/;
const DAY = /^\d{4}-\d\d-\d\d$/;

/** Write what differs from the beginning. */
export function toHash(state: Asked): string {
  const out = new URLSearchParams();
  const put = (key: string, value: string, otherwise = "") => value !== otherwise && out.set(key, value);
  put("c", state.collection ?? "");
  put("t", state.tab, ASKED.tab);
  if (state.view)
    put("at", [...state.view.center.map((x) => x.toFixed(5)), state.view.zoom.toFixed(2)].join(","));
  put("show", state.layers.join(","), ASKED.layers.join(","));
  put("tiles", state.tiles);
  put("theme", state.theme, ASKED.theme);
  put("like", state.positives.join("."));
  put("unlike", state.negatives.join("."));
  put("k", String(state.k), String(ASKED.k));
  put("spread", String(state.spread), String(ASKED.spread));
  put("area", (state.area ?? []).map(([x, y]) => `${round(x)},${round(y)}`).join(";"));
  put("from", state.from);
  put("to", state.to);
  put("classes", classesToText(state.classes, state.labels), classesToText(ASKED.classes, {}));
  put("m", state.method, ASKED.method);
  put("sure", String(state.sure), String(ASKED.sure));
  put("a", state.before);
  put("b", state.after);
  put("swipe", state.swipe ? "1" : "");
  put("sql", state.sql);
  return out.toString();
}

/** Read what was written; what makes no sense is left as at the beginning. */
export function fromHash(hash: string): Asked {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const text = (key: string) => given.get(key) ?? "";
  const oneOf = <T extends string>(key: string, all: readonly T[], otherwise: T): T =>
    all.find((one) => one === text(key)) ?? otherwise;
  const number = (key: string, low: number, high: number, otherwise: number) => {
    const value = Number(given.get(key) ?? Number.NaN);
    return value >= low && value <= high ? value : otherwise;
  };
  const ids = (key: string) =>
    text(key)
      .split(".")
      .filter((id) => ID.test(id));
  const day = (key: string) => (DAY.test(text(key)) ? text(key) : "");
  const { classes, labels } = textToClasses(text("classes"));
  return {
    collection: given.get("c"),
    tab: oneOf<Tab>("t", TABS, ASKED.tab),
    view: textToView(text("at")),
    layers: given.has("show")
      ? LAYERS.filter((layer: Layer) => text("show").split(",").includes(layer))
      : ASKED.layers,
    tiles: /^https?:\/\//.test(text("tiles")) ? text("tiles") : "",
    theme: oneOf("theme", THEMES, ASKED.theme),
    positives: ids("like"),
    negatives: ids("unlike"),
    k: Math.round(number("k", 1, 200, ASKED.k)),
    spread: number("spread", 0, 1e6, ASKED.spread),
    area: textToArea(text("area")),
    from: day("from"),
    to: day("to"),
    classes,
    labels,
    method: oneOf("m", METHODS, ASKED.method),
    sure: number("sure", 0, 1, ASKED.sure),
    before: day("a"),
    after: day("b"),
    swipe: text("swipe") === "1",
    sql: text("sql"),
  };
}

function round(degrees: number): number {
  return Math.round(degrees * 1e5) / 1e5;
}

function numbers(text: string): number[] {
  return text.split(",").map((part) => (part ? Number(part) : Number.NaN));
}

function textToView(text: string): Asked["view"] {
  const [lon, lat, zoom] = numbers(text);
  if (!isPlace(lon, lat) || !(zoom! >= 0 && zoom! <= 24)) return null;
  return { center: [lon!, lat!], zoom: zoom! };
}

function textToArea(text: string): Position[] | null {
  const corners = text.split(";").map(numbers);
  if (corners.length < 3 || !corners.every(([lon, lat]) => isPlace(lon, lat))) return null;
  return corners.map(([lon, lat]) => [lon!, lat!]);
}

function isPlace(lon: number | undefined, lat: number | undefined): boolean {
  return Math.abs(lon ?? Number.NaN) <= 360 && Math.abs(lat ?? Number.NaN) <= 90; // beyond 180° across the antimeridian
}

/** `name:id.id;name:id`, names escaped. */
function classesToText(classes: readonly string[], labels: Labels): string {
  return classes
    .map((name) => {
      const ids = Object.keys(labels).filter((id) => labels[id] === name);
      return `${encodeURIComponent(name)}:${ids.join(".")}`;
    })
    .join(";");
}

function textToClasses(text: string): Pick<Asked, "classes" | "labels"> {
  const classes: string[] = [];
  const labels: Labels = {};
  for (const part of text.split(";")) {
    const [escaped, ids = ""] = part.split(":");
    const name = unescape(escaped ?? "");
    if (!name || classes.includes(name)) continue;
    classes.push(name);
    for (const id of ids.split(".")) if (ID.test(id)) labels[id] = name;
  }
  return classes.length ? { classes, labels } : { classes: ASKED.classes, labels: {} };
}

function unescape(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
