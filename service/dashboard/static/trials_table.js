/** The table of trials: newest first, or as the person sorts it. Of thousands of rows, those in view are on the page. */

import { arrange, find, make, showState, showText } from "./elements.js";
import { columnsOf } from "./trial_table_columns.js";
import { progressInWords } from "./progress.js";
import { createStateFilter } from "./state_filter.js";

/** @import {StudyData} from "./study_data.js" */
/** @import {Column} from "./trial_table_columns.js" */
/** @import {TrialRow} from "./types.js" */

const BESIDE_VIEW = 12;
const LIKELY_ROW_PX = 34;

/**
 * @param {HTMLTableElement} table
 * @param {HTMLElement} filterBox
 * @param {(trial: TrialRow) => void} onSelect
 */
export function createTrialsTable(table, filterBox, onSelect) {
  const frame = /** @type {HTMLElement} */ (table.parentElement);
  const body = find(table, "tbody.rows");
  /** @type {Map<string, HTMLTableRowElement>} */
  let rows = new Map();
  const order = { column: 0, descending: true };
  const filter = createStateFilter(filterBox, drawFromTop);
  /** @type {StudyData | null} */
  let data = null;
  /** @type {Column[]} */
  let columns = [];
  /** @type {TrialRow[]} */
  let sorted = [];
  /** @type {string | null} */
  let selectedId = null;
  let rowHeight = LIKELY_ROW_PX;

  function draw() {
    if (data === null) return;
    columns = columnsOf(data.study);
    drawHead(table, columns, order, drawFromTop);
    sorted = sortedBy(filter.keep(data.trials), columns[order.column], order.descending);
    table.setAttribute("aria-rowcount", String(sorted.length + 1));
    drawRows();
    measure();
  }

  /** Put the rows in view on the page, and space in the place of all others but the one that has the focus. */
  function drawRows() {
    const first = Math.max(0, Math.floor(frame.scrollTop / rowHeight) - BESIDE_VIEW);
    const last = Math.ceil((frame.scrollTop + frame.clientHeight) / rowHeight) + BESIDE_VIEW;
    const focused = sorted.findIndex(({ id }) => rows.get(id)?.contains(document.activeElement));
    const isAbove = focused >= 0 && focused < first;
    const isBelow = focused >= last;
    const positions = sorted.slice(first, last).map((_, place) => first + place);
    if (isAbove) positions.unshift(focused);
    if (isBelow) positions.push(focused);
    const known = rows;
    rows = new Map(positions.map((place) => [sorted[place].id, known.get(sorted[place].id) ?? newRow(sorted[place], columns)]));
    arrange(
      body,
      positions.map((place) => {
        const trial = sorted[place];
        const row = /** @type {HTMLTableRowElement} */ (rows.get(trial.id));
        row.setAttribute("aria-rowindex", String(place + 2));
        return drawRow(row, trial, columns, trial.id === selectedId);
      }),
    );
    reserve("before", first - (isAbove ? 1 : 0));
    reserve("after", Math.max(0, sorted.length - last) - (isBelow ? 1 : 0));
  }

  /**
   * @param {"before" | "after"} place
   * @param {number} count
   */
  function reserve(place, count) {
    const space = find(table, `tbody.${place}`);
    space.hidden = count === 0;
    find(space, "td").style.height = `${count * rowHeight}px`;
  }

  /** All rows are as high as the first: each is one line, or a card of so many lines. */
  function measure() {
    const height = body.firstElementChild?.getBoundingClientRect().height || LIKELY_ROW_PX;
    if (Math.abs(height - rowHeight) < 0.01) return;
    rowHeight = height;
    drawRows();
  }

  /** After another order or filter: whoever asked for it wants to see what comes first now. */
  function drawFromTop() {
    frame.scrollTop = 0;
    draw();
  }

  /**
   * Scroll the table, and only the table, until the trial can be seen.
   * @param {string} trialId
   */
  function reveal(trialId) {
    const position = sorted.findIndex(({ id }) => id === trialId);
    if (position < 0) return;
    const top = position * rowHeight;
    const bottom = top + rowHeight + (table.tHead?.offsetHeight ?? 0) - frame.clientHeight;
    frame.scrollTop = Math.min(top, Math.max(bottom, frame.scrollTop));
    drawRows();
  }

  frame.addEventListener("scroll", drawRows, { passive: true });
  new ResizeObserver(() => {
    drawRows();
    measure();
  }).observe(frame);
  body.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const clicked = /** @type {HTMLElement} */ (event.target).closest("tr");
    const trial = sorted.find(({ id }) => rows.get(id) === clicked);
    if (trial) onSelect(trial);
  });

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
    reveal,
    /**
     * Move the focus to a trial's row, and nothing else.
     * @param {string} trialId
     */
    focusOn(trialId) {
      reveal(trialId);
      rows.get(trialId)?.querySelector("button")?.focus({ preventScroll: true });
    },
    /** The trials that the table shows, in its order. */
    shown: () => sorted,
  };
}

