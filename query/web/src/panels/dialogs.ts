/** The keyboard shortcuts, and the question for a key. */

import type { App } from "../app.ts";
import { h } from "../dom.ts";
import { SHORTCUTS } from "../keys.ts";
import { field, iconButton } from "./parts.ts";

export function helpDialog(): HTMLDialogElement {
  const dialog: HTMLDialogElement = h(
    "dialog",
    { id: "help", "aria-labelledby": "help-title" },
    h(
      "div",
      { class: "row" },
      h("h2", { id: "help-title" }, "Keyboard and mouse"),
      iconButton("close", "Close", () => dialog.close()),
    ),
    h(
      "dl",
      { class: "keys" },
      ...SHORTCUTS.flatMap(({ keys, does }) => [
        h("dt", {}, ...keys.map((key) => h("kbd", {}, key))),
        h("dd", {}, does),
      ]),
    ),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  return dialog;
}

export function keyDialog({ api }: App): HTMLDialogElement {
  const input = h("input", { type: "password", autocomplete: "off", required: true });
  const keep = () => {
    api.key = input.value.trim();
    location.reload();
  };
  const dialog = h(
    "dialog",
    { id: "key", "aria-labelledby": "key-title" },
    h(
      "form",
      { method: "dialog", onsubmit: keep },
      h("h2", { id: "key-title" }, "This service asks for a key"),
      h("p", { class: "hint" }, "It is kept in this browser tab only, and forgotten when the tab is closed."),
      field("Key", input),
      h("div", { class: "actions" }, h("button", { class: "button primary" }, "Continue")),
    ),
  );
  document.addEventListener("key-wanted", () => dialog.open || dialog.showModal());
  return dialog;
}
