/** The page that starts a study: a new one, a clone or an extension, checked by the server as it is written. */

import { ApiProblem } from "./api.js";
import { guessColumns } from "./column_guess.js";
import { find, fromTemplate, make, named } from "./elements.js";
import { counted } from "./format.js";
import { patchBetween, patched } from "./merge_patch.js";
import { startPolling } from "./polling.js";
import { focusRefused } from "./refusals.js";
import { asFileName, saveText } from "./saving.js";
import { createStudyCheck } from "./study_check.js";
import { createStudyForm } from "./study_form.js";
import { connectUpload } from "./upload_field.js";
import { showLoading, showMissing } from "./waiting.js";
import { asYaml } from "./yaml.js";

/** @import {Api} from "./api.js" */
/** @import {Frame} from "./main.js" */
/** @import {Catalogue, Study, StudyDraft, TaskFile} from "./types.js" */

/** What a study that is posted may say, of what one that is read does say. */
const POSTED = ["kind", "display_name", "configuration", "search_space", "objectives", "constraints", "budget",
  "parallelism", "seed", "proposals", "early_stopping", "replicates", "final_replicates", "notes", "tags"]; // prettier-ignore

/** @typedef {{how: "new" | "clone" | "extend", id: string | null}} Start */
/** @typedef {{start: Start, catalogue: Catalogue, files: TaskFile[], source: Study | null}} Given */

/**
 * Show the page until the function that this returns is called.
 * @param {HTMLElement} root
 * @param {Api} api
 * @param {Frame} frame
 * @param {Start} start
 */
export function showNewStudy(root, api, frame, start) {
  let close = () => {};

  async function load(/** @type {AbortSignal} */ signal) {
    const [catalogue, files, source] = await Promise.all([
      api.getCatalogue(signal),
      api.listTaskFiles(signal).catch(noUploads),
      start.id === null ? null : api.getStudy(start.id, signal),
    ]);
    close = openPage(root, api, frame, { start, catalogue, files, source });
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
    close();
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
 * @param {Given} given
 */
function openPage(root, api, frame, { start, catalogue, files, source }) {
  const view = fromTemplate("new-study");
  const form = createStudyForm(find(view, "form"), catalogue, files, source);
  const before = form.draft();
  const leaving = new AbortController();
  describePage(view, start, source);
  if (start.how === "clone") named(view, "field-name").value = `${source?.display_name} (copy)`.slice(0, 200);
  root.replaceChildren(view);
  find(view, "h1").focus();

  /** The study as it would be posted. */
  const draft = () =>
    source === null ? form.draft() : patched(postedOf(source), patchBetween(before, form.draft()));
  const checking = createStudyCheck(view, api, frame, { form, draft, how: start.how });

  async function chooseFile(/** @type {TaskFile} */ file) {
    form.choose(file);
    named(view, "preview").replaceChildren();
    let head;
    try {
      head = await api.getTaskFile(file.name, leaving.signal);
    } catch (error) {
      if (leaving.signal.aborted) return;
      throw error;
    }
    // Another one may have been chosen meanwhile.
    if (form.chosenFile()?.name !== file.name) return;
    form.nameColumns(guessColumns(head));
    checking.read(head);
    changed();
  }

  function changed() {
    form.followTask();
    checking.soon();
  }

  const send = createSender(api, source, start, () => ({
    draft: form.draft(),
    edits: patchBetween(before, form.draft()),
    trials: form.trials(),
    import_trials: named(view, "field-import").checked,
  }));
  find(view, "form").addEventListener("input", changed);
  connectUpload(view, api, frame, chooseFile);
  connectStart(view, frame, send, checking.refuse);
  named(view, "field-task").addEventListener("change", () => {
    const file = form.chosenFile();
    if (file !== null) chooseFile(file).catch(frame.refused);
  });
  named(view, "save-yaml").addEventListener("click", () => {
    saveText(asYaml(draft()), "application/yaml", `${asFileName(draft().display_name)}.yaml`);
  });
  return () => {
    leaving.abort();
    checking.stop();
  };
}

/**
 * Let the button start the study, and lead to its page.
 * @param {HTMLElement} view
 * @param {Frame} frame
 * @param {() => Promise<Study>} send
 * @param {(error: unknown) => void} refuse throws what is no refusal of a field
 */
function connectStart(view, frame, send, refuse) {
  const button = named(view, "start");
  find(view, "form").addEventListener("submit", async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const study = await send();
      location.hash = `#study=${encodeURIComponent(study.id)}`;
    } catch (error) {
      try {
        refuse(error);
        focusRefused(view);
      } catch (unplaced) {
        frame.refused(unplaced);
      }
    }
    button.disabled = false;
  });
}

/**
 * Give the request that the page is for. Pressed again after a lost answer, the button starts no second study:
 * the same content goes under the same name.
 * @param {Api} api
 * @param {Study | null} source
 * @param {Start} start
 * @param {() => {draft: StudyDraft, edits: object, trials: number, import_trials: boolean}} written
 */
function createSender(api, source, { how }, written) {
  const names = new Map();
  return () => {
    const { draft, edits, trials, import_trials } = written();
    const content = JSON.stringify({ draft, trials, import_trials });
    const name = names.get(content) ?? randomName();
    names.set(content, name);
    if (source === null) return api.createStudy(draft, name);
    if (how === "extend") return api.extendStudy(source.id, trials, name);
    return api.cloneStudy(source.id, { edits, import_trials }, name);
  };
}

/** Of 128 random bits, which a page without TLS can make, too. */
const randomName = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

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
  named(view, "start").textContent = buttons[how];
  named(view, "import-field").hidden = how !== "clone";
  if (how === "extend") allowTrialsAlone(view);
  // A clone keeps what this page cannot tell from a default: starting points, a race.
  named(view, "yaml-card").hidden = how !== "new";
  if (source === null) return;
  const budget = counted(source.budget.trials, "trial");
  const sentence =
    how === "clone" ? "What you leave as it is stays as it was." : `It has a budget of ${budget}; nothing else of it changes.`;
  const link = make("a", { href: `#study=${encodeURIComponent(source.id)}` }, source.display_name);
  named(view, "source").hidden = false;
  named(view, "source").replaceChildren("Of ", link, `. ${sentence}`);
}

/** @param {HTMLElement} view */
function allowTrialsAlone(view) {
  for (const part of view.querySelectorAll("fieldset:not([data-part=budget])")) {
    /** @type {HTMLFieldSetElement} */ (part).disabled = true;
  }
  named(view, "field-parallelism").disabled = true;
  named(view, "trials-label").textContent = "Trials to add";
  find(view, "#outcome-title").textContent = "Extend";
  named(view, "upload-field").hidden = true;
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
