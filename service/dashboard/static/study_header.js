/** The head of a study's page: name, state, what is searched, and the verbs that its state allows. */

import { find, named, showState, showText } from "./elements.js";

/** @import {Study} from "./types.js" */

/** @type {Object<string, string[]>} */
const VERBS_OF_STATE = { ACTIVE: ["pause", "cancel"], PAUSED: ["resume", "cancel"] };

/**
 * @param {HTMLElement} view
 * @param {Study} study
 */
export function showHeader(view, study) {
  const { configuration, search_space, parallelism } = study;
  named(view, "study-name").textContent = study.display_name;
  showState(named(view, "study-state"), study.state);
  named(view, "study-meta").textContent = [
    configuration.backbone,
    configuration.task.name,
    `${search_space.parameters.length} parameters searched`,
    `${parallelism} ${parallelism === 1 ? "trial" : "trials"} at a time`,
    study.id,
  ].join(" · ");
  showText(named(view, "study-reason"), study.state_reason);
  named(view, "study-reason").dataset.state = study.state;
  const allowed = VERBS_OF_STATE[study.state] ?? [];
  for (const button of verbButtons(view)) button.disabled = !allowed.includes(button.dataset.verb ?? "");
}

/**
 * Let the buttons tell; cancelling asks first.
 * @param {HTMLElement} view
 * @param {(verb: string) => void} tell
 */
export function connectVerbs(view, tell) {
  const dialog = find(view, "dialog");
  for (const button of verbButtons(view)) {
    const verb = button.dataset.verb ?? "";
    button.addEventListener("click", () => {
      if (verb === "cancel") {
        dialog.returnValue = "";
        dialog.showModal();
      } else {
        button.disabled = true;
        tell(verb);
      }
    });
  }
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "cancel") tell("cancel");
  });
}

/**
 * @param {HTMLElement} view
 * @returns {NodeListOf<HTMLButtonElement>}
 */
const verbButtons = (view) => view.querySelectorAll("button[data-verb]");
