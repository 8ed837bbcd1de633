/** What the Pareto plot has a place for: each trial's values on two axes, its errors and its standing. Draws nothing. */

import { isCustom, metricFormat } from "./format.js";
import { isOpen, keepsLimits } from "./study_data.js";

/** @import {Axes, Axis} from "./axes.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {ParetoPoint, Study, TrialRow} from "./types.js" */

/**
 * @typedef {"front" | "dominated" | "beyond limits" | "stopped early" | "measured so far" | "expected" |
 *   "infeasible"} Kind
 * @typedef {{trial: TrialRow, x: number, y: number, xError: number, yError: number, kind: Kind, shade: number,
 *   isDim: boolean}} Point `shade` is the value that its colour stands for
 */

/** One may have means over the seeds that succeeded, which are no measurement of it. */
const WITHOUT_RESULT = ["FAILED", "CANCELLED"];

/**
 * Every trial that has a value on both axes: measured, stopped early, measured so far, or only expected.
 * @param {StudyData} data
 * @param {Axes} axes
 * @param {string} shadedBy a metric, or nothing
 * @param {(trial: TrialRow) => boolean} keeps whether a trial is within what the person asks for
 * @returns {Point[]}
 */
export function pointsOf({ study, trials }, { x, y }, shadedBy, keeps) {
  return trials
    .filter(({ state }) => !WITHOUT_RESULT.includes(state))
    .map((trial) => {
      const kind = kindOf(study, trial, [x.metric, y.metric]);
      const { values, errors } = knownOf(trial);
      return {
        trial,
        x: valueOn(study, x.metric, trial, values),
        y: valueOn(study, y.metric, trial, values),
        xError: errors[x.metric] ?? 0,
        yError: errors[y.metric] ?? 0,
        kind,
        shade: values[shadedBy] ?? NaN,
        isDim: !keeps(trial),
      };
    })
    .filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y));
}

/**
 * Members of a front at what the models believe of them; what is exact stays as it was measured.
 * @param {StudyData} data
 * @param {Axes} axes
 * @returns {Point[]}
 */
export function believedPoints({ study, trials }, { x, y }) {
  return trials
    .filter(({ belief }) => belief?.onFront)
    .map((trial) => {
      const beliefs = trial.belief?.metrics ?? {};
      const means = Object.fromEntries(Object.entries(beliefs).map(([name, { mean }]) => [name, mean]));
      const values = { ...trial.metrics, ...means };
      return {
        trial,
        x: valueOn(study, x.metric, trial, values),
        y: valueOn(study, y.metric, trial, values),
        xError: beliefs[x.metric]?.standard_deviation ?? 0,
        yError: beliefs[y.metric]?.standard_deviation ?? 0,
        kind: /** @type {Kind} */ ("front"),
        shade: NaN,
        isDim: false,
      };
    });
}

/**
 * Members of a former front, where they stand now.
 * @param {StudyData} data
 * @param {ParetoPoint[]} members
 * @param {Axes} axes
 * @returns {Point[]}
 */
export function formerPoints({ study, trials }, members, { x, y }) {
  const byId = new Map(trials.map((trial) => [trial.id, trial]));
  return members.flatMap(({ trial_id, metrics }) => {
    const trial = byId.get(trial_id);
    if (trial === undefined) return [];
    const place = { x: valueOn(study, x.metric, trial, metrics), y: valueOn(study, y.metric, trial, metrics) };
    return [{ trial, ...place, xError: 0, yError: 0, kind: /** @type {Kind} */ ("front"), shade: NaN, isDim: false }];
  });
}

/**
 * What is known of a trial by metric: measured or exact; of one without a result what was expected, else.
 * @param {TrialRow} trial
 * @returns {{values: Object<string, number>, errors: Object<string, number>}}
 */
export function knownOf({ state, metrics, metric_standard_errors, expected, expected_deviations, progress }) {
  if (!isOpen({ state }) && state !== "INFEASIBLE") return { values: metrics, errors: metric_standard_errors };
  const known = { ...metrics, ...progress?.metrics, ...progress?.exact };
  const errors = Object.entries(expected_deviations).filter(([metric]) => !(metric in known));
  return { values: { ...expected, ...known }, errors: Object.fromEntries(errors) };
}

/**
 * @param {Study} study
 * @param {TrialRow} trial
 * @param {string[]} metrics on the axes
 * @returns {Kind}
 */
function kindOf(study, trial, metrics) {
  if (trial.on_front) return "front";
  if (trial.state === "STOPPED_EARLY") return "stopped early";
  if (trial.state === "INFEASIBLE") return "infeasible";
  const soFar = trial.progress?.metrics ?? {};
  if (metrics.some((metric) => metric in soFar)) return "measured so far";
  if (isOpen(trial)) return "expected";
  return keepsLimits(study, trial) ? "dominated" : "beyond limits";
}

/**
 * @param {Study} study
 * @param {string} metric
 * @param {TrialRow} trial
 * @param {Object<string, number>} values
 */
function valueOn(study, metric, trial, values) {
  if (metric === "number") return trial.number;
  const value = values[metric] ?? NaN;
  // As the service does: a count of zero has no logarithm and counts as one.
  return !isCustom(study) && metricFormat(metric).log ? Math.max(value, 1) : value;
}

/**
 * The corners of the front seen on these axes, from left to right. Where both are objectives, only
 * members of the stored front can be corners; else this is the best so far along the axis.
 * @param {Point[]} points
 * @param {Axes} axes
 * @returns {Point[]}
 */
export function staircase(points, { x, y }) {
  const candidates = points.filter(({ kind }) =>
    comparesObjectives({ x, y }) ? kind === "front" : kind === "front" || kind === "dominated",
  );
  const sign = (/** @type {Axis} */ axis) => (axis.maximize ? -1 : 1);
  const fromBest = candidates.sort((a, b) => sign(x) * (a.x - b.x) || sign(y) * (a.y - b.y));
  /** @type {Point[]} */
  const corners = [];
  for (const point of fromBest) {
    const last = corners.at(-1);
    if (last === undefined || sign(y) * (point.y - last.y) < 0) corners.push(point);
  }
  return x.maximize ? corners.reverse() : corners;
}

/** @param {Axes} axes */
export const comparesObjectives = ({ x, y }) => x.isObjective && y.isObjective;

/** @param {Point} point whether it was measured to its end */
export const isMeasured = ({ kind }) => kind === "front" || kind === "dominated" || kind === "beyond limits";
