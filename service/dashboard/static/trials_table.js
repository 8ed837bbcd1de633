/** The table of trials: newest first, or as the person sorts it. */

import { arrange, find, make, showState, showText } from "./elements.js";
import { describeTrial, formatSeconds, formatWithError, headingOf, isCustom } from "./format.js";
import { percent } from "./learning_curve.js";
import { createStateFilter } from "./state_filter.js";

/** @import {StudyData} from "./study_data.js" */
/** @import {Study, Trial} from "./types.js" */

/**
 * @typedef {object} Column
 * @property {string} title
 * @property {boolean} number whether it holds numbers, which stand to the right
 * @property {(trial: Trial) => number | string | undefined} sortBy
 * @property {(trial: Trial) => string} text
 */

/**
 * @param {HTMLTableElement} table
 * @param {HTMLElement} filterBox
 * @param {(trial: Trial) => void} onSelect
 */
export function createTrialsTable(table, filterBox, onSelect) {
  /** @type {Map<string, HTMLTableRowElement>} */
  const rows = new Map();
  const order = { column: 0, descending: true };
  const filter = createStateFilter(filterBox, drawFromTop);
  /** @type {StudyData | null} */
  let data = null;
  /** @type {string | null} */
  let selectedId = null;

  function draw() {
    if (data === null) return;
    const columns = columnsOf(data.study);
    drawHead(find(table, "thead tr"), columns, order, drawFromTop);
    const sorted = filter.keep(data.trials).toSorted(comparison(columns[order.column], order.descending));
    arrange(
      find(table, "tbody"),
      sorted.map((trial) => drawRow(rows, trial, columns, trial.id === selectedId, onSelect)),
    );
  }

  /** After another order or filter: whoever asked for it wants to see what comes first now. */
  function drawFromTop() {
    draw();
    if (table.parentElement) table.parentElement.scrollTop = 0;
  }

  return {
    /**
     * @param {StudyData} latest
     * @param {string | null} selected
     */
    update(latest, selected) {
      data = latest;
      selectedId = selected;
      draw();
    },
    /**
     * Scroll the table, and only the table, until the trial can be seen.
     * @param {string} trialId
     */
    reveal(trialId) {
      const row = rows.get(trialId);
      const frame = table.parentElement;
      if (!row || !frame) return;
      const top = row.offsetTop - (table.tHead?.offsetHeight ?? 0);
      const bottom = row.offsetTop + row.offsetHeight - frame.clientHeight;
      frame.scrollTop = Math.min(top, Math.max(bottom, frame.scrollTop));
    },
    /**
     * Move the focus to a trial's row, and nothing else.
     * @param {string} trialId
     */
    focusOn(trialId) {
      rows.get(trialId)?.querySelector("button")?.focus({ preventScroll: true });
    },
  };
}

/**
 * The columns every study has, and one for each further objective. A custom study has no modules and no
 * test split.
 * @param {Study} study
 * @returns {Column[]}
 */
function columnsOf(study) {
  const objectives = study.objectives.map(({ metric }) => metric);
  const metrics = new Set(isCustom(study) ? objectives : ["score", "trainable_parameters", ...objectives]);
  return [
    { title: "Trial", number: true, sortBy: (trial) => trial.number, text: (trial) => String(trial.number) },
    { title: "State", number: false, sortBy: (trial) => trial.state, text: (trial) => trial.state },
    {
      title: isCustom(study) ? "Parameters" : "Trained",
      number: false,
      sortBy: describeTrial,
      text: describeTrial,
    },
    ...[...metrics].map((metric) => metricColumn(study, metric)),
    ...(isCustom(study) ? [] : [TEST_SCORE]),
    { title: "Time (s)", number: true, sortBy: secondsOf, text: (trial) => formatSeconds(secondsOf(trial)) },
    {
      title: "On front",
      number: false,
      sortBy: (trial) => (trial.on_front ? 0 : 1),
      text: standingOf,
    },
  ];
}

/** @type {Column} */
const TEST_SCORE = {
  title: "Test score",
  number: true,
  sortBy: (trial) => trial.test_metrics.score,
  text: ({ test_metrics, test_metric_standard_errors: errors }) =>
    formatWithError("score", test_metrics.score, errors.score),
};

/** @param {Trial} trial */
const standingOf = ({ on_front, belief, collapsed }) =>
  [
    on_front ? "on front" : "",
    belief?.onFront ? "believed" : "",
    belief ? percent(belief.chance) : "",
    collapsed ? "collapsed" : "",
  ]
    .filter(Boolean)
    .join(", ");

