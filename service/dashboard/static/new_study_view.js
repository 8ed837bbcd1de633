/** The page that starts a study: a new one, a clone or an extension, checked by the server as it is written. */

import { ApiProblem } from "./api.js";
import { guessColumns } from "./column_guess.js";
import { find, fromTemplate, make, named, showText } from "./elements.js";
import { counted, formatDuration } from "./format.js";
import { patchBetween, patched } from "./merge_patch.js";
import { startPolling } from "./polling.js";
import { focusRefused, showRefusals } from "./refusals.js";
import { asFileName, saveText } from "./saving.js";
import { createStudyForm } from "./study_form.js";
import { contents, firstRows } from "./task_preview.js";
import { showLoading, showMissing, showNotAllowed } from "./waiting.js";
import { asYaml } from "./yaml.js";

/** @import {Api} from "./api.js" */
/** @import {Frame} from "./main.js" */
/** @import {RunEstimate, Study, StudyDraft, StudyValidation, TaskFileHead} from "./types.js" */

/** After the last key of a field. */
const LULL_MS = 400;
const NO_ESTIMATE =
  "No estimate of the time: none of your studies with this backbone, data and recipe has trained anything yet.";
const NO_ESTIMATE_OF_A_CUSTOM_STUDY = "No estimate of the time: what a trial of yours takes is not known here.";
/** What a study that is posted may say, of what one that is read does say. */
const POSTED = ["kind", "display_name", "configuration", "search_space", "objectives", "constraints", "budget",
  "parallelism", "seed", "proposals", "early_stopping", "replicates", "final_replicates", "notes", "tags"]; // prettier-ignore

/** @typedef {{how: "new" | "clone" | "extend", id: string | null}} Start */

/**
 * Show the page until the function that this returns is called.
 * @param {HTMLElement} root
 * @param {Api} api
 * @param {Frame} frame
 * @param {Start} start
 */
export function showNewStudy(root, api, frame, start) {
  /** @type {ReturnType<typeof openPage> | null} */
  let page = null;

  async function load(/** @type {AbortSignal} */ signal) {
    const [catalogue, files, source] = await Promise.all([
      api.getCatalogue(signal),
      api.listTaskFiles(signal).catch(noUploads),
      start.id === null ? null : api.getStudy(start.id, signal),
    ]);
    page = openPage(root, api, frame, { start, catalogue, files, source });
    frame.settled("");
    return true;
  }

  const loading = startPolling(load, (error) => {
    if (!(error instanceof ApiProblem) || error.status !== 404) return frame.failed(error);
    frame.settled("");
    showMissing(root, start.id ?? "");
    return true;
  });
  showLoading(root, "what a study can be made of");
  return () => {
    loading.stop();
    page?.close();
  };
}

/**
 * A server without a folder for uploads has none; everything else goes wrong.
 * @param {unknown} error
 */
function noUploads(error) {
  if (error instanceof ApiProblem && error.status === 422) return [];
  throw error;
}

/**
 * @param {HTMLElement} root
 * @param {Api} api
 * @param {Frame} frame
 * @param {{start: Start, catalogue: import("./types.js").Catalogue, files: import("./types.js").TaskFile[],
 *   source: Study | null}} given
 */
