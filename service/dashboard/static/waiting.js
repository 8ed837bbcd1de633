/** What stands in the place of a view that has no data yet: that it loads, or what is wrong and what to do. */

import { make } from "./elements.js";

/**
 * @param {HTMLElement} root
 * @param {string} what
 */
export function showLoading(root, what) {
  const hint = make("p", { class: "hint", "data-testid": "loading", "data-waiting": true }, `Loading ${what}`);
  root.replaceChildren(hint);
}

/**
 * Say in the place of "Loading" why there is nothing yet; false where a view is shown already.
 * @param {HTMLElement} root
 * @param {string} message
 */
export function showNotLoaded(root, message) {
  const waiting = root.querySelector("[data-waiting]");
  if (waiting === null) return false;
  // Said once, not with every try: a screen reader reads an alert aloud whenever it changes.
  if (waiting.textContent?.includes(message)) return true;
  root.replaceChildren(card({ "data-waiting": true }, "This page could not be loaded", message));
  return true;
}

/**
 * Say that the study which the address names is not there, in words for a browser, not for a client of the API.
 * @param {HTMLElement} root
 * @param {string} id
 */
export function showMissing(root, id) {
  const reason = `There is no study “${id}” for this key: it was deleted, belongs to another key, or never was.`;
  const link = make("a", { href: "#" }, "All studies");
  root.replaceChildren(card({}, "This study is not here", reason, link));
}

/**
 * Say that the key may not do this.
 * @param {HTMLElement} root
 * @param {string} reason
 */
export function showNotAllowed(root, reason) {
  const link = make("a", { href: "#" }, "All studies");
  const remedy = "An admin can make a key that may; “Use another key” takes it.";
  root.replaceChildren(card({}, "This key may not do that", reason, remedy, link));
}

/**
 * @param {Object<string, boolean>} attributes
 * @param {string} title
 * @param {...(string | Node)} parts
 */
const card = (attributes, title, ...parts) =>
  make(
    "section",
    { class: "card empty", role: "alert", ...attributes },
    make("h1", {}, title),
    ...parts.map((part) => make("p", {}, part)),
  );
