/** A labelled select box whose options may change: the choice stays while it is offered. */

import { make } from "./elements.js";

/** @typedef {{value: string, text: string}} Choice */

/**
 * @param {string} label
 * @param {string} testId
 * @param {() => void} onChange
 */
export function createChooser(label, testId, onChange) {
  const select = make("select", { "data-testid": testId });
  const element = make("label", {}, `${label} `, select);
  select.addEventListener("change", onChange);
  let offered = "";
  return {
    element,
    select,
    value: () => select.value,
    /**
     * @param {Choice[]} choices
     * @param {string} [preset] chosen unless something that is still offered is
     */
    offer(choices, preset = choices[0]?.value ?? "") {
      const key = JSON.stringify(choices);
      if (key === offered) return;
      const chosen = select.value;
      offered = key;
      select.replaceChildren(...choices.map(({ value, text }) => make("option", { value }, text)));
      select.value = choices.some(({ value }) => value === chosen) && chosen !== "" ? chosen : preset;
    },
  };
}
