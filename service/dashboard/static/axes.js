/** Which two metrics the Pareto plot shows. With two objectives there is nothing to choose. */

import { offerChoices } from "./chooser.js";
import { named } from "./elements.js";
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
  const [y, x] = defaultMetrics(data.study);
  const choices = offeredMetrics(data).map((metric) => ({ value: metric, text: headingOf(data.study, metric) }));
  for (const [name, preset] of [["axis-y", y], ["axis-x", x]]) {
    const select = named(box, name);
    select.onchange = redraw;
    offerChoices(select, choices, preset);
  }
}

/**
 * @param {HTMLElement} box
 * @param {StudyData} data
 * @returns {Axes}
 */
export function chosenAxes(box, { study }) {
  const [y, x] = box.hidden
    ? defaultMetrics(study)
    : [named(box, "axis-y").value, named(box, "axis-x").value];
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
export function offeredMetrics({ study, trials }) {
  const measured = trials
    .filter(({ state }) => state === "SUCCEEDED")
    .flatMap(({ metrics }) => Object.keys(metrics))
    .filter((metric) => metric !== "collapsed")
    .sort();
  return [...new Set([...study.objectives.map((objective) => objective.metric), ...measured, "number"])];
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
