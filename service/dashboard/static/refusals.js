/** What the server refuses of a form, said at the field that is meant. Knows no study. */

import { find, make } from "./elements.js";

/** @typedef {{pointer: string, detail: string}} FieldError */

/**
 * Show each refusal below its field, and those that are of no field together.
 * A field names in `data-pointer` what it writes: JSON pointers with spaces between.
 * @param {HTMLElement} form
 * @param {HTMLElement} others a list
 * @param {FieldError[]} errors
 */
export function showRefusals(form, others, errors) {
  /** @type {Map<HTMLElement, string[]>} */
  const byField = new Map();
  /** @type {string[]} */
  const unplaced = [];
  for (const { pointer, detail } of errors) {
    const field = fieldOf(form, pointer);
    if (field === null) unplaced.push(`${pointer} ${detail}`.trim());
    else byField.set(field, [...(byField.get(field) ?? []), detail]);
  }
  for (const field of fieldsOf(form)) showAt(field, byField.get(field) ?? []);
  others.hidden = unplaced.length === 0;
  others.replaceChildren(...unplaced.map((text) => make("li", {}, text)));
}

/**
 * Lead to the first field with a refusal.
 * @param {HTMLElement} form
 */
export function focusRefused(form) {
  const control = form.querySelector("[aria-invalid]");
  if (control !== null) /** @type {HTMLElement} */ (control).focus();
}

/**
 * Find the field that writes what a pointer points to: the one whose own pointer is the longest part of it,
 * and of those that share one the last that is shown: it says more of what the first one chose.
 * @param {HTMLElement} form
 * @param {string} pointer
 */
function fieldOf(form, pointer) {
  /** @type {HTMLElement | null} */
  let best = null;
  let length = 0;
  for (const field of fieldsOf(form)) {
    if (field.closest("[hidden]")) continue;
    for (const own of (field.dataset.pointer ?? "").split(" ")) {
      const holds = pointer === own || pointer.startsWith(`${own}/`);
      if (holds && own.length >= length) [best, length] = [field, own.length];
    }
  }
  return best;
}

/**
 * @param {HTMLElement} field
 * @param {string[]} details
 */
function showAt(field, details) {
  const known = field.querySelector(".refusal");
  const text = details.join(" ");
  if ((known?.textContent ?? "") === text) return;
  known?.remove();
  const control = find(field, "input, select, textarea");
  if (!text) {
    control.removeAttribute("aria-invalid");
    control.removeAttribute("aria-describedby");
    return;
  }
  const id = `refusal-${field.dataset.pointer?.split(" ")[0].replaceAll("/", "-")}`;
  field.append(make("p", { class: "refusal", id, role: "alert" }, text));
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", id);
}

/**
 * @param {HTMLElement} form
 * @returns {NodeListOf<HTMLElement>}
 */
const fieldsOf = (form) => form.querySelectorAll("[data-pointer]");
