/** Points of a front side by side, the study's default beside them: what was measured, and what is only believed. */

import { make } from "./elements.js";
import { describeTrial, formatWithError, headingOf, isCustom } from "./format.js";
import { percent } from "./learning_curve.js";

/** @import {StudyData} from "./study_data.js" */
/** @import {ParetoPoint, TrialRow} from "./types.js" */

/** @typedef {{trial: TrialRow, isDefault: boolean, point: ParetoPoint | null}} Pinned */

/**
 * @param {StudyData} data
 * @param {ParetoPoint[]} points
 * @param {(point: ParetoPoint) => void} onAccept
 */
export function comparisonOf(data, points, onAccept) {
  const { study } = data;
  const pinned = pinnedTrials(data, points);
  const objectives = study.objectives.map(({ metric }) =>
    row(headingOf(study, metric), pinned, ({ trial }) =>
      measured(metric, trial.metrics, trial.metric_standard_errors),
    ),
  );
  const test = row("Test score, on rows that no choice has seen", pinned, ({ trial }) =>
    measured("score", trial.test_metrics, trial.test_metric_standard_errors),
  );
  const chance = row("Chance to be on the front, as the models believe", pinned, ({ trial }) =>
    trial.belief ? percent(trial.belief.chance) : "not known",
  );
  const accept = make(
    "tr",
    { class: "for-writers" },
    make("th", { scope: "row" }, "Decide"),
    ...pinned.map(({ point }) => make("td", {}, ...(point ? [acceptButton(point, onAccept)] : []))),
  );
  const heads = pinned.map(({ trial, isDefault }) =>
    make("th", { scope: "col" }, `Trial ${trial.number}${isDefault ? " (default)" : ""}`),
  );
  const rows = [
    row(isCustom(study) ? "Parameters" : "Trained", pinned, ({ trial }) => describeTrial(trial)),
    ...objectives,
    ...(isCustom(study) ? [] : [test]),
    chance,
    accept,
  ];
  return make(
    "table",
    { class: "compared" },
    make("thead", {}, make("tr", {}, make("td"), ...heads)),
    make("tbody", {}, ...rows),
  );
}

/**
 * The pinned points, and the default where the study has one that is measured.
 * @param {StudyData} data
 * @param {ParetoPoint[]} points
 * @returns {Pinned[]}
 */
function pinnedTrials({ trials, knee }, points) {
  const byId = new Map(trials.map((trial) => [trial.id, trial]));
  const defaultId = knee?.against_default?.default_trial_id ?? null;
  const pinned = points.flatMap((point) => {
    const trial = byId.get(point.trial_id);
    return trial ? [{ trial, point, isDefault: trial.id === defaultId }] : [];
  });
  const known = defaultId === null ? undefined : byId.get(defaultId);
  if (known === undefined || pinned.some(({ isDefault }) => isDefault)) return pinned;
  return [...pinned, { trial: known, point: null, isDefault: true }];
}

/**
 * A result that came from elsewhere has no score on test rows.
 * @param {string} metric
 * @param {Object<string, number>} values
 * @param {Object<string, number>} errors
 */
const measured = (metric, values, errors) =>
  formatWithError(metric, values[metric], errors[metric]) || "not measured";

/**
 * @param {string} title
 * @param {Pinned[]} pinned
 * @param {(one: Pinned) => string} text
 */
const row = (title, pinned, text) =>
  make("tr", {}, make("th", { scope: "row" }, title), ...pinned.map((one) => make("td", {}, text(one))));

/**
 * @param {ParetoPoint} point
 * @param {(point: ParetoPoint) => void} onAccept
 */
function acceptButton(point, onAccept) {
  const button = make("button", { type: "button", "aria-label": `Accept trial ${point.number}` }, "Accept");
  button.addEventListener("click", () => onAccept(point));
  return button;
}
