/** Elements from data. Strings become text nodes, so nothing that a server says is ever read as markup. */

import { asWords } from "./format.js";

/**
 * Make an element. `true` sets an empty attribute; `false` leaves it out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Object<string, string | number | boolean>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/**
 * A remark beside what it is about.
 * @param {string} text
 */
export const hint = (text) => make("p", { class: "hint" }, text);

/**
 * Make a part of a drawing.
 * @param {string} tag
 * @param {Object<string, string | number>} attributes
 * @param {...(Node | string)} children
 * @returns {any} an element of SVG
 */
export function makeDrawn(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * Copy a template's one element.
 * @param {string} id
 */
export function fromTemplate(id) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  const element = template.content.firstElementChild;
  return /** @type {HTMLElement} */ (document.importNode(/** @type {Element} */ (element), true));
}

/**
 * Find what the page is known to hold.
 * @param {ParentNode} root
 * @param {string} selector
 * @returns {any} the element, of whatever type the markup says
 */
export function find(root, selector) {
  const element = root.querySelector(selector);
  if (!element) throw new Error(`The page holds no ${selector}.`);
  return element;
}

/**
 * Find by the name that tests use, too.
 * @param {ParentNode} root
 * @param {string} name
 */
export const named = (root, name) => find(root, `[data-testid="${name}"]`);

/**
 * Show a text, or hide its element when there is none.
 * @param {HTMLElement} element
 * @param {string | null} text
 */
export function showText(element, text) {
  element.hidden = !text;
  if (element.textContent !== (text ?? "")) element.textContent = text ?? "";
}

/**
 * Colour and name a state.
 * @param {HTMLElement} element
 * @param {string} state
 */
export function showState(element, state) {
  element.className = "chip";
  element.dataset.state = state;
  element.textContent = asWords(state).toLowerCase();
}

/**
 * Put the rows in this order without touching those that stand right, so that focus stays where it is.
 * @param {HTMLElement} body
 * @param {HTMLElement[]} rows
 */
export function arrange(body, rows) {
  const wanted = new Set(/** @type {Element[]} */ (rows));
  // First, so that none that stays is moved because of one that goes: that would take the focus from it.
  for (const child of [...body.children]) if (!wanted.has(child)) child.remove();
  rows.forEach((row, position) => {
    if (body.children[position] !== row) body.insertBefore(row, body.children[position] ?? null);
  });
}
