/** One study as a row of the list, and as a row of a file. */

import { find, make, showState, showText } from "./elements.js";
import { budgetText, formatAge, formatHypervolume, formatMetric, metricFormat, scoreName, trainingsDone } from "./format.js";
import { sparkLine } from "./spark_line.js";

/** @import {Listed} from "./studies_view.js" */
/** @import {Actions} from "./study_actions.js" */
/** @import {ParetoFront, Study} from "./types.js" */

/**
 * Give the row of a study, brought up to date.
 * @param {Map<string, HTMLTableRowElement>} rows those that there are
 * @param {Listed} listed
 * @param {Actions} actions
 */
export function studyRow(rows, { study, front, trace }, actions) {
  const row = rows.get(study.id) ?? newRow(study, actions);
  rows.set(study.id, row);
  find(row, "th a").textContent = study.display_name;
  showState(find(row, ".chip"), study.state);
  const bar = find(row, "progress");
  bar.max = study.budget.trials;
  bar.value = trainingsDone(study);
  find(row, ".progress-text").textContent = budgetText(study);
  find(row, ".best").textContent = bestOf(study, front);
  find(row, ".front-size").textContent = front ? String(front.points.length) : "";
  find(row, ".age").textContent = formatAge(study.created_at, Date.now());
  showText(find(row, ".notes"), study.notes);
  showTags(find(row, ".tags"), study.tags);
  showTrace(find(row, ".volume"), study, trace);
  actions.show(row, study);
  return row;
}

/**
 * @param {Study} study
 * @param {Actions} actions
 */
function newRow(study, actions) {
  const { configuration } = study;
  const what = configuration === null ? "custom study" : `${configuration.backbone} · ${configuration.task.name}`;
  const link = make("a", { href: `#study=${encodeURIComponent(study.id)}` });
  const cell = (/** @type {string} */ title, /** @type {string} */ kind, /** @type {Node[]} */ ...children) =>
    make("td", { role: "cell", class: kind, "data-title": title }, ...children);
  return make(
    "tr",
    { role: "row", "data-testid": `study-${study.id}` },
    make(
      "th",
      { scope: "row", role: "rowheader" },
      link,
      make("p", { class: "meta" }, what),
      make("p", { class: "meta notes" }),
      make("ul", { class: "words tags", "aria-label": "Tags" }),
    ),
    cell("State", "", make("span", { class: "chip" })),
    cell("Progress", "", make("span", { class: "progress-text" }), make("progress", { "aria-label": "Trials ended" })),
    cell("Best score", "number best"),
    cell("On front", "number front-size"),
    cell("Hypervolume", "number volume"),
    cell("Started", "number age"),
    make("td", { role: "cell", class: "actions" }, actions.menuOf(study)),
  );
}

/**
 * @param {HTMLElement} list
 * @param {string[]} tags
 */
function showTags(list, tags) {
  list.hidden = tags.length === 0;
  if (list.dataset.tags === tags.join("\n")) return;
  list.dataset.tags = tags.join("\n");
  list.replaceChildren(...tags.map((tag) => make("li", {}, tag)));
}

/**
 * @param {HTMLElement} cell
 * @param {Study} study
 * @param {(number | null)[]} trace
 */
function showTrace(cell, { hypervolume }, trace) {
  const shown = JSON.stringify([hypervolume, trace]);
  if (cell.dataset.shown === shown) return;
  cell.dataset.shown = shown;
  const line = sparkLine(trace);
  const text = hypervolume === null ? "" : formatHypervolume(hypervolume);
  cell.replaceChildren(...(line === null ? [] : [line]), make("span", {}, text));
}

/**
 * @param {Study} study
 * @param {ParetoFront | undefined} front
 */
function bestOf(study, front) {
  const { metric } = study.objectives[0];
  const best = front?.points[0]?.metrics[metric];
  if (best === undefined) return "";
  const { label, unit } = metricFormat(metric);
  return metric === "score"
    ? `${formatMetric(metric, best)} ${scoreName(study)}`.trim()
    : `${formatMetric(metric, best)} ${unit || label.toLowerCase()}`;
}

/**
 * A study as a row of a file.
 * @param {Listed} listed
 */
export const recordOfStudy = ({ study, front }) => ({
  id: study.id,
  display_name: study.display_name,
  state: study.state,
  trials: study.budget.trials,
  done: trainingsDone(study),
  hypervolume: study.hypervolume,
  on_front: front?.points.length ?? 0,
  created_at: study.created_at,
  finished_at: study.finished_at,
  tags: study.tags.join(" "),
  notes: study.notes,
});
