/** What may be done with a study of the list: notes and tags, a clone, more trials, deletion. */

import { ApiProblem } from "./api.js";
import { find, make, named, showText } from "./elements.js";
import { asWords } from "./format.js";
import { askFirst } from "./question.js";
import { hasEnded } from "./study_data.js";

/** @import {Api} from "./api.js" */
/** @import {Frame} from "./main.js" */
/** @import {Study} from "./types.js" */

/** @typedef {ReturnType<typeof createActions>} Actions */

export const EXTENDABLE = ["ACTIVE", "PAUSED", "SUCCEEDED"];
const CHANGED_MEANWHILE = "Somebody has changed the study meanwhile. Save again to write over that, or leave it and look.";

/**
 * @param {HTMLElement} view
 * @param {Api} api
 * @param {Frame} frame
 * @param {() => void} changed
 */
export function createActions(view, api, frame, changed) {
  /** @type {Map<string, Study>} */
  const latest = new Map();
  const dialog = /** @type {HTMLDialogElement} */ (named(view, "notes-dialog"));
  const form = find(dialog, "form");
  /** @type {{study: Study, version: string} | null} what the dialog was opened with */
  let read = null;

  async function openNotes(/** @type {string} */ id) {
    try {
      read = await api.readForChange(id);
    } catch (error) {
      frame.refused(error);
      return;
    }
    // The list may have been left meanwhile.
    if (!dialog.isConnected) return;
    named(form, "edit-name").value = read.study.display_name;
    named(form, "edit-tags").value = read.study.tags.join(", ");
    named(form, "edit-notes").value = read.study.notes;
    complain(null);
    dialog.showModal();
  }

  const complain = (/** @type {string | null} */ text) => showText(named(form, "notes-problem"), text);

  /** @param {{study: Study, version: string}} opened */
  async function save(opened) {
    const changes = {
      display_name: named(form, "edit-name").value.trim(),
      notes: named(form, "edit-notes").value.trim(),
      tags: tagsIn(named(form, "edit-tags").value),
    };
    try {
      await api.updateStudy(opened.study.id, opened.version, changes);
      dialog.close();
      changed();
    } catch (error) {
      if (!(error instanceof ApiProblem) || error.status !== 412) throw error;
      // Every event of a running study is a new version of it; what was typed stays.
      read = await api.readForChange(opened.study.id);
      if (wordsOf(read.study) === wordsOf(opened.study)) await save(read);
      else complain(CHANGED_MEANWHILE);
    }
  }

  form.addEventListener("submit", async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const button = named(form, "notes-save");
    button.disabled = true;
    try {
      if (read !== null) await save(read);
    } catch (error) {
      if (error instanceof ApiProblem && error.status !== 401) complain(error.message);
      else {
        dialog.close();
        frame.refused(error);
      }
    }
    button.disabled = false;
  });
  named(form, "notes-close").addEventListener("click", () => dialog.close());

  async function remove(/** @type {string} */ id) {
    const study = latest.get(id);
    if (!study) return;
    const isMeant = await askFirst({
      title: `Delete “${study.display_name}”?`,
      text: "Its trials, its history and the files that they left go with it. This cannot be undone.",
      yes: "Delete the study",
      no: "Keep it",
    });
    if (!isMeant) return;
    try {
      await api.deleteStudy(id);
      // The row goes, and the focus with it.
      find(view, "h1").focus();
    } catch (error) {
      frame.refused(error);
    }
    changed();
  }

  return {
    /**
     * Make the buttons of a study.
     * @param {Study} study
     */
    menuOf({ id }) {
      const notes = make("button", { type: "button", class: "quiet" }, "Notes");
      const clone = make("a", { href: `#clone=${encodeURIComponent(id)}` }, "Clone");
      const extend = make("a", { href: `#extend=${encodeURIComponent(id)}`, "data-verb": "extend" }, "Extend");
      const drop = make("button", { type: "button", class: "quiet", "data-verb": "delete" }, "Delete");
      notes.addEventListener("click", () => openNotes(id));
      drop.addEventListener("click", () => remove(id));
      return make("div", { class: "menu for-writers" }, notes, clone, extend, drop);
    },
    /**
     * Name the buttons after the study, and offer those that its state allows.
     * @param {HTMLElement} row
     * @param {Study} study
     */
    show(row, study) {
      latest.set(study.id, study);
      for (const one of row.querySelectorAll(".menu > *")) {
        one.setAttribute("aria-label", `${one.textContent}: ${study.display_name}`);
      }
      find(row, "[data-verb=extend]").hidden = !EXTENDABLE.includes(study.state);
      const drop = find(row, "[data-verb=delete]");
      drop.disabled = !hasEnded(study);
      drop.title = drop.disabled ? `It is ${asWords(study.state).toLowerCase()}: cancel it first.` : "";
    },
  };
}

/** @param {Study} study */
const wordsOf = ({ display_name, notes, tags }) => JSON.stringify([display_name, notes, tags]);

/**
 * Read words with commas between them.
 * @param {string} text
 */
export const tagsIn = (text) =>
  text
    .split(",")
    .map((tag) => tag.trim())
    .filter(Boolean);
