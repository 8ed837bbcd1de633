/** Points of a plot by keyboard: arrow keys go from one to the next, Enter opens it; each is ringed and said in words. */

import { make } from "./elements.js";
import { formatCount } from "./format.js";

/** @import {Point} from "./pareto_points.js" */

const HINT = "Arrow keys go along the front, then through the other points; Home and End to the ends; Enter opens a trial.";

/**
 * The order to walk in: the front from left to right, then all others. What is dimmed is left out.
 * @param {Point[]} points
 */
function walkingOrder(points) {
  const rank = (/** @type {Point} */ { kind }) => (kind === "front" ? 0 : 1);
  return points.filter(({ isDim }) => !isDim).sort((a, b) => rank(a) - rank(b) || a.x - b.x || a.y - b.y);
}

/**
 * @param {HTMLElement} element the plot, which can have the focus
 * @param {HTMLElement} status where the point is said
 * @param {{pixelOf: (point: Point) => number[], inWords: (point: Point) => string,
 *   onOpen: (point: Point) => void}} plot
 */
export function createPointWalk(element, status, { pixelOf, inWords, onOpen }) {
  const ring = make("span", { class: "walked-point", "aria-hidden": "true", hidden: true });
  element.append(ring);
  /** @type {Point[]} */
  let points = [];
  let at = -1;

  function place() {
    ring.hidden = at < 0;
    if (at < 0) return;
    const [x, y] = pixelOf(points[at]);
    ring.style.left = `${x}px`;
    ring.style.top = `${y}px`;
  }

  /** Say where the walk stands, once: whatever is written is read aloud again. */
  function tell() {
    const words = at < 0 ? HINT : `${inWords(points[at])} ${formatCount(at + 1)} of ${formatCount(points.length)}.`;
    if (status.textContent !== words) status.textContent = words;
  }

  /** @param {number} next */
  function goTo(next) {
    at = Math.max(0, Math.min(points.length - 1, next));
    place();
    tell();
  }

  element.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !points.length) return;
    const target = nextPlace(event.key, at, points.length);
    if (event.key === "Enter" && at >= 0) onOpen(points[at]);
    else if (target !== null) goTo(target);
    else return;
    event.preventDefault();
  });
  element.addEventListener("focus", () => {
    if (element.matches(":focus-visible")) tell();
    place();
  });
  element.addEventListener("blur", () => {
    ring.hidden = true;
    status.textContent = "";
  });
  return {
    /**
     * The same trial is walked on from, wherever it stands now.
     * @param {Point[]} latest
     */
    update(latest) {
      const id = points[at]?.trial.id;
      points = walkingOrder(latest);
      at = points.findIndex(({ trial }) => trial.id === id);
    },
    /** Put the ring where its point is drawn; the words follow what is known of it. */
    drawn() {
      if (document.activeElement !== element) return;
      place();
      if (at >= 0) tell();
    },
  };
}

/**
 * @param {string} key
 * @param {number} at
 * @param {number} count
 * @returns {number | null} nothing if the key leads nowhere
 */
function nextPlace(key, at, count) {
  if (key === "ArrowRight" || key === "ArrowDown") return at + 1;
  if (key === "ArrowLeft" || key === "ArrowUp") return at - 1;
  if (key === "Home") return 0;
  return key === "End" ? count - 1 : null;
}
