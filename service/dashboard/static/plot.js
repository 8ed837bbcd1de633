/** A plot with what belongs to it: words while there is none, a picture to take home, and its numbers in a table. */

import { createChart } from "./chart_frame.js";
import { make } from "./elements.js";
import { counted, formatNumber } from "./format.js";
import { offerPicture, offerTable } from "./take_out.js";

/** @import {Colours} from "./chart_frame.js" */
/** @import {Record} from "./take_out.js" */

/** More rows than a person reads; the files have all. */
const MOST_ROWS = 200;

/**
 * @param {HTMLElement} root on the page, and with a width
 * @param {{name: string, testId: string, nameOfStudy: () => string, size?: string,
 *   onChart?: (chart: any) => void}} what `onChart` is given the library's own object, once there is one
 */
export function createPlot(root, { name, testId, nameOfStudy, size = "middle", onChart }) {
  const controls = make("div", { class: "plot-controls" });
  const empty = make("p", { class: "hint empty-chart", "data-testid": `${testId}-empty` });
  const picture = make("div", { class: `chart ${size}`, role: "img", "data-testid": testId });
  const note = make("p", { class: "hint", "data-testid": `${testId}-note` });
  const takePicture = make("p", { class: "take-out" });
  const numbers = createNumbers(name, testId, nameOfStudy);
  const takeOuts = make("div", { class: "take-outs" }, takePicture, numbers.takeOut);
  const shown = make("div", { class: "plot", hidden: true }, picture, note, takeOuts, numbers.element);
  root.replaceChildren(controls, empty, shown);
  /** @type {ReturnType<typeof createChart> | null} */
  let chart = null;
  return {
    controls,
    picture,
    /** The library's own object, once something has been drawn. */
    library: () => chart?.chart ?? null,
    /** @param {string} text why there is nothing to see */
    empty(text) {
      empty.hidden = false;
      empty.textContent = text;
      shown.hidden = true;
    },
    /**
     * @param {(colours: Colours) => object} describe
     * @param {{label: string, note?: string, records: Record[]}} words the picture in words, and its numbers
     */
    draw(describe, { label, note: remark = "", records }) {
      empty.hidden = true;
      shown.hidden = false;
      note.textContent = remark;
      picture.setAttribute("aria-label", `${label} The numbers are below.`);
      if (chart === null) {
        // A chart needs an element that has a size.
        chart = createChart(picture);
        offerPicture(takePicture, name, nameOfStudy, chart.picture);
        onChart?.(chart.chart);
      }
      chart.draw(describe);
      numbers.take(records);
    },
    dispose: () => chart?.dispose(),
  };
}

/**
 * The numbers of a plot, put on the page once somebody opens them.
 * @param {string} name
 * @param {string} testId
 * @param {() => string} nameOfStudy
 */
export function createNumbers(name, testId, nameOfStudy) {
  /** @type {Record[]} */
  let records = [];
  const take = make("p", { class: "take-out" });
  const frame = make("div", { class: "sideways", tabindex: 0, role: "region", "aria-label": `Numbers: ${name}` });
  const rest = make("p", { class: "hint" });
  const element = make(
    "details",
    { class: "numbers", "data-testid": `${testId}-numbers` },
    make("summary", {}, "Numbers"),
    frame,
    rest,
  );
  offerTable(take, name, nameOfStudy, () => records);
  const draw = () => {
    if (!element.open) return;
    frame.replaceChildren(tableOf(records.slice(0, MOST_ROWS)));
    rest.textContent =
      records.length > MOST_ROWS ? `The first ${MOST_ROWS} of ${counted(records.length, "row")}; the files have all.` : "";
  };
  element.addEventListener("toggle", draw);
  return {
    element,
    takeOut: take,
    /** @param {Record[]} latest */
    take(latest) {
      records = latest;
      draw();
    },
  };
}

/** @param {Record[]} records */
function tableOf(records) {
  const names = [...new Set(records.flatMap((record) => Object.keys(record)))];
  const isNumber = (/** @type {string} */ name) => records.some((record) => typeof record[name] === "number");
  const heads = names.map((name) => make("th", { scope: "col", class: isNumber(name) ? "number" : "" }, name));
  const cell = (/** @type {Record} */ record, /** @type {string} */ name) => {
    const value = record[name] ?? "";
    return make(
      "td",
      { class: isNumber(name) ? "number" : "" },
      typeof value === "number" ? formatNumber(value) : String(value),
    );
  };
  return make(
    "table",
    { class: "numbers-table" },
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...records.map((record) => make("tr", {}, ...names.map((name) => cell(record, name))))),
  );
}
