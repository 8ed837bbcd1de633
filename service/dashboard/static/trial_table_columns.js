/** The columns of the table of trials: what each shows of a trial, and what it is sorted by. */

import { describeTrial, formatSeconds, formatWithError, headingOf, isCustom } from "./format.js";
import { percent } from "./learning_curve.js";
import { metricSoFar } from "./progress.js";

/** @import {Study, TrialRow} from "./types.js" */

/**
 * @typedef {object} Column
 * @property {string} title
 * @property {string} name a class of its cells
 * @property {boolean} number whether it holds numbers, which stand to the right
 * @property {number} width in characters, the least
 * @property {(trial: TrialRow) => number | string | undefined} sortBy
 * @property {(trial: TrialRow) => string} text
 */

const NARROWEST = 11;
/** A score with its error, or with the word that it is none yet. */
const WITH_ERROR = 15;
const BESIDE_TEXT = 4;

/**
 * The columns every study has, and one for each further objective. A custom study has no modules and no
 * test split.
 * @param {Study} study
 * @returns {Column[]}
 */
export function columnsOf(study) {
  const objectives = study.objectives.map(({ metric }) => metric);
  const metrics = new Set(isCustom(study) ? objectives : ["score", "trainable_parameters", ...objectives]);
  return [
    { ...numbers("Trial"), width: 8, sortBy: ({ number }) => number, text: ({ number }) => String(number) },
    { ...words("State", "state", 22), sortBy: ({ state }) => state, text: ({ state }) => state },
    {
      ...words(isCustom(study) ? "Parameters" : "Trained", "modules", 19),
      sortBy: describeTrial,
      text: describeTrial,
    },
    ...[...metrics].map((metric) => metricColumn(study, metric)),
    ...(isCustom(study) ? [] : [TEST_SCORE]),
    { ...numbers("Time (s)"), width: 10, sortBy: secondsOf, text: (trial) => formatSeconds(secondsOf(trial)) },
    { ...words("On front", "standing", 16), sortBy: (trial) => (trial.on_front ? 0 : 1), text: standingOf },
  ];
}

/**
 * @param {string} title
 * @param {number} narrowest
 */
const numbers = (title, narrowest = NARROWEST) => ({
  title,
  name: "",
  number: true,
  width: Math.max(narrowest, Math.round(0.85 * title.length) + BESIDE_TEXT),
});

/**
 * @param {string} title
 * @param {string} name
 * @param {number} width
 */
const words = (title, name, width) => ({ title, name, number: false, width });

/** @type {Column} */
const TEST_SCORE = {
  ...numbers("Test score"),
  width: WITH_ERROR,
  sortBy: (trial) => trial.test_metrics.score,
  text: ({ test_metrics, test_metric_standard_errors: errors }) =>
    formatWithError("score", test_metrics.score, errors.score),
};

/** @param {TrialRow} trial */
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
 * Sorted by results: what a trial has measured so far is none, and stands after them.
 * @param {Study} study
 * @param {string} metric
 * @returns {Column}
 */
const metricColumn = (study, metric) => ({
  ...numbers(headingOf(study, metric), WITH_ERROR),
  sortBy: (trial) => trial.metrics[metric],
  text: (trial) =>
    trial.progress === null
      ? formatWithError(metric, trial.metrics[metric], trial.metric_standard_errors[metric])
      : metricSoFar(trial.progress, metric),
});

/**
 * How long the last attempt took, or takes until now.
 * @param {TrialRow} trial
 */
function secondsOf({ state, started_at, finished_at }) {
  if (started_at === null || state === "QUEUED") return undefined;
  const end = finished_at === null ? Date.now() : Date.parse(finished_at);
  return Math.max(0, end - Date.parse(started_at)) / 1000;
}
