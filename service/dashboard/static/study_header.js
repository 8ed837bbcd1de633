/** The head of a study's page: name, state, what is searched, and the verbs that its state allows. */

import { named, showState, showText } from "./elements.js";
import { counted } from "./format.js";
import { askFirst } from "./question.js";
import { EXTENDABLE } from "./study_actions.js";

/** @import {Study} from "./types.js" */

/** @type {Object<string, string[]>} */
const VERBS_OF_STATE = { ACTIVE: ["pause", "cancel"], PAUSED: ["resume", "cancel"] };
const CANCELLING = {
  title: "Cancel this study?",
  text: "Waiting trials are dropped and running ones stop. What has been measured stays. This cannot be undone.",
  yes: "Cancel the study",
};

/**
 * @param {HTMLElement} view
 * @param {Study} study
 */
export function showHeader(view, study) {
  const { configuration, search_space, parallelism } = study;
  named(view, "study-name").textContent = study.display_name;
  showState(named(view, "study-state"), study.state);
  named(view, "study-meta").textContent = [
    ...(configuration === null
      ? ["custom study, run by machines of yours"]
      : [configuration.backbone, configuration.task.name]),
    `${counted(search_space.parameters.length, "parameter")} searched`,
    `${counted(parallelism, "trial")} at a time`,
    seedsOf(study),
    proposerOf(study),
    study.id,
  ]
    .filter(Boolean)
    .join(" · ");
  const tags = study.tags.length ? `Tags: ${study.tags.join(", ")}.` : "";
  showText(named(view, "study-words"), [study.one_shot?.detail, tags, study.notes].filter(Boolean).join(" "));
  showText(named(view, "study-reason"), study.state_reason);
  named(view, "study-reason").dataset.state = study.state;
  named(view, "clone").href = `#clone=${encodeURIComponent(study.id)}`;
  named(view, "extend").href = `#extend=${encodeURIComponent(study.id)}`;
  named(view, "extend").hidden = !EXTENDABLE.includes(study.state);
  const allowed = VERBS_OF_STATE[study.state] ?? [];
  for (const button of verbButtons(view)) button.disabled = !allowed.includes(button.dataset.verb ?? "");
}

/**
 * How many seeds a configuration gets, where it is more than one.
 * @param {Study} study
 */
function seedsOf({ replicates, final_replicates, race }) {
  const words = [
    replicates > 1 ? `${replicates} seeds each` : "",
    race.share > 0 ? `a race with ${Math.round(100 * race.share)} % of the budget` : "",
    final_replicates ? `${final_replicates} more for the front` : "",
  ];
  return words.filter(Boolean).join(", ");
}

/**
 * Who proposes, where it is not Paretune's own optimiser.
 * @param {Study} study
 */
const proposerOf = ({ proposals }) => (proposals.proposer === "paretune" ? "" : `proposed by ${proposals.proposer}`);

/**
 * Let the buttons tell; cancelling asks first.
 * @param {HTMLElement} view
 * @param {(verb: string) => void} tell
 */
export function connectVerbs(view, tell) {
  for (const button of verbButtons(view)) {
    const verb = button.dataset.verb ?? "";
    button.addEventListener("click", async () => {
      if (verb !== "cancel") {
        button.disabled = true;
        tell(verb);
      } else if (await askFirst({ ...CANCELLING, no: `Keep it ${isPaused(view) ? "paused" : "running"}` })) {
        tell(verb);
      }
    });
  }
}

/** @param {HTMLElement} view */
const isPaused = (view) => named(view, "study-state").dataset.state === "PAUSED";

/**
 * @param {HTMLElement} view
 * @returns {NodeListOf<HTMLButtonElement>}
 */
const verbButtons = (view) => view.querySelectorAll("button[data-verb]");
