/** Which parameters matter to each objective: a short list of bars. */

import { hint, make } from "./elements.js";
import { formatCount, nameOf, shortName } from "./format.js";

/** @import {Importance, ParameterImportance, Study} from "./types.js" */

const MOST_BARS = 8;

/**
 * @param {HTMLElement} panel
 * @param {Study} study
 * @param {Importance} importance
 */
export function showImportance(panel, study, { observations, objectives, reason }) {
  const lists = objectives.map(({ metric, parameters, groups }) =>
    make(
      "div",
      {},
      make("h3", {}, shortName(study, metric)),
      make("ul", { class: "bars" }, ...[...groups, ...parameters].sort(byEffect).slice(0, MOST_BARS).map(bar)),
    ),
  );
  const note = reason ?? `Share of the variance lost without it, from ${formatCount(observations)} results.`;
  panel.replaceChildren(hint(note), make("div", { class: "bar-lists" }, ...lists));
}

/**
 * @param {ParameterImportance} one
 * @param {ParameterImportance} other
 */
const byEffect = (one, other) => other.total_effect - one.total_effect;

/** @param {ParameterImportance} importance */
function bar({ name, total_effect }) {
  const words = nameOf(name).replace(/ \*$/, ", together");
  const share = `${Math.round(100 * total_effect)} %`;
  return make(
    "li",
    {},
    make("span", {}, words),
    make("span", { class: "number" }, share),
    make("progress", { max: 1, value: Math.min(total_effect, 1), "aria-label": `${words}: ${share}` }),
  );
}

/**
 * Every share as a row of a file, groups too.
 * @param {Importance} importance
 */
export const recordsOfImportance = ({ observations, objectives }) =>
  objectives.flatMap(({ metric, parameters, groups }) =>
    [...groups, ...parameters].map(({ name, total_effect }) => ({ metric, name, total_effect, observations })),
  );
