/** What the Pareto plot shows beside two axes: a third metric as colour, and the front that the models believe. */

import { make, named } from "./elements.js";
import { headingOf } from "./format.js";

/** @import {Axes} from "./axes.js" */
/** @import {StudyData} from "./study_data.js" */

const NO_SHADE = "";

/**
 * @param {HTMLElement} box
 * @param {() => void} redraw
 */
export function createPlotOptions(box, redraw) {
  /** @type {HTMLSelectElement} */
  const shade = named(box, "shade");
  /** @type {HTMLInputElement} */
  const belief = named(box, "shows-belief");
  shade.addEventListener("change", redraw);
  belief.addEventListener("change", redraw);
  let offered = "";
  return {
    /**
     * Offer the metrics that no axis shows, and beliefs where there are any.
     * @param {StudyData} data
     * @param {Axes} axes
     */
    update({ study, trials }, { x, y }) {
      const measured = new Set(trials.flatMap(({ metrics, state }) => (state === "SUCCEEDED" ? Object.keys(metrics) : [])));
      const names = [...new Set([...study.objectives.map(({ metric }) => metric), ...[...measured].sort()])];
      const metrics = names.filter((name) => ![x.metric, y.metric, "collapsed"].includes(name) && measured.has(name));
      if (metrics.join() !== offered) {
        offered = metrics.join();
        const chosen = shade.value;
        const options = metrics.map((name) => make("option", { value: name }, headingOf(study, name)));
        shade.replaceChildren(make("option", { value: NO_SHADE }, "by standing"), ...options);
        shade.value = metrics.includes(chosen) ? chosen : NO_SHADE;
      }
      const hasBeliefs = trials.some((trial) => trial.belief?.onFront);
      /** @type {HTMLElement} */ (shade.parentElement).hidden = metrics.length === 0;
      /** @type {HTMLElement} */ (belief.parentElement).hidden = !hasBeliefs;
      box.hidden = metrics.length === 0 && !hasBeliefs;
    },
    shadedBy: () => shade.value,
    showsBelief: () => belief.checked,
  };
}
