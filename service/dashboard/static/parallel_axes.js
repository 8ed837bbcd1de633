/** The axes of parallel coordinates: the parameters that matter most and the objectives, each as numbers. Draws nothing. */

import {
  formatMetric,
  formatNumber,
  formatValue,
  headingOf,
  isLogarithmic,
  metricFormat,
  nameOf,
} from "./format.js";

/** @import {StudyData} from "./study_data.js" */
/** @import {SearchedParameter, Study, TrialRow} from "./types.js" */

/**
 * @typedef {object} Dimension
 * @property {string} id
 * @property {string} name
 * @property {string} better an arrow to where it is better, of an objective
 * @property {boolean} isCategory
 * @property {boolean} isLog
 * @property {boolean} isWhole whether there is nothing between two whole numbers
 * @property {(value: number) => string} tick a number beside the axis
 * @property {(boolean | number | string)[]} categories
 * @property {(trial: TrialRow) => number | null} value where a trial stands; a category by its place
 * @property {(trial: TrialRow) => boolean | number | string | null} raw
 * @property {(trials: TrialRow[]) => number[]} stops ends that it can be narrowed to
 * @property {(value: number, position: number) => string} write a stop in words
 */

export const MOST_LINES = 400;
const MOST_PARAMETERS = 7;
const MOST_STOPS = 40;
const NUMBERED = /^(.+)\.\d+$/;

/**
 * Of very many trials the front and those that are best by the first objective.
 * @param {StudyData} data
 * @param {TrialRow[]} measured
 */
export function drawnTrials({ study }, measured) {
  if (measured.length <= MOST_LINES) return measured;
  const { metric, direction } = study.objectives[0];
  const sign = direction === "maximize" ? -1 : 1;
  const front = measured.filter(({ on_front }) => on_front);
  const others = measured
    .filter(({ on_front }) => !on_front)
    .sort((a, b) => sign * (a.metrics[metric] - b.metrics[metric]));
  return [...front, ...others].slice(0, MOST_LINES);
}

/**
 * @param {StudyData} data
 * @param {TrialRow[]} trials those that are drawn
 * @returns {Dimension[]}
 */
export function dimensionsOf({ study, importance }, trials) {
  const weights = new Map();
  for (const { parameters } of importance.objectives) {
    for (const { name, total_effect } of parameters) weights.set(name, Math.max(weights.get(name) ?? 0, total_effect));
  }
  const numbered = new Set(
    study.search_space.parameters.filter(({ name, type }) => type === "bool" && NUMBERED.test(name)).map(groupOf),
  );
  const single = study.search_space.parameters
    .filter((parameter) => !numbered.has(groupOf(parameter)))
    .toSorted((a, b) => (weights.get(b.name) ?? 0) - (weights.get(a.name) ?? 0))
    .map(ofParameter)
    .filter(({ raw }) => new Set(trials.map(raw)).size > 1);
  return [
    ...[...numbered].map(ofSwitches).slice(0, 1),
    ...single.slice(0, MOST_PARAMETERS),
    ...study.objectives.map(({ metric, direction }) => ofObjective(study, metric, direction)),
  ];
}

/** @param {SearchedParameter} parameter */
const groupOf = ({ name }) => NUMBERED.exec(name)?.[1] ?? "";

/**
 * Switches that differ in their number, as those of layers do, are one axis: how many are on.
 * @param {string} group
 * @returns {Dimension}
 */
function ofSwitches(group) {
  const value = (/** @type {TrialRow} */ { parameters }) => {
    const own = Object.entries(parameters).filter(([name]) => name.startsWith(`${group}.`));
    return own.length ? own.filter(([, on]) => on === true).length : null;
  };
  return number(group, nameOf(`${group}.*`).replace("*", "on"), value, {
    isLog: false,
    isWhole: true,
    write: String,
  });
}

/**
 * @param {SearchedParameter} parameter
 * @returns {Dimension}
 */
function ofParameter({ name, type, log = false, choices = [] }) {
  const raw = (/** @type {TrialRow} */ { parameters }) => parameters[name] ?? null;
  if (type === "int" || type === "float") {
    const value = (/** @type {TrialRow} */ trial) => /** @type {number | null} */ (raw(trial));
    return number(name, nameOf(name), value, { isLog: log, isWhole: type === "int", write: formatValue });
  }
  const categories = type === "bool" ? [false, true] : choices;
  const value = (/** @type {TrialRow} */ trial) => {
    const position = categories.indexOf(/** @type {any} */ (raw(trial)));
    return position < 0 ? null : position;
  };
  return {
    id: name,
    name: nameOf(name),
    better: "",
    isCategory: true,
    isLog: false,
    isWhole: false,
    tick: String,
    categories,
    value,
    raw,
    stops: () => categories.map((_, position) => position),
    write: (position) => formatValue(categories[position]),
  };
}

/**
 * @param {Study} study
 * @param {string} metric
 * @param {string} direction
 * @returns {Dimension}
 */
function ofObjective(study, metric, direction) {
  const isLog = isLogarithmic(study, metric);
  const value = (/** @type {TrialRow} */ { metrics }) => {
    const own = metrics[metric];
    return own === undefined ? null : isLog ? Math.max(own, Number.MIN_VALUE) : own;
  };
  const made = number(`objective ${metric}`, headingOf(study, metric), value, {
    isLog,
    isWhole: false,
    write: (/** @type {number} */ one) => formatMetric(metric, one),
  });
  const { tick } = metricFormat(metric);
  return { ...made, tick, better: direction === "maximize" ? " ↑" : " ↓" };
}

/**
 * @param {string} id
 * @param {string} name
 * @param {(trial: TrialRow) => number | null} value
 * @param {{isLog: boolean, isWhole: boolean, write: (value: number) => string}} scale
 * @returns {Dimension}
 */
const number = (id, name, value, { isLog, isWhole, write }) => ({
  id,
  name,
  better: "",
  isCategory: false,
  isLog,
  isWhole,
  tick: (one) => formatNumber(Number(one.toPrecision(3))),
  categories: [],
  value,
  raw: value,
  write,
  stops(trials) {
    const values = [...new Set(trials.map(value).filter((one) => one !== null))].sort((a, b) => a - b);
    if (values.length <= MOST_STOPS) return values;
    const step = (values.length - 1) / (MOST_STOPS - 1);
    return Array.from({ length: MOST_STOPS }, (_, position) => values[Math.round(position * step)]);
  },
});
