/** Takes what the page shows home: a table as CSV or JSON, a plot as PNG or SVG. Numbers leave unrounded. */

import { make } from "./elements.js";
import { asFileName, save, saveText } from "./saving.js";

/** @typedef {Object<string, boolean | number | string | null | undefined>} Record */
/** @typedef {{png: () => Promise<Blob>, svg: () => string}} Picture */

/**
 * Offer a table's rows as they stand when a button is pressed.
 * @param {HTMLElement} box
 * @param {string} what in words
 * @param {() => string} study what the file's name begins with
 * @param {() => Record[]} records
 */
export function offerTable(box, what, study, records) {
  const name = () => `${asFileName(study())}-${asFileName(what)}`;
  box.replaceChildren(
    button("CSV", what, () => saveText(asCsv(records()), "text/csv", `${name()}.csv`)),
    button("JSON", what, () => {
      saveText(`${JSON.stringify(records(), null, 1)}\n`, "application/json", `${name()}.json`);
    }),
  );
}

/**
 * @param {HTMLElement} box
 * @param {string} what in words
 * @param {() => string} study what the file's name begins with
 * @param {Picture} picture
 */
export function offerPicture(box, what, study, picture) {
  const name = () => `${asFileName(study())}-${asFileName(what)}`;
  box.replaceChildren(
    button("PNG", what, async () => save(await picture.png(), `${name()}.png`)),
    button("SVG", what, () => saveText(picture.svg(), "image/svg+xml", `${name()}.svg`)),
  );
}

/**
 * @param {string} format
 * @param {string} what
 * @param {() => void} take
 */
function button(format, what, take) {
  const made = make("button", { type: "button", class: "quiet", "aria-label": `Save ${what} as ${format}` }, format);
  made.addEventListener("click", take);
  return made;
}

/**
 * RFC 4180. A column for every name that occurs; what a row does not have is empty.
 * @param {Record[]} records
 */
export function asCsv(records) {
  const names = [...new Set(records.flatMap((record) => Object.keys(record)))];
  const lines = [names, ...records.map((record) => names.map((name) => record[name] ?? ""))];
  return lines.map((cells) => `${cells.map(asCell).join(",")}\r\n`).join("");
}

/** @param {boolean | number | string} value */
function asCell(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Put names in front of a record's own, as in `metrics.score`.
 * @param {string} name
 * @param {Record} record
 * @returns {Record}
 */
export const under = (name, record) =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [`${name}.${key}`, value]));
