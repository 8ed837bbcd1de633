/** What is in the rows that a study would train on: first rows, labels with their counts, what is left out. */

import { make } from "./elements.js";
import { asWords, counted, formatCount } from "./format.js";

/** @import {TaskFileHead, TaskPreview} from "./types.js" */

const MOST_LABELS = 12;

/**
 * @param {TaskFileHead} head
 * @returns {HTMLElement[]}
 */
export function firstRows({ name, rows, columns, first_rows }) {
  const table = make(
    "table",
    { class: "first-rows", "data-testid": "first-rows" },
    make("caption", {}, `First rows of ${name}, which has ${counted(rows, "row")}`),
    make("thead", {}, make("tr", {}, ...columns.map((column) => make("th", { scope: "col" }, column)))),
    make("tbody", {}, ...first_rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, cell))))),
  );
  return [make("div", { class: "sideways", tabindex: 0, role: "region", "aria-label": `First rows of ${name}` }, table)];
}

/**
 * @param {TaskPreview} preview
 * @returns {HTMLElement[]}
 */
export function contents(preview) {
  const { train_rows, validation_rows, test_rows, dropped, least, largest } = preview;
  const splits = `${formatCount(train_rows)} rows to train, ${formatCount(validation_rows)} to validate, ${formatCount(test_rows)} to test.`;
  const left = Object.entries(dropped).map(([reason, count]) => `${asWords(reason)} (${formatCount(count)})`);
  return [
    make("p", { "data-testid": "split-rows" }, splits),
    ...(least === null ? [labelTable(preview)] : [make("p", {}, `Numbers from ${least} to ${largest}.`)]),
    make("p", { class: "hint", "data-testid": "left-out" }, left.length ? `Left out: ${left.join(", ")}.` : "No row is left out."),
  ];
}

/** @param {TaskPreview} preview */
function labelTable({ labels }) {
  const most = Math.max(...labels.map(({ rows }) => rows));
  const rows = labels.slice(0, MOST_LABELS).map(({ label, rows: count }) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, label),
      make("td", { class: "number" }, formatCount(count)),
      make("td", { class: "share", "aria-hidden": "true" }, make("progress", { max: most, value: count })),
    ),
  );
  const others = labels.length - rows.length;
  const caption = others > 0 ? `${labels.length} labels, ${others} of them not listed` : counted(labels.length, "label");
  return make(
    "table",
    { class: "label-counts", "data-testid": "label-counts" },
    make("caption", {}, caption),
    make("tbody", {}, ...rows),
  );
}
