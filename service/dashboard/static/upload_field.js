/** The field that takes a file to the server. Knows nothing of what is in it. */

import { ApiProblem } from "./api.js";
import { named, showText } from "./elements.js";

/** @import {Api} from "./api.js" */
/** @import {Frame} from "./main.js" */
/** @import {TaskFile} from "./types.js" */

/**
 * @param {HTMLElement} view
 * @param {Api} api
 * @param {Frame} frame
 * @param {(file: TaskFile) => Promise<void>} arrived
 */
export function connectUpload(view, api, frame, arrived) {
  const input = /** @type {HTMLInputElement} */ (named(view, "upload"));
  const problem = named(view, "upload-problem");
  const going = named(view, "uploading");
  input.addEventListener("change", async () => {
    const file = input.files?.[0];
    if (!file) return;
    showText(problem, null);
    showText(going, `Sending ${file.name}`);
    try {
      await arrived(await api.putTaskFile(uploadName(file.name), file));
    } catch (error) {
      if (error instanceof ApiProblem && error.status !== 401) showText(problem, error.message);
      else frame.refused(error);
    }
    showText(going, null);
    input.value = "";
  });
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
