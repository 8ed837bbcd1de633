/** Which two metrics the Pareto plot shows. With two objectives there is nothing to choose. */

import { offerChoices } from "./chooser.js";
import { named } from "./elements.js";
import { headingOf } from "./format.js";

/** @import {Study} from "./types.js" */
/** @import {StudyData} from "./study_data.js" */

/** @typedef {{metric: string, maximize: boolean, isObjective: boolean}} Axis */
/** @typedef {{x: Axis, y: Axis}} Axes */

/**
 * Fill the select boxes with the objectives and whatever else was measured, and redraw when the person chooses.
 * @param {HTMLElement} box
 * @param {Study} study
 * @param {string[]} measured
 * @param {() => void} redraw
 */
export function offerAxes(box, study, measured, redraw) {
  const { objectives } = study;
  box.hidden = objectives.length === 2;
  const [y, x] = defaultMetrics(study);
  const offered = new Set([...objectives.map(({ metric }) => metric), ...measured, "number"]);
  const choices = [...offered].map((metric) => ({ value: metric, text: headingOf(study, metric) }));
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
 * What trials have measured to their end: the objectives first, as far as they are among it.
 * @param {StudyData} data
 * @returns {string[]}
 */
export function measuredMetrics({ study, trials }) {
  const measured = new Set();
  for (const { state, metrics } of trials) {
    if (state === "SUCCEEDED") for (const metric of Object.keys(metrics)) measured.add(metric);
  }
  measured.delete("collapsed");
  const objectives = study.objectives.map(({ metric }) => metric).filter((metric) => measured.has(metric));
  return [...new Set([...objectives, ...[...measured].sort()])];
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
