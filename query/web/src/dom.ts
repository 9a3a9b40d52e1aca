/** Elements by function call, and icons. */

type Child = Node | string | number | null | undefined | false;
type Listener = (event: never) => void;
type Attributes = Record<string, string | number | boolean | null | undefined | Listener>;

/** `h("button", { class: "x", onclick: f }, "text")`; false, null and undefined leave an attribute or child out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...some(children));
  return element;
}

/** Put other children in place; what had the focus has it again if its `data-key` is still there. */
export function fill(parent: HTMLElement, ...children: Child[]): void {
  const active = document.activeElement;
  const key = active instanceof HTMLElement && parent.contains(active) ? active.dataset["key"] : undefined;
  parent.replaceChildren(...some(children));
  if (key)
    parent.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

function some(children: Child[]): (Node | string)[] {
  return children.flatMap((c) =>
    c === null || c === undefined || c === false ? [] : [c instanceof Node ? c : String(c)],
  );
}

const ICONS = {
  up: "M5.2 14V7.2L8.4 2c1 0 1.7.8 1.5 1.8L9.5 6.2h3.3c.9 0 1.5.8 1.3 1.7l-1 4.8c-.2.8-.8 1.3-1.6 1.3zM2 7.2h3.2V14H2z",
  down: "M10.8 2v6.8L7.6 14c-1 0-1.7-.8-1.5-1.8l.4-2.4H3.2c-.9 0-1.5-.8-1.3-1.7l1-4.8C3.1 2.5 3.7 2 4.5 2zM14 8.8h-3.2V2H14z",
  close: "M4 4l8 8M12 4l-8 8",
  draw: "M3 5l5-2.5 5 3-1.5 7H4.5zM3 5h.01M8 2.5h.01M13 5.5h.01",
  upload: "M8 10.5V3M4.8 6L8 2.8 11.2 6M2.8 10.5v2.7h10.4v-2.7",
  download: "M8 2.8v7.5M4.8 7.2L8 10.4l3.2-3.2M2.8 10.5v2.7h10.4v-2.7",
  layers: "M8 2.5l6 3.2-6 3.2-6-3.2zM2.5 8.8L8 11.7l5.5-2.9M2.5 11.3L8 14.2l5.5-2.9",
  help: "M6 6.2a2 2 0 1 1 2.8 1.9c-.6.3-.8.7-.8 1.4M8 12v.01",
  sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6zM8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9",
  moon: "M13.3 9.7A5.7 5.7 0 0 1 6.3 2.7a5.7 5.7 0 1 0 7 7z",
  fit: "M2.5 5.5v-3h3M10.5 2.5h3v3M13.5 10.5v3h-3M5.5 13.5h-3v-3",
  plus: "M8 3v10M3 8h10",
  calendar: "M2.5 4h11v9.5h-11zM2.5 7h11M5.5 2.5V5M10.5 2.5V5",
  swipe: "M8 2v12M5.5 5.5L3 8l2.5 2.5M10.5 5.5L13 8l-2.5 2.5",
  heat: "M8 1.8l5.4 3.1v6.2L8 14.2l-5.4-3.1V4.9zM8 5.2l2.5 1.4v2.8L8 10.8 5.5 9.4V6.6z",
} as const;
export type IconName = keyof typeof ICONS;

export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" })) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}
