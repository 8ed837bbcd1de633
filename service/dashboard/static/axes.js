/** Which two metrics the Pareto plot shows. With two objectives there is nothing to choose. */

import { find, make } from "./elements.js";
import { headingOf } from "./format.js";

/** @import {Study} from "./types.js" */
/** @import {StudyData} from "./study_data.js" */

/** @typedef {{metric: string, maximize: boolean, isObjective: boolean}} Axis */
/** @typedef {{x: Axis, y: Axis}} Axes */

/**
 * Fill the select boxes, and redraw when the person chooses.
 * @param {HTMLElement} box
 * @param {StudyData} data
 * @param {() => void} redraw
 */
export function offerAxes(box, data, redraw) {
  box.hidden = data.study.objectives.length === 2;
  const metrics = offeredMetrics(data);
  const [y, x] = defaultMetrics(data.study);
  const options = metrics.map((metric) => ({ metric, heading: headingOf(data.study, metric) }));
  offer(find(box, '[data-testid="axis-y"]'), options, y, redraw);
  offer(find(box, '[data-testid="axis-x"]'), options, x, redraw);
}

/**
 * @param {HTMLElement} box
 * @param {StudyData} data
 * @returns {Axes}
 */
export function chosenAxes(box, { study }) {
  const [y, x] = box.hidden
    ? defaultMetrics(study)
    : [find(box, '[data-testid="axis-y"]').value, find(box, '[data-testid="axis-x"]').value];
  return { x: axisOf(study, x), y: axisOf(study, y) };
}

/**
 * The first objective over the second; a lone objective over the number of the trial.
 * @param {Study} study
 */
const defaultMetrics = ({ objectives }) => [objectives[0].metric, objectives[1]?.metric ?? "number"];

/**
 * The objectives, then whatever else the trials measured.
 * @param {StudyData} data
 */
function offeredMetrics({ study, trials }) {
  const measured = trials
    .filter(({ state }) => state === "SUCCEEDED")
    .flatMap(({ metrics }) => Object.keys(metrics))
    .filter((metric) => metric !== "collapsed")
    .sort();
  return [...new Set([...study.objectives.map((objective) => objective.metric), ...measured, "number"])];
}

/**
 * @param {HTMLSelectElement} select
 * @param {{metric: string, heading: string}[]} options
 * @param {string} preset
 * @param {() => void} redraw
 */
function offer(select, options, preset, redraw) {
  select.onchange = redraw;
  const offered = [...select.options].map((option) => option.value);
  if (offered.join() === options.map(({ metric }) => metric).join()) return;
  const chosen = select.value || preset;
  select.replaceChildren(...options.map(({ metric, heading }) => make("option", { value: metric }, heading)));
  select.value = chosen;
}

/**
 * @param {Study} study
 * @param {string} metric
 * @returns {Axis}
 */
function axisOf({ objectives }, metric) {
  const objective = objectives.find((candidate) => candidate.metric === metric);
  // Of what is no objective, the score is a gain and everything else a cost.
  const maximize = objective ? objective.direction === "maximize" : metric === "score";
  return { metric, maximize, isObjective: objective !== undefined };
}
