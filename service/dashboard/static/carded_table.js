/** Tables of a few rows that are cards on a narrow page. Reads nothing, hears nothing. */

import { make } from "./elements.js";

/**
 * @param {string} name
 * @param {string[]} headings an empty one stands over what may be done
 * @param {(string | Node)[][]} rows
 */
export function cardedTable(name, headings, rows) {
  const heads = headings.map((heading) =>
    make("th", { scope: "col", role: "columnheader" }, heading || make("span", { class: "unseen" }, "What may be done")),
  );
  const cells = (/** @type {(string | Node)[]} */ row) =>
    row.map((cell, place) => make("td", { role: "cell", "data-title": headings[place] }, cell));
  return make(
    "table",
    { class: "carded", role: "table", "aria-label": name },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)),
    make("tbody", { role: "rowgroup" }, ...rows.map((row) => make("tr", { role: "row" }, ...cells(row)))),
  );
}