function openPage(root, api, frame, { start, catalogue, files, source }) {
  const view = fromTemplate("new-study");
  const element = find(view, "form");
  const others = named(view, "other-refusals");
  const form = createStudyForm(element, catalogue, files, source);
  const before = form.draft();
  const isExtension = start.how === "extend";
  /** @type {TaskFileHead | null} */
  let head = null;
  let previewed = "";
  let timer = 0;
  let isBusy = false;
  describePage(view, start, source);
  if (isExtension) {
    for (const part of element.querySelectorAll("fieldset:not([data-part=budget])")) part.disabled = true;
    named(view, "field-parallelism").disabled = true;
    named(view, "trials-label").textContent = "Trials to add";
    named(view, "yaml-card").hidden = true;
    named(view, "upload-field").hidden = true;
  }
  if (start.how === "clone") named(view, "field-name").value = `${source?.display_name} (copy)`.slice(0, 200);
  root.replaceChildren(view);
  find(view, "h1").focus();

  /** @returns {StudyDraft} the study as it would be posted */
  function wholeDraft() {
    return source === null ? form.draft() : patched(postedOf(source), patchBetween(before, form.draft()));
  }

  async function check(/** @type {AbortSignal} */ signal) {
    let draft;
    do {
      draft = JSON.stringify(wholeDraft());
      showText(named(view, "yaml"), asYaml(JSON.parse(draft)));
      await Promise.all([validate(JSON.parse(draft), signal), preview(signal)]);
    } while (draft !== JSON.stringify(wholeDraft()));
    frame.settled("");
    return true;
  }

  async function validate(/** @type {StudyDraft} */ draft, /** @type {AbortSignal} */ signal) {
    try {
      const found = await api.validateStudy(draft, signal);
      showRefusals(element, others, []);
      showOutcome(view, found, isExtension);
    } catch (error) {
      showProblem(error);
      showText(named(view, "estimate"), null);
      showText(named(view, "outcome"), "It cannot run yet: see what is said at the fields.");
    }
  }

  async function preview(/** @type {AbortSignal} */ signal) {
    if (wholeDraft().configuration === undefined) return;
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
      shown.push(make("p", { class: "hint" }, "Labels are counted once the fields above fit the rows."));
    }
    named(view, "preview").replaceChildren(...shown);
    previewed = wanted;
  }

  /** Refusals stand at their fields; what is no refusal of a field goes wrong elsewhere. */
  function showProblem(/** @type {unknown} */ error) {
    if (!(error instanceof ApiProblem) || error.status !== 422 || !error.errors.length) throw error;
    const errors = error.errors.map(({ pointer, detail }) => ({ pointer: pointer.replace(/^\/edits/, ""), detail }));
    const ofExtension = isExtension ? errors.map((one) => ({ ...one, pointer: one.pointer.replace(/^\/trials/, "/budget/trials") })) : errors;
    showRefusals(element, others, ofExtension);
  }

  const checking = startPolling(check, (error) => {
    if (!(error instanceof ApiProblem) || error.status !== 403) return frame.failed(error);
    showNotAllowed(root, error.message);
    return true;
  });

  function changed() {
    form.followTask();
    clearTimeout(timer);
    timer = setTimeout(checking.again, LULL_MS);
  }

  async function chooseFile(/** @type {import("./types.js").TaskFile} */ file) {
    form.choose(file);
    named(view, "preview").replaceChildren();
    head = await api.getTaskFile(file.name, new AbortController().signal);
    form.nameColumns(guessColumns(head));
    previewed = "";
    changed();
  }

  async function upload(/** @type {HTMLInputElement} */ input) {
    const file = input.files?.[0];
    if (!file) return;
    const field = named(view, "upload-problem");
    showText(field, null);
    showText(named(view, "uploading"), `Sending ${file.name}`);
    try {
      await chooseFile(await api.putTaskFile(uploadName(file.name), file));
    } catch (error) {
      if (error instanceof ApiProblem && error.status !== 401) showText(field, error.message);
      else frame.refused(error);
    }
    showText(named(view, "uploading"), null);
    input.value = "";
  }

  async function submit() {
    if (isBusy) return;
    isBusy = true;
    find(view, "button[type=submit]").disabled = true;
    try {
      const study = await send();
      location.hash = `#study=${encodeURIComponent(study.id)}`;
    } catch (error) {
      try {
        showProblem(error);
        focusRefused(element);
      } catch (unplaced) {
        frame.refused(unplaced);
      }
    }
    isBusy = false;
    find(view, "button[type=submit]").disabled = false;
  }

  function send() {
    const draft = form.draft();
    if (source === null) return api.createStudy(draft, nameOf("create", draft));
    if (isExtension) return api.extendStudy(source.id, form.trials(), nameOf("extend", form.trials()));
    const clone = { edits: patchBetween(before, draft), import_trials: named(view, "field-import").checked };
    return api.cloneStudy(source.id, clone, nameOf("clone", clone));
  }

  /** Pressed again after a lost answer, the button starts no second study. */
  const names = new Map();
  function nameOf(/** @type {string} */ verb, /** @type {any} */ content) {
    const request = `${verb} ${JSON.stringify(content)}`;
    if (!names.has(request)) names.set(request, randomName());
    return names.get(request);
  }

  element.addEventListener("input", changed);
  named(view, "field-task").addEventListener("change", async () => {
    const file = form.chosenFile();
    if (file !== null) await chooseFile(file).catch(frame.refused);
  });
  named(view, "upload").addEventListener("change", (/** @type {Event} */ event) => {
    upload(/** @type {HTMLInputElement} */ (event.target));
  });
  element.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    submit();
  });
  named(view, "save-yaml").addEventListener("click", () => {
    const draft = wholeDraft();
    saveText(asYaml(draft), "application/yaml", `${asFileName(draft.display_name)}.yaml`);
  });

  return {
    close() {
      clearTimeout(timer);
      checking.stop();
    },
  };
}

