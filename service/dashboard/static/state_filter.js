/** Which trials a table shows: all of them, or those in one state. */

import { make } from "./elements.js";
import { asWords, formatCount } from "./format.js";

/** @import {TrialRow} from "./types.js" */

/**
 * @param {HTMLElement} box where the buttons stand
 * @param {() => void} redraw
 */
export function createStateFilter(box, redraw) {
  /** @type {string | null} */
  let chosen = null;
  /** @type {Map<string | null, HTMLButtonElement>} */
  const buttons = new Map();

  function buttonOf(/** @type {string | null} */ state) {
    const known = buttons.get(state);
    if (known) return known;
    const button = make("button", { type: "button", class: "chip", "data-state": state ?? "ALL" });
    button.addEventListener("click", () => {
      chosen = state;
      redraw();
    });
    buttons.set(state, button);
    return button;
  }

  return {
    /**
     * Give the trials to show, and bring the buttons up to date.
     * @param {TrialRow[]} trials
     */
    keep(trials) {
      const states = [...new Set(trials.map(({ state }) => state))].sort();
      if (chosen !== null && !states.some((state) => state === chosen)) chosen = null;
      box.hidden = states.length < 2;
      const shown = [null, ...states].map((state) => {
        const button = buttonOf(state);
        const count = state === null ? trials.length : trials.filter((trial) => trial.state === state).length;
        button.textContent = `${state === null ? "all" : asWords(state).toLowerCase()} ${formatCount(count)}`;
        button.setAttribute("aria-pressed", String(state === chosen));
        return button;
      });
      if (shown.some((button, position) => box.children[position] !== button)) box.replaceChildren(...shown);
      return chosen === null ? trials : trials.filter(({ state }) => state === chosen);
    },
  };
}
