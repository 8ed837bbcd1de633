/** The form that asks for an API key. */

import { find, fromTemplate, named, showText } from "./elements.js";
import { NOT_A_KEY, looksLikeKey } from "./session_key.js";

/**
 * @param {HTMLElement} root
 * @param {string | null} message why the last key did not do
 * @param {(key: string) => void} onKey
 */
export function showKeyForm(root, message, onKey) {
  const form = fromTemplate("key-form");
  const input = find(form, "input");
  const complain = (/** @type {string | null} */ text) => showText(named(form, "key-problem"), text);
  complain(message);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const key = input.value.trim();
    if (looksLikeKey(key)) onKey(key);
    else complain(NOT_A_KEY);
  });
  root.replaceChildren(form);
  input.focus();
}
