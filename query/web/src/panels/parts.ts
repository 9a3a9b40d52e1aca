/** Small pieces that panels share: thumbnails, exports, states of an answer. */

import type { FeatureCollection, Geometry } from "geojson";
import type { App } from "../app.ts";
import { say } from "../actions.ts";
import { h, icon, type IconName } from "../dom.ts";
import { download, toGeoJson, toGeoParquet } from "../exports.ts";
import type { Remote } from "../state.ts";

/** The picture of a chip; with a key it is fetched, as an image element sends no headers. */
export function thumbnail({ api, store }: App, id: string, alt: string): HTMLElement {
  const url = api.thumbnail(store.now.collection ?? "", id);
  const image = h("img", { alt, loading: "lazy", width: 96, height: 96, draggable: "false" });
  const frame = h("span", { class: "thumb" }, image);
  image.addEventListener("error", () => frame.classList.add("none"));
  image.addEventListener("load", () => URL.revokeObjectURL(image.src));
  if (!api.key) image.src = url;
  else {
    api.image(url).then(
      (blob) => (image.src = URL.createObjectURL(blob)),
      () => frame.classList.add("none"),
    );
  }
  return frame;
}

export function iconButton(
  name: IconName,
  label: string,
  press: (event: MouseEvent) => void,
  more: Record<string, string> = {},
) {
  const { class: extra = "", ...rest } = more;
  return h(
    "button",
    {
      type: "button",
      class: `icon-button ${extra}`,
      "aria-label": label,
      title: label,
      onclick: press,
      ...rest,
    },
    icon(name),
  );
}

/** A button that opens a menu of file formats. */
export function exporter(
  name: string,
  features: () => FeatureCollection<Geometry | null> | Promise<FeatureCollection<Geometry | null>>,
  more: Record<string, () => Blob> = {},
): HTMLElement {
  const save = async (suffix: string, make: () => Blob | Promise<Blob>) => {
    menu.open = false;
    download(`${name}.${suffix}`, await make());
    say(`Saved ${name}.${suffix}.`);
  };
  const item = (text: string, suffix: string, make: () => Blob | Promise<Blob>) => {
    return h("button", { type: "button", onclick: () => void save(suffix, make) }, text);
  };
  const menu = h(
    "details",
    { class: "menu" },
    h("summary", { class: "button small" }, icon("download"), "Export"),
    h(
      "div",
      { class: "menu-items" },
      item("GeoJSON", "geojson", async () => toGeoJson(await features())),
      item("GeoParquet", "parquet", async () => toGeoParquet(await features())),
      ...Object.entries(more).map(([text, make]) => item(text, text.toLowerCase(), make)),
    ),
  );
  closeOutside(menu);
  return menu;
}

/** Close a menu when something else is pressed or takes the focus. */
export function closeOutside(menu: HTMLDetailsElement): void {
  const unless = (target: EventTarget | null) => {
    if (!menu.contains(target as Node | null)) menu.open = false;
  };
  menu.addEventListener("focusout", ({ relatedTarget }) => relatedTarget && unless(relatedTarget));
  const outside = ({ target }: Event) => unless(target);
  menu.addEventListener("toggle", () => {
    if (menu.open) document.addEventListener("pointerdown", outside);
    else document.removeEventListener("pointerdown", outside);
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    menu.open = false;
    menu.querySelector("summary")?.focus();
  });
}

/** What to show of an answer that is not there (yet); null when it is. */
export function pending(answer: Remote<unknown>, nothing: string | HTMLElement): HTMLElement | null {
  if (answer.is === "idle")
    return typeof nothing === "string" ? h("p", { class: "empty" }, nothing) : nothing;
  if (answer.is === "loading") return h("p", { class: "loading", role: "status" }, "One moment …");
  if (answer.is === "failed") return h("p", { class: "failed", role: "alert" }, answer.message);
  return null;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

export function day(datetime: string | null | undefined): string {
  return datetime?.slice(0, 10) ?? "no date";
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

export function section(title: string, ...children: (Node | string | null | false)[]): HTMLElement {
  return h("section", { class: "section" }, h("h2", {}, title), ...children);
}

export function field(text: string, control: HTMLElement): HTMLElement {
  return h("label", { class: "field" }, h("span", {}, text), control);
}