/**
 * Missing values stand last whichever way the column is sorted; equal ones by number, newest first.
 * @param {TrialRow[]} trials
 * @param {Column} column
 * @param {boolean} descending
 */
function sortedBy(trials, { sortBy }, descending) {
  return trials
    .map((trial) => ({ trial, key: sortBy(trial) }))
    .sort((one, other) => {
      const [a, b] = [one.key, other.key];
      if (a === b) return other.trial.number - one.trial.number;
      if (a === undefined || b === undefined) return a === undefined ? 1 : -1;
      return a < b === descending ? 1 : -1;
    })
    .map(({ trial }) => trial);
}

/**
 * @param {HTMLTableElement} table
 * @param {Column[]} columns
 * @param {{column: number, descending: boolean}} order
 * @param {() => void} redraw
 */
function drawHead(table, columns, order, redraw) {
  const row = find(table, "thead tr");
  if (row.children.length !== columns.length) {
    row.replaceChildren(...columns.map((column, position) => headCell(column, position, order, redraw)));
    table.style.minWidth = `${columns.reduce((sum, { width }) => sum + width, 0)}ch`;
    for (const cell of table.querySelectorAll("tbody:not(.rows) td")) {
      cell.setAttribute("colspan", String(columns.length));
    }
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
  const cell = make("th", { scope: "col", role: "columnheader", class: column.number ? "number" : "" }, button);
  cell.style.width = `${column.width}ch`;
  return cell;
}

/**
 * @param {HTMLTableRowElement} row
 * @param {TrialRow} trial
 * @param {Column[]} columns
 * @param {boolean} selected
 */
function drawRow(row, trial, columns, selected) {
  row.classList.toggle("on-front", trial.on_front);
  row.classList.toggle("collapsed", trial.collapsed);
  row.toggleAttribute("data-selected", selected);
  find(row, "button").setAttribute("aria-pressed", String(selected));
  columns.forEach(({ text }, position) => {
    const cell = row.cells[position];
    if (position === 1) drawState(cell, trial);
    else if (position > 0) drawText(cell, text(trial));
  });
  return row;
}

/**
 * @param {HTMLElement} cell
 * @param {string} text
 */
function drawText(cell, text) {
  if (cell.textContent === text) return;
  cell.textContent = text;
  cell.title = text;
}

/**
 * @param {TrialRow} trial
 * @param {Column[]} columns
 */
function newRow(trial, columns) {
  // Roles, for as cards on a narrow page the table is none to the browser any more.
  const cells = columns.map(({ title, number, name }) =>
    make("td", { role: "cell", class: number ? "number" : name, "data-title": title }),
  );
  cells[0].append(
    make("button", { type: "button", "aria-label": `Trial ${trial.number}` }, String(trial.number)),
  );
  cells[1].append(make("span", { class: "chip" }), make("span", { class: "reason" }));
  return make("tr", { role: "row", "data-testid": `trial-${trial.number}` }, ...cells);
}

/**
 * @param {HTMLTableCellElement} cell
 * @param {TrialRow} trial
 */
function drawState(cell, trial) {
  const chip = find(cell, ".chip");
  if (chip.dataset.state !== trial.state) showState(chip, trial.state);
  const reason = find(cell, ".reason");
  const words = [progressInWords(trial), trial.state_reason].filter(Boolean).join("; ");
  showText(reason, words);
  reason.title = words;
  reason.dataset.state = trial.state;
}
