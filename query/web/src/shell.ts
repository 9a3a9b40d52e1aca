/** The page: the panel with its tabs, the map with what floats on it. */

import { forget, say } from "./actions.ts";
import type { App } from "./app.ts";
import { fill, h } from "./dom.ts";
import mark from "./icon.svg";
import { changePanel } from "./panels/change.ts";
import { helpDialog, keyDialog } from "./panels/dialogs.ts";
import { filterBar } from "./panels/filters.ts";
import { findPanel } from "./panels/find.ts";
import { labelPanel } from "./panels/label.ts";
import { layerMenu } from "./panels/layers.ts";
import { count, iconButton, pending } from "./panels/parts.ts";
import { sqlPanel } from "./panels/sql.ts";
import { collectionOf, TABS, type State, type Tab } from "./state.ts";

const NAMES: Record<Tab, string> = { find: "Find", label: "Label", change: "Change", sql: "SQL" };
const PANELS: Record<Tab, (app: App) => HTMLElement> = {
  find: findPanel,
  label: labelPanel,
  change: changePanel,
  sql: sqlPanel,
};
const SAID = 4000;

export function shell(app: App, canvas: HTMLElement): HTMLElement[] {
  const side = h(
    "aside",
    { class: "side", id: "panel", tabindex: -1, "aria-label": "Panel" },
    grip(),
    header(app),
    tabs(app),
    filterBar(app),
    ...bodies(app),
  );
  const stage = h(
    "div",
    { class: "stage" },
    canvas,
    h("div", { class: "floats" }, layerMenu(app)),
    drawingHint(app),
    toast(),
  );
  return [side, stage, uploadInput(app), helpDialog(), keyDialog(app)];
}

/** At phone width the panel is a sheet: a press makes it taller or smaller. */
function grip(): HTMLElement {
  const sizes = ["half", "full", "peek"];
  return h("button", {
    type: "button",
    class: "grip",
    "aria-label": "Resize the panel",
    onclick: () => {
      const { dataset } = document.documentElement;
      dataset["sheet"] = sizes[(sizes.indexOf(dataset["sheet"] ?? "half") + 1) % sizes.length]!;
    },
  });
}

function header(app: App): HTMLElement {
  const select = h("select", {
    class: "collection",
    "aria-label": "Store",
    onchange: () => choose(app, select.value),
  });
  const about = h("p", { class: "note about" });
  app.store.watch(["collections", "collection"], (state) => showCollections(state, select, about));
  const help = iconButton("help", "Keyboard shortcuts (?)", () =>
    document.querySelector<HTMLDialogElement>("#help")?.showModal(),
  );
  return h(
    "header",
    { class: "top" },
    h("h1", {}, h("img", { src: mark, alt: "", width: 20, height: 20 }), "embedstore"),
    select,
    help,
    about,
  );
}

function choose(app: App, collection: string): void {
  forget(app);
  // ids mean nothing in another store
  app.store.set({
    collection,
    positives: [],
    negatives: [],
    labels: {},
    area: null,
    from: "",
    to: "",
    before: "",
    after: "",
    swipe: false,
  });
}

function showCollections(state: State, select: HTMLSelectElement, about: HTMLElement): void {
  const { collections } = state;
  const chosen = collectionOf(state);
  if (collections.is !== "done") return fill(about, pending(collections, ""));
  fill(
    select,
    ...collections.value.map(({ id, title }) =>
      h("option", { value: id, selected: id === state.collection }, title || id),
    ),
  );
  if (!chosen) return fill(about, collections.value.length ? null : "This service holds no store.");
  const [from, to] = chosen.extent.temporal.interval[0] ?? [null, null];
  const days = [...new Set([from, to].flatMap((time) => (time ? [time.slice(0, 10)] : [])))].join(" to ");
  about.textContent = [
    count(chosen.chips, "chip"),
    days,
    `${chosen.encoder.name} ${chosen.encoder.dimension}-d`,
  ]
    .filter(Boolean)
    .join(" · ");
}

function tabs({ store }: App): HTMLElement {
  const buttons = TABS.map((tab) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${tab}`,
        "aria-controls": `panel-${tab}`,
        onclick: () => store.set({ tab }),
      },
      NAMES[tab],
    ),
  );
  store.watch(["tab"], ({ tab }) =>
    buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", String(TABS[i] === tab));
      button.tabIndex = TABS[i] === tab ? 0 : -1;
    }),
  );
  const turn = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    const at = (TABS.indexOf(store.now.tab) + by + TABS.length) % TABS.length;
    store.set({ tab: TABS[at]! });
    buttons[at]!.focus();
  };
  return h(
    "div",
    { class: "tabs", role: "tablist", "aria-label": "What to do", onkeydown: turn },
    ...buttons,
  );
}

function bodies(app: App): HTMLElement[] {
  return TABS.map((tab) => {
    const body = h(
      "div",
      { class: "body", role: "tabpanel", id: `panel-${tab}`, "aria-labelledby": `tab-${tab}` },
      PANELS[tab](app),
    );
    app.store.watch(["tab"], (state) => (body.hidden = state.tab !== tab));
    return body;
  });
}

function drawingHint({ store, map }: App): HTMLElement {
  const bar = h(
    "div",
    { class: "drawing", role: "status" },
    h("span", {}, "Click the corners of the area"),
    h(
      "button",
      { type: "button", class: "button small primary", onclick: () => map.sketch()?.finish() },
      "Done",
    ),
    h("button", { type: "button", class: "button small", onclick: () => map.sketch()?.cancel() }, "Cancel"),
  );
  store.watch(["drawing"], ({ drawing }) => (bar.hidden = !drawing));
  return bar;
}

function toast(): HTMLElement {
  const line = h("div", { class: "toast", role: "status", "aria-live": "polite" });
  let fade: ReturnType<typeof setTimeout> | undefined;
  document.addEventListener("say", (event) => {
    line.textContent = (event as CustomEvent<string>).detail;
    clearTimeout(fade);
    fade = setTimeout(() => (line.textContent = ""), SAID);
  });
  return line;
}

/** One hidden input for the button, the key and files dropped on the page. */
function uploadInput({ store }: App): HTMLElement {
  const take = (file: File | undefined) => {
    if (!file) return;
    store.set({ upload: file, positives: [], negatives: [], tab: "find" });
    say(`Searching for places like ${file.name}.`);
  };
  const input = h("input", {
    type: "file",
    id: "upload",
    hidden: true,
    accept: ".tif,.tiff,.png,image/tiff,image/png",
    "aria-label": "A chip: GeoTIFF or PNG",
    onchange: () => {
      take(input.files?.[0]);
      input.value = "";
    },
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer?.files[0]);
  });
  return input;
}
