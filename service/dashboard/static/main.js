/** The page: which view the address names, with which key, and what is said when something goes wrong. */

import { inAddress } from "./address.js";
import { showAdmin } from "./admin_view.js";
import { ApiProblem, Unreachable, createApi } from "./api.js";
import { find, named, showText } from "./elements.js";
import { showKeyForm } from "./key_form.js";
import { showNewStudy } from "./new_study_view.js";
import { startPolling } from "./polling.js";
import { dropQuestion } from "./question.js";
import { forgetSessionKey, keepSessionKey, sessionKey, takeKeyFromAddress } from "./session_key.js";
import { showStudies } from "./studies_view.js";
import { showStudy } from "./study_view.js";
import { showNotLoaded } from "./waiting.js";

const RETRIES = "This page tries again every two seconds.";
const NOT_DONE =
  "That may not have been done. Once the connection is back, look at the study and press the button again.";

const root = find(document, "main");
const forgetButton = named(document, "forget-key");
const connection = named(document, "connection-problem");
const problem = named(document, "problem");
let leaveView = () => {};
/** @type {string | null} */
let shownStudy = null;

/** @import {Api} from "./api.js" */

/** What a view may say about itself to the frame around it. */
const frame = {
  /** @param {"live" | "asking" | "finished" | "paused" | ""} how */
  settled(how) {
    showText(connection, null);
    showLiveness(how);
  },
  /**
   * A request of the regular kind failed; say so, in one place, and whether to give up.
   * @param {unknown} error
   */
  failed(error) {
    if (error instanceof ApiProblem && error.status === 401) {
      askForKey(error.message);
      return true;
    }
    showLiveness("");
    const message = `${messageOf(error)} ${RETRIES}`;
    if (!showNotLoaded(root, message)) showText(connection, message);
    return false;
  },
  /**
   * Something that the person asked for failed.
   * @param {unknown} error
   */
  refused(error) {
    if (error instanceof ApiProblem && error.status === 401) askForKey(error.message);
    else showProblem(isLost(error) ? NOT_DONE : messageOf(error));
  },
};

/** @typedef {typeof frame} Frame */

function show() {
  const complaint = takeKeyFromAddress();
  clear();
  const key = sessionKey();
  if (key === null || complaint !== null) {
    askForKey(complaint);
    return;
  }
  forgetButton.hidden = false;
  const api = createApi(key);
  shownStudy = inAddress("study");
  const leaveScope = learnScope(api);
  const leave = openView(api);
  leaveView = () => {
    leaveScope();
    leave();
  };
}

/** @param {Api} api */
function openView(api) {
  if (shownStudy !== null) return showStudy(root, api, frame, shownStudy);
  for (const how of /** @type {const} */ (["clone", "extend"])) {
    const id = inAddress(how);
    if (id !== null) return showNewStudy(root, api, frame, { how, id });
  }
  if (inAddress("new") !== null) return showNewStudy(root, api, frame, { how: "new", id: null });
  if (inAddress("admin") !== null) return showAdmin(root, api, frame);
  return showStudies(root, api, frame);
}

/**
 * Offer what the key may do: style sheets hide what is for keys of a larger scope.
 * @param {Api} api
 */
function learnScope(api) {
  const learning = startPolling(
    async (signal) => {
      const { scope } = await api.getCurrentKey(signal);
      document.body.dataset.scope = scope;
      return true;
    },
    // The view asks with the same key, and says what is wrong.
    (error) => error instanceof ApiProblem && error.status === 401,
  );
  return learning.stop;
}

/** @param {string | null} message */
function askForKey(message) {
  clear();
  forgetSessionKey();
  delete document.body.dataset.scope;
  forgetButton.hidden = true;
  showKeyForm(root, message, (key) => {
    keepSessionKey(key);
    show();
  });
}

function clear() {
  leaveView();
  leaveView = () => {};
  dropQuestion();
  shownStudy = null;
  document.title = "Paretune";
  showLiveness("");
  showText(connection, null);
  showProblem(null);
}

/** @param {string} how */
function showLiveness(how) {
  const texts = { live: "Live", asking: "Asks every 2 s", finished: "Finished", paused: "Paused" };
  const element = named(document, "liveness");
  element.dataset.how = how;
  showText(element, texts[/** @type {keyof typeof texts} */ (how)] ?? null);
}

/** @param {string | null} message */
function showProblem(message) {
  problem.hidden = message === null;
  find(problem, "p").textContent = message ?? "";
}

/**
 * Whether nobody knows what became of a request.
 * @param {unknown} error
 */
const isLost = (error) => error instanceof Unreachable || (error instanceof ApiProblem && error.status >= 500);

/** @param {unknown} error */
function messageOf(error) {
  if (error instanceof ApiProblem || error instanceof Unreachable) return error.message;
  console.error(error);
  return "This page made a mistake; the browser's console has it. Reload to try again.";
}

find(problem, "button").addEventListener("click", () => showProblem(null));
forgetButton.addEventListener("click", () => askForKey(null));
addEventListener("hashchange", () => {
  // From trial to trial of one study, its view finds the way itself.
  const isSame = shownStudy !== null && inAddress("study") === shownStudy && inAddress("key") === null;
  if (!isSame) show();
});
show();
