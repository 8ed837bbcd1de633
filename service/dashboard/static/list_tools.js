/** What narrows and orders the list of studies: the server narrows, the page orders what it has. */

import { make, named } from "./elements.js";
import { asWords, trainingsDone } from "./format.js";

/** @import {Listed} from "./studies_view.js" */
/** @import {Study} from "./types.js" */

const STATES = ["ACTIVE", "PAUSED", "CANCELLING", "SUCCEEDED", "FAILED", "CANCELLED"];
/** After the last key of a word. */
const LULL_MS = 300;

/** @type {Object<string, (one: Listed, other: Listed) => number>} */
const ORDERS = {
  newest: () => 0,
  oldest: (one, other) => Date.parse(one.study.created_at) - Date.parse(other.study.created_at),
  name: (one, other) => one.study.display_name.localeCompare(other.study.display_name),
  state: (one, other) => STATES.indexOf(one.study.state) - STATES.indexOf(other.study.state),
  progress: (one, other) => shareOf(other.study) - shareOf(one.study),
  best: (one, other) => bestOf(other) - bestOf(one),
  hypervolume: (one, other) => (other.study.hypervolume ?? -Infinity) - (one.study.hypervolume ?? -Infinity) || 0,
};

/**
 * @param {HTMLElement} box
 * @param {{again: () => void, redraw: () => void}} then `again` asks the server, `redraw` only orders
 */
export function createListTools(box, { again, redraw }) {
  const search = named(box, "search");
  const selects = {
    state: named(box, "filter-state"),
    tag: named(box, "filter-tag"),
    backbone: named(box, "filter-backbone"),
  };
  const sort = named(box, "sort");
  const seen = { tag: new Set(), backbone: new Set() };
  let timer = 0;
  selects.state.append(...STATES.map((state) => make("option", { value: state }, asWords(state).toLowerCase())));
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(again, LULL_MS);
  });
  for (const select of Object.values(selects)) select.addEventListener("change", again);
  sort.addEventListener("change", redraw);

  return {
    /** @returns {Object<string, string>} what to ask the server for */
    wanted() {
      const text = search.value.trim();
      const chosen = Object.entries(selects).map(([name, select]) => [name, select.value]);
      return Object.fromEntries([["text", text], ...chosen].filter(([, value]) => value));
    },
    /**
     * Offer the tags and backbones that studies have, once they were seen.
     * @param {Study[]} studies
     */
    offer(studies) {
      for (const { tags, configuration } of studies) {
        for (const tag of tags) offerIn(selects.tag, seen.tag, tag);
        if (configuration !== null) offerIn(selects.backbone, seen.backbone, configuration.backbone);
      }
    },
    /** @param {Listed[]} listed */
    inOrder: (listed) => [...listed].sort(ORDERS[sort.value]),
    clear() {
      search.value = "";
      for (const select of Object.values(selects)) select.value = "";
      search.focus();
      again();
    },
    stop: () => clearTimeout(timer),
  };
}

/**
 * @param {HTMLSelectElement} select
 * @param {Set<string>} seen
 * @param {string} value
 */
function offerIn(select, seen, value) {
  if (seen.has(value)) return;
  seen.add(value);
  select.append(make("option", { value }, value));
}

/** @param {Study} study */
const shareOf = (study) => trainingsDone(study) / study.budget.trials;

/** @param {Listed} listed */
function bestOf({ study, front }) {
  const { metric, direction } = study.objectives[0];
  const best = front?.points[0]?.metrics[metric];
  if (best === undefined) return -Number.MAX_VALUE;
  return direction === "maximize" ? best : -best;
}
