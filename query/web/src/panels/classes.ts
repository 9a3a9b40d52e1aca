/** The classes of the labels: choose, name, add and remove them. */

import { say } from "../actions.ts";
import type { App } from "../app.ts";
import { fill, h } from "../dom.ts";
import { classColour } from "../palette.ts";
import type { State } from "../state.ts";
import { iconButton, section } from "./parts.ts";

export function classList(app: App): HTMLElement {
  const { store } = app;
  const classes = h("ul", { class: "classes", "aria-label": "Classes" });
  store.watch(["classes", "labels"], (state) => fill(classes, ...classRows(app, state)));
  store.watch(["classes", "labels", "activeClass"], ({ activeClass }) => markActive(classes, activeClass));
  return section(
    "Classes",
    h("p", { class: "hint" }, "Choose a class, then click chips on the map that are of it."),
    classes,
    addClass(app),
  );
}

function classRows(app: App, { classes, labels }: State): HTMLElement[] {
  return classes.map((name, i) => {
    const mine = Object.values(labels).filter((of) => of === name).length;
    const input = h("input", {
      type: "text",
      class: "class-name",
      value: name,
      "aria-label": `Name of class ${i + 1}`,
      "data-key": `class-${i}`,
      maxlength: 60,
      onfocus: () => app.store.set({ activeClass: i }),
      onchange: () => rename(app, i, input),
    });
    return h(
      "li",
      { class: "class", style: `--colour: ${classColour(i)}` },
      h("button", {
        type: "button",
        class: "swatch",
        "aria-label": `Label as ${name}`,
        "data-key": `pick-${i}`,
        title: `Label as ${name} (Shift+${i + 1})`,
        onclick: () => app.store.set({ activeClass: i }),
      }),
      input,
      h("span", { class: "number" }, mine),
      iconButton("close", `Remove ${name} and its labels`, () => remove(app, i)),
    );
  });
}

/** Without making the rows anew, or the name that is being typed would lose its input. */
function markActive(rows: HTMLElement, active: number): void {
  [...rows.children].forEach((row, i) => {
    row.classList.toggle("active", i === active);
    row.querySelector(".swatch")?.setAttribute("aria-pressed", String(i === active));
  });
}

function rename({ store }: App, at: number, input: HTMLInputElement): void {
  const { classes, labels } = store.now;
  const [old, name] = [classes[at]!, input.value.trim()];
  if (!name || (name !== old && classes.includes(name))) {
    input.value = old;
    if (name) say(`There is a class ${name} already.`);
    return;
  }
  store.set({
    classes: classes.with(at, name),
    labels: Object.fromEntries(Object.entries(labels).map(([id, of]) => [id, of === old ? name : of])),
  });
}

function remove({ store }: App, at: number): void {
  const { classes, labels } = store.now;
  if (classes.length <= 1) return say("One class must stay.");
  store.set({
    classes: classes.toSpliced(at, 1),
    labels: Object.fromEntries(Object.entries(labels).filter(([, of]) => of !== classes[at])),
    activeClass: 0,
  });
}

function addClass({ store }: App): HTMLElement {
  const add = () => {
    const { classes } = store.now;
    let n = classes.length + 1;
    while (classes.includes(`Class ${n}`)) n += 1;
    store.set({ classes: [...classes, `Class ${n}`], activeClass: classes.length });
  };
  return h("button", { type: "button", class: "link", onclick: add }, "Add a class");
}
