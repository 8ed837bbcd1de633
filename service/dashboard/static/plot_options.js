/** What the Pareto plot shows beside two axes: a third metric as colour, and the front that the models believe. */

import { offerChoices } from "./chooser.js";
import { named } from "./elements.js";
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
  return {
    /**
     * Offer what was measured and no axis shows, and beliefs where there are any.
     * @param {StudyData} data
     * @param {string[]} measured
     * @param {Axes} axes
     */
    update({ study, trials }, measured, { x, y }) {
      const metrics = measured.filter((name) => name !== x.metric && name !== y.metric);
      const choices = metrics.map((name) => ({ value: name, text: headingOf(study, name) }));
      offerChoices(shade, [{ value: NO_SHADE, text: "by standing" }, ...choices]);
      const hasBeliefs = trials.some((trial) => trial.belief?.onFront);
      /** @type {HTMLElement} */ (shade.parentElement).hidden = metrics.length === 0;
      /** @type {HTMLElement} */ (belief.parentElement).hidden = !hasBeliefs;
      box.hidden = metrics.length === 0 && !hasBeliefs;
    },
    shadedBy: () => shade.value,
    showsBelief: () => belief.checked,
  };
}
