/** SQL: a statement, its rows as a table, and on the map where they have a geometry. */

import { runSql } from "../actions.ts";
import type { App } from "../app.ts";
import { fill, h } from "../dom.ts";
import { toCsv } from "../exports.ts";
import type { State } from "../state.ts";
import type { Table } from "../types.ts";
import { rowFeatures } from "../rows.ts";
import { count, exporter, pending } from "./parts.ts";

/** Rows of the table that are shown; an export has all. */
const SHOWN = 200;

const EXAMPLES: [string, (state: State) => string][] = [
  [
    "Chips by day",
    () =>
      "SELECT datetime::DATE AS day, count(*) AS chips, round(avg(valid_fraction), 3) AS valid\nFROM embeddings GROUP BY day ORDER BY day",
  ],
  [
    "Like the example",
    ({ positives }) =>
      `SELECT n.score, e.id, e.datetime, e.geometry\nFROM nearest(chip_vector('${positives[0] ?? "ID"}'), 20) AS n JOIN embeddings AS e USING (id)\nORDER BY n.score DESC`,
  ],
  [
    "In the view",
    ({ bounds }) =>
      `SELECT id, datetime, valid_fraction, geometry\nFROM embeddings_in_box(${(bounds ?? [-180, -90, 180, 90]).map((x) => x.toFixed(4)).join(", ")})\nLIMIT 500`,
  ],
];

export function sqlPanel(app: App): HTMLElement {
  const { store } = app;
  const text = h("textarea", {
    id: "sql",
    rows: 7,
    spellcheck: "false",
    "aria-label": "SQL statement",
    placeholder: "SELECT … FROM embeddings",
    oninput: () => store.set({ sql: text.value }),
    onkeydown: (event: KeyboardEvent) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void runSql(app);
    },
  });
  const answer = h("div");
  const run = h(
    "button",
    { type: "button", class: "button primary", onclick: () => void runSql(app) },
    "Run",
    h("kbd", {}, "Ctrl ↵"),
  );
  store.watch(["sql"], ({ sql }) => {
    if (text.value !== sql) text.value = sql;
    run.disabled = !sql.trim();
  });
  store.watch(["table"], (state) => fill(answer, ...answerParts(state)));
  const examples = EXAMPLES.map(([name, make]) =>
    h("button", { type: "button", class: "chip", onclick: () => store.set({ sql: make(store.now) }) }, name),
  );
  return h("div", { class: "sql" }, text, h("div", { class: "actions" }, run, ...examples), answer);
}

function answerParts({ table }: State): (HTMLElement | null)[] {
  if (table.is !== "done") {
    return [
      pending(table, "One SELECT over the view embeddings. Rows with a geometry are drawn on the map."),
    ];
  }
  const { value } = table;
  return [
    h(
      "div",
      { class: "row" },
      h("h2", {}, count(value.rows.length, "row")),
      exporter("rows", () => rowFeatures(value), { CSV: () => toCsv(value) }),
    ),
    value.truncated
      ? h(
          "p",
          { class: "note warning" },
          "There are more rows than the service returns; add a LIMIT or a condition.",
        )
      : null,
    tableOf(value),
    value.rows.length > SHOWN
      ? h("p", { class: "note" }, `The first ${SHOWN} are shown; an export has all.`)
      : null,
  ];
}

function tableOf({ columns, rows }: Table): HTMLElement {
  const shown = columns
    .map((column, i) => ({ ...column, i }))
    .filter(({ type }) => !/geometry|blob/i.test(type));
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "Rows" },
    h(
      "table",
      { class: "rows" },
      h(
        "thead",
        {},
        h("tr", {}, ...shown.map(({ name, type }) => h("th", { scope: "col", title: type }, name))),
      ),
      h(
        "tbody",
        {},
        ...rows
          .slice(0, SHOWN)
          .map((row) =>
            h(
              "tr",
              {},
              ...shown.map(({ i }) =>
                h("td", { class: typeof row[i] === "number" ? "number" : "" }, cell(row[i])),
              ),
            ),
          ),
      ),
    ),
  );
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(7)));
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
