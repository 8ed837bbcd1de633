/** The one question of the page: asked before what cannot be taken back. */

import { find, named } from "./elements.js";

/**
 * Ask, and tell whether the answer is yes. Escape is no.
 * @param {{title: string, text: string, yes: string, no: string}} words
 * @returns {Promise<boolean>}
 */
export function askFirst({ title, text, yes, no }) {
  const dialog = /** @type {HTMLDialogElement} */ (named(document, "question"));
  find(dialog, "h2").textContent = title;
  find(dialog, "p").textContent = text;
  named(dialog, "question-yes").textContent = yes;
  named(dialog, "question-no").textContent = no;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Take the question away, unanswered. */
export const dropQuestion = () => /** @type {HTMLDialogElement} */ (named(document, "question")).close();
