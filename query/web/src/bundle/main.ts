/** A map that needs no service: chips, their vectors and pictures come as files beside this page. */

import "../styles/tokens.css";
import "../styles/bundle.css";
import type { Feature, FeatureCollection } from "geojson";
import { AttributionControl, Map as MapLibre, NavigationControl, setWorkerUrl } from "maplibre-gl";
import type { GeoJSONSource, MapMouseEvent } from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import worker from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import { fill, h } from "../dom.ts";
import { baseStyle, loadOutlines } from "../map/base.ts";
import { HEAT, HIT, LIKE, spreadOf, UNLIKE } from "../palette.ts";
import { best, question, scores, type Hit } from "./likeness.ts";

setWorkerUrl(worker);

type About = {
  title: string;
  model: string;
  dimension: number;
  chips: number;
  bounds: [number, number, number, number];
};
type Chip = {
  row: number;
  id: string;
  lon: number;
  lat: number;
  datetime: string | null;
  picture: [number, number];
};

const SHOWN = 24;
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const canvas = h("div", { class: "map", role: "application", "aria-label": "Map" });
const list = h("ol", { class: "hits" });
const told = h("p", { class: "told", role: "status" }, "Loading …");
const title = h("h1", {}, "embedstore");
const likes: number[] = [];
const unlikes: number[] = [];

document
  .querySelector("#bundle")!
  .append(canvas, h("aside", { class: "panel" }, title, told, list, h("footer", {}, "Made by embedstore")));
void begin().catch((error: unknown) => fill(told, `The map's data cannot be read: ${String(error)}`));

async function begin(): Promise<void> {
  const [about, places, vectors, pictures] = await Promise.all([
    got("about.json").then((answer) => answer.json() as Promise<About>),
    got("chips.geojson").then((answer) => answer.json() as Promise<FeatureCollection>),
    got("vectors.f32").then(async (answer) => new Float32Array(await answer.arrayBuffer())),
    got("pictures.bin").then((answer) => answer.arrayBuffer()),
  ]);
  title.textContent = document.title = about.title;
  const map = new MapLibre({
    container: canvas,
    style: baseStyle(dark),
    bounds: about.bounds,
    fitBoundsOptions: { padding: 48, maxZoom: 15 },
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
  });
  map.addControl(new AttributionControl({ compact: true }));
  map.addControl(new NavigationControl({ showCompass: false }), "top-right");
  await map.once("style.load");
  map.addSource("chips", { type: "geojson", data: places });
  const ramp = HEAT.flatMap((colour, i) => [i / (HEAT.length - 1), colour]);
  map.addLayer({
    id: "chips",
    type: "fill",
    source: "chips",
    paint: {
      "fill-color": ["interpolate", ["linear"], ["get", "heat"], ...ramp] as never,
      "fill-opacity": 0.75,
      "fill-antialias": false,
    },
  });
  map.addLayer({
    id: "marks",
    type: "line",
    source: "chips",
    filter: ["!=", ["get", "mark"], ""],
    paint: { "line-color": ["get", "mark"], "line-width": 2.5 },
  });
  void loadOutlines(map);

  function show(): void {
    const query = question(vectors, about.dimension, likes, unlikes);
    const found = query && scores(vectors, about.dimension, query);
    const hits = found ? best(found, SHOWN, new Set(likes)) : [];
    const marks = new Map<number, string>(hits.map(({ row }) => [row, HIT]));
    likes.forEach((row) => marks.set(row, LIKE));
    unlikes.forEach((row) => marks.set(row, UNLIKE));
    const [low, high] = spreadOf(found ? [...found] : []);
    for (const one of places.features) {
      const { row } = chip(one);
      one.properties!["heat"] = found ? Math.min(Math.max((found[row]! - low) / (high - low), 0), 1) : 0.25;
      one.properties!["mark"] = marks.get(row) ?? "";
    }
    (map.getSource("chips") as GeoJSONSource).setData(places);
    fill(
      told,
      found
        ? `${hits.length} places most like ${likes.length === 1 ? "the one" : `the ${likes.length}`} chosen`
        : `${about.chips.toLocaleString("en")} places, vectors of ${about.model}. Click one: the map shows what is like it. Shift adds an example, Alt one against.`,
    );
    fill(list, ...hits.map(card));
  }

  function card({ row, score }: Hit): HTMLElement {
    const { lon, lat, datetime, picture } = chip(places.features[row]!);
    const go = () => map.easeTo({ center: [lon, lat], zoom: Math.max(map.getZoom(), 12), duration: 0 });
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", onclick: go, title: `${lon.toFixed(4)}, ${lat.toFixed(4)}` },
        picture[1] ? h("img", { src: image(pictures, picture), alt: "", loading: "lazy" }) : null,
        h("span", {}, score.toFixed(3)),
        h("time", {}, datetime?.slice(0, 10) ?? ""),
      ),
    );
  }

  function choose(row: number, event: MouseEvent): void {
    const against = event.altKey;
    if (!against && !event.shiftKey) likes.length = unlikes.length = 0;
    (against ? unlikes : likes).push(row);
    show();
  }

  map.on("click", "chips", (event: MapMouseEvent & { features?: unknown[] }) => {
    const one = event.features?.[0] as Feature | undefined;
    if (one) choose(chip(one).row, event.originalEvent);
  });
  show();
  Object.assign(window, { bundle: { map, choose, likes, unlikes } });
}

/** MapLibre gives nested properties as text; GeoJSON as it is does not. */
function chip(feature: Feature): Chip {
  return feature.properties as Chip;
}

function image(pictures: ArrayBuffer, [at, length]: [number, number]): string {
  const part = new Uint8Array(pictures, at, length);
  return `data:image/webp;base64,${btoa(String.fromCharCode(...part))}`;
}

async function got(name: string): Promise<Response> {
  const answer = await fetch(`./data/${name}`);
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer;
}
