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
  return {
    element,
    select,
    value: () => select.value,
    /**
     * @param {Choice[]} choices
     * @param {string} [preset] chosen unless something that is still offered is
     */
    offer: (choices, preset) => offerChoices(select, choices, preset),
  };
}

/**
 * Fill a select box, unless it offers just these choices already.
 * @param {HTMLSelectElement} select
 * @param {Choice[]} choices
 * @param {string} [preset] chosen unless something that is still offered is
 */
export function offerChoices(select, choices, preset = choices[0]?.value ?? "") {
  const offered = [...select.options].map(({ value, textContent }) => ({ value, text: textContent }));
  if (JSON.stringify(offered) === JSON.stringify(choices)) return;
  const chosen = select.value;
  select.replaceChildren(...choices.map(({ value, text }) => make("option", { value }, text)));
  select.value = choices.some(({ value }) => value === chosen) && chosen !== "" ? chosen : preset;
}
