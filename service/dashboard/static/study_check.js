/** Has a study that is being written checked by the server, and shows what the answer says: refusals, rows, time. */

import { ApiProblem } from "./api.js";
import { find, hint, make, named, showText } from "./elements.js";
import { counted, formatDuration } from "./format.js";
import { startPolling } from "./polling.js";
import { showRefusals } from "./refusals.js";
import { contents, firstRows } from "./task_preview.js";
import { showNotAllowed } from "./waiting.js";
import { asYaml } from "./yaml.js";

/** @import {Api} from "./api.js" */
/** @import {Frame} from "./main.js" */
/** @import {StudyForm} from "./study_form.js" */
/** @import {RunEstimate, StudyDraft, StudyValidation, TaskFileHead} from "./types.js" */

/** After the last key of a field. */
const LULL_MS = 400;
const NO_ESTIMATE =
  "No estimate of the time: none of your ended studies with this backbone, data and recipe has trained anything.";
const NO_ESTIMATE_OF_A_CUSTOM_STUDY = "No estimate of the time: what a trial of yours takes is not known here.";
const UNCHECKED = "Not checked: the service gave no answer. It is asked again every two seconds.";

/**
 * @param {HTMLElement} view
 * @param {Api} api
 * @param {Frame} frame
 * @param {{form: StudyForm, draft: () => StudyDraft, how: "new" | "clone" | "extend"}} written
 */
export function createStudyCheck(view, api, frame, { form, draft, how }) {
  const refuse = (/** @type {unknown} */ error) => showRefused(view, error);
  /** @type {TaskFileHead | null} */
  let head = null;
  let previewed = "";
  let timer = 0;

  async function check(/** @type {AbortSignal} */ signal) {
    const study = draft();
    named(view, "yaml").textContent = asYaml(study);
    await Promise.all([validate(study, signal), study.configuration === undefined ? null : preview(signal)]);
    frame.settled("");
    return true;
  }

  async function validate(/** @type {StudyDraft} */ study, /** @type {AbortSignal} */ signal) {
    try {
      const found = await api.validateStudy(study, signal);
      showRefusals(find(view, "form"), named(view, "other-refusals"), []);
      showOutcome(view, found, how);
    } catch (error) {
      refuse(error);
      showText(named(view, "estimate"), null);
      showText(named(view, "outcome"), "It cannot run yet: see what is said at the fields.");
    }
  }

  async function preview(/** @type {AbortSignal} */ signal) {
    const task = form.task();
    const wanted = JSON.stringify(task);
    if (wanted === previewed) return;
    const file = form.chosenFile();
    if (file === null) head = null;
    else if (head?.name !== file.name) head = await api.getTaskFile(file.name, signal);
    named(view, "columns").replaceChildren(...(head?.columns ?? []).map((column) => make("option", { value: column })));
    const shown = head === null ? [] : firstRows(head);
    try {
      shown.push(...contents(await api.previewTask(task, signal)));
    } catch (error) {
      if (!(error instanceof ApiProblem) || error.status !== 422) throw error;
      shown.push(hint("Labels are counted once the fields above fit the rows."));
    }
    named(view, "preview").replaceChildren(...shown);
    previewed = wanted;
  }

  const polling = startPolling(check, (error) => {
    showText(named(view, "outcome"), UNCHECKED);
    if (!(error instanceof ApiProblem) || error.status !== 403) return frame.failed(error);
    showNotAllowed(find(document, "main"), error.message);
    return true;
  });

  return {
    /** Check again, once the person pauses. */
    soon() {
      clearTimeout(timer);
      timer = setTimeout(polling.again, LULL_MS);
    },
    /** @param {TaskFileHead} latest what the chosen file holds now */
    read(latest) {
      head = latest;
      previewed = "";
    },
    refuse,
    stop() {
      clearTimeout(timer);
      polling.stop();
    },
  };
}

/**
 * Show refusals at their fields, those of a clone and an extension, too; what is none of them goes wrong elsewhere.
 * @param {HTMLElement} view
 * @param {unknown} error
 */
function showRefused(view, error) {
  if (!(error instanceof ApiProblem) || error.status !== 422 || !error.errors.length) throw error;
  const errors = error.errors.map(({ pointer, detail }) => ({
    pointer: pointer.replace(/^\/edits/, "").replace(/^\/trials$/, "/budget/trials"),
    detail,
  }));
  showRefusals(find(view, "form"), named(view, "other-refusals"), errors);
}

/**
 * @param {HTMLElement} view
 * @param {StudyValidation} found
 * @param {"new" | "clone" | "extend"} how
 */
function showOutcome(view, { study, first_trials, estimate }, how) {
  const searched = counted(study.search_space.parameters.length, "parameter");
  // A clone keeps starting points that were not sent with this question.
  const begins = how === "new" && first_trials.length ? `, begins with ${counted(first_trials.length, "starting point")}` : "";
  showText(named(view, "outcome"), how === "extend" ? null : `It can run: it searches ${searched}${begins}.`);
  const none = study.configuration ? NO_ESTIMATE : NO_ESTIMATE_OF_A_CUSTOM_STUDY;
  showText(named(view, "estimate"), estimate === null ? none : sentenceOf(estimate));
}

/** @param {RunEstimate} estimate */
const sentenceOf = ({ seconds, trainings, seconds_per_training, measured_trainings }) =>
  `About ${formatDuration(seconds)}: ${counted(trainings, "training")} of ${formatDuration(seconds_per_training)}, ` +
  `by ${counted(measured_trainings, "training")} of a study like it.`;