/**
 * @param {Study} study
 * @param {string} metric
 * @returns {Column}
 */
function metricColumn(study, metric) {
  return {
    title: headingOf(study, metric),
    number: true,
    sortBy: (trial) => trial.metrics[metric],
    text: (trial) => formatWithError(metric, trial.metrics[metric], trial.metric_standard_errors[metric]),
  };
}

/**
 * How long the last attempt took, or takes until now.
 * @param {Trial} trial
 */
function secondsOf({ state, started_at, finished_at }) {
  if (started_at === null || state === "QUEUED") return undefined;
  const end = finished_at === null ? Date.now() : Date.parse(finished_at);
  return Math.max(0, end - Date.parse(started_at)) / 1000;
}

/**
 * Missing values stand last whichever way the column is sorted; equal ones by number, newest first.
 * @param {Column} column
 * @param {boolean} descending
 * @returns {(a: Trial, b: Trial) => number}
 */
function comparison({ sortBy }, descending) {
  return (first, second) => {
    const [a, b] = [sortBy(first), sortBy(second)];
    if (a === b) return second.number - first.number;
    if (a === undefined || b === undefined) return a === undefined ? 1 : -1;
    return a < b === descending ? 1 : -1;
  };
}

/**
 * @param {HTMLTableRowElement} row
 * @param {Column[]} columns
 * @param {{column: number, descending: boolean}} order
 * @param {() => void} redraw
 */
function drawHead(row, columns, order, redraw) {
  if (row.children.length !== columns.length) {
    row.replaceChildren(...columns.map((column, position) => headCell(column, position, order, redraw)));
  }
  [...row.children].forEach((cell, position) => {
    const direction = order.descending ? "descending" : "ascending";
    cell.setAttribute("aria-sort", position === order.column ? direction : "none");
  });
}

/**
 * @param {Column} column
 * @param {number} position
 * @param {{column: number, descending: boolean}} order
 * @param {() => void} redraw
 */
function headCell(column, position, order, redraw) {
  const button = make("button", { type: "button" }, column.title);
  button.addEventListener("click", () => {
    // A column of numbers is first sorted from the largest, one of words from A.
    order.descending = order.column === position ? !order.descending : column.number;
    order.column = position;
    redraw();
  });
  return make("th", { scope: "col", class: column.number ? "number" : "" }, button);
}

/**
 * @param {Map<string, HTMLTableRowElement>} rows
 * @param {Trial} trial
 * @param {Column[]} columns
 * @param {boolean} selected
 * @param {(trial: Trial) => void} onSelect
 */
function drawRow(rows, trial, columns, selected, onSelect) {
  const row = rows.get(trial.id) ?? newRow(trial, columns, onSelect);
  rows.set(trial.id, row);
  row.classList.toggle("on-front", trial.on_front);
  row.classList.toggle("collapsed", trial.collapsed);
  row.toggleAttribute("data-selected", selected);
  find(row, "button").setAttribute("aria-pressed", String(selected));
  columns.forEach(({ text }, position) => {
    const cell = row.cells[position];
    if (position === 1) drawState(cell, trial);
    else if (position > 0 && cell.textContent !== text(trial)) cell.textContent = text(trial);
  });
  return row;
}

/**
 * @param {Trial} trial
 * @param {Column[]} columns
 * @param {(trial: Trial) => void} onSelect
 */
function newRow(trial, columns, onSelect) {
  const cells = columns.map(({ number, text }) =>
    make("td", { class: number ? "number" : text === describeTrial ? "modules" : "" }),
  );
  cells[0].append(
    make("button", { type: "button", "aria-label": `Trial ${trial.number}` }, String(trial.number)),
  );
  cells[1].append(make("span", { class: "chip" }), make("p", { class: "reason" }));
  const row = make("tr", { "data-testid": `trial-${trial.number}` }, ...cells);
  row.addEventListener("click", () => onSelect(trial));
  return row;
}

/**
 * @param {HTMLTableCellElement} cell
 * @param {Trial} trial
 */
function drawState(cell, trial) {
  const chip = find(cell, ".chip");
  if (chip.dataset.state !== trial.state) showState(chip, trial.state);
  const reason = find(cell, ".reason");
  showText(reason, trial.state_reason);
  reason.dataset.state = trial.state;
}