/**
 * @param {HTMLElement} view
 * @param {Start} start
 * @param {Study | null} source
 */
function describePage(view, { how }, source) {
  const titles = { new: "New study", clone: "Clone a study", extend: "Extend a study" };
  const buttons = { new: "Start the study", clone: "Start the clone", extend: "Add the trials" };
  document.title = `${titles[how]} · Paretune`;
  find(view, "h1").textContent = titles[how];
  find(view, "#outcome-title").textContent = how === "extend" ? "Extend" : "Start";
  find(view, "button[type=submit]").textContent = buttons[how];
  named(view, "import-field").hidden = how !== "clone";
  if (source === null) return;
  const budget = counted(source.budget.trials, "trial");
  const sentence = how === "clone" ? "What you leave as it is stays as it was." : `It has a budget of ${budget}; nothing else of it changes.`;
  const link = make("a", { href: `#study=${encodeURIComponent(source.id)}` }, source.display_name);
  named(view, "source").hidden = false;
  named(view, "source").replaceChildren("Of ", link, `. ${sentence}`);
}

/**
 * @param {HTMLElement} view
 * @param {StudyValidation} found
 * @param {boolean} isExtension
 */
function showOutcome(view, { study, first_trials, estimate }, isExtension) {
  const searched = counted(study.search_space.parameters.length, "parameter");
  const begins = first_trials.length ? `, begins with ${counted(first_trials.length, "starting point")}` : "";
  showText(named(view, "outcome"), isExtension ? null : `It can run: it searches ${searched}${begins}.`);
  const none = study.configuration ? NO_ESTIMATE : NO_ESTIMATE_OF_A_CUSTOM_STUDY;
  showText(named(view, "estimate"), estimate === null ? none : sentenceOf(estimate));
}

/** @param {RunEstimate} estimate */
function sentenceOf({ seconds, trainings, seconds_per_training, measured_trainings }) {
  return (
    `About ${formatDuration(seconds)}: ${counted(trainings, "training")} of ${formatDuration(seconds_per_training)}, ` +
    `by ${counted(measured_trainings, "training")} of a study like it.`
  );
}

/**
 * A study as it would have been posted.
 * @param {Study} source
 * @returns {StudyDraft}
 */
const postedOf = (source) =>
  withoutNulls(Object.fromEntries(Object.entries(source).filter(([name]) => POSTED.includes(name))));

/**
 * What is null in a study that is posted means the same as what is left out.
 * @param {any} value
 * @returns {any}
 */
function withoutNulls(value) {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (value === null || typeof value !== "object") return value;
  const said = Object.entries(value).filter(([, inner]) => inner !== null);
  return Object.fromEntries(said.map(([name, inner]) => [name, withoutNulls(inner)]));
}

/**
 * A name that the server takes: letters, digits, dots, dashes and underscores.
 * @param {string} name
 */
const uploadName = (name) =>
  name
    .replace(/[^A-Za-z0-9_.-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .replace(/\.[^.]*$/, (ending) => ending.toLowerCase());

/** Of 128 random bits, which a page without TLS can make, too. */
const randomName = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
