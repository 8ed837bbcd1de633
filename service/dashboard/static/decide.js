/** Decide: bounds on the objectives, what remains and what each bound costs, and up to four points side by side. */

import { costsOf, keeping, valuesOf } from "./bounds.js";
import { find, make, named } from "./elements.js";
import { counted, formatMetric, headingOf, shortName } from "./format.js";
import { comparisonOf } from "./pinned_points.js";

/** @import {StudyData} from "./study_data.js" */
/** @import {Objective, ParetoPoint, Study, TrialRow} from "./types.js" */

const MOST_PINNED = 4;
const MOST_LISTED = 12;

/**
 * @param {HTMLElement} panel
 * @param {{onAccept: (point: ParetoPoint) => void, onBounds: () => void}} actions
 */
export function createDecision(panel, { onAccept, onBounds }) {
  /** @type {Map<string, number>} */
  const bounds = new Map();
  /** @type {string[]} */
  let pinned = [];
  /** @type {StudyData | null} */
  let data = null;

  function draw() {
    if (data === null) return;
    const { study, front } = data;
    const remaining = keeping(front.points, study.objectives, bounds);
    for (const objective of study.objectives) drawBound(study, front.points, objective);
    named(panel, "remaining").textContent = remaining.length
      ? `${remaining.length} of ${counted(front.points.length, "point")} of the front ${remaining.length === 1 ? "remains" : "remain"}.`
      : "No point of the front keeps these bounds: loosen one.";
    named(panel, "remaining-points").replaceChildren(
      ...remaining.slice(0, MOST_LISTED).map((point) => pinButton(study, point)),
      ...(remaining.length > MOST_LISTED ? [make("li", { class: "hint" }, "Move a bound to see the others.")] : []),
    );
    drawPinned(data);
  }

  /**
   * @param {Study} study
   * @param {ParetoPoint[]} points
   * @param {Objective} objective
   */
  function drawBound(study, points, objective) {
    const { metric, direction } = objective;
    const values = valuesOf(points, objective);
    const box = boundBox(study, objective);
    const slider = find(box, "input");
    const bound = bounds.get(metric);
    const position = bound === undefined ? 0 : nearest(values, bound);
    slider.max = String(values.length - 1);
    slider.value = String(position);
    slider.disabled = values.length < 2;
    const words =
      bound === undefined
        ? "any"
        : `${direction === "maximize" ? "at least" : "at most"} ${formatMetric(metric, bound)}`;
    slider.setAttribute("aria-valuetext", words);
    find(box, "output").textContent = words;
    const costs = bound === undefined ? [] : costsOf(points, study.objectives, bounds, metric);
    find(box, ".hint").textContent = costs.length
      ? `costs ${costs.map((cost) => `${formatMetric(cost.metric, cost.amount)} in ${shortName(study, cost.metric)}`).join(", ")}`
      : bound === undefined
        ? ""
        : "costs nothing in the others";
  }

  /**
   * @param {Study} study
   * @param {Objective} objective
   */
  function boundBox(study, objective) {
    const known = panel.querySelector(`[data-bound="${CSS.escape(objective.metric)}"]`);
    if (known) return known;
    const slider = make("input", { type: "range", min: 0, step: 1 });
    slider.addEventListener("input", () => {
      const values = valuesOf(data?.front.points ?? [], objective);
      // The worst of the front bounds nothing.
      if (slider.value === "0") bounds.delete(objective.metric);
      else bounds.set(objective.metric, values[Number(slider.value)]);
      draw();
      onBounds();
    });
    const label = make("label", {}, make("span", {}, headingOf(study, objective.metric)), slider);
    const box = make("div", { "data-bound": objective.metric }, label, make("output"), make("p", { class: "hint" }));
    named(panel, "bounds").append(box);
    return box;
  }

  /**
   * @param {Study} study
   * @param {ParetoPoint} point
   */
  function pinButton(study, point) {
    const isPinned = pinned.includes(point.trial_id);
    const values = study.objectives.map(({ metric }) => formatMetric(metric, point.metrics[metric]));
    const button = make(
      "button",
      { type: "button", "aria-pressed": isPinned, "data-testid": `pin-${point.number}` },
      `Trial ${point.number}: ${values.join(" · ")}`,
    );
    button.setAttribute("aria-pressed", String(isPinned));
    button.disabled = !isPinned && pinned.length >= MOST_PINNED;
    button.addEventListener("click", () => {
      pinned = isPinned ? pinned.filter((id) => id !== point.trial_id) : [...pinned, point.trial_id];
      draw();
      named(panel, `pin-${point.number}`).focus();
    });
    return make("li", {}, button);
  }

  /** @param {StudyData} latest */
  function drawPinned(latest) {
    const box = named(panel, "pinned");
    const points = pinned.flatMap((id) => latest.front.points.filter(({ trial_id }) => trial_id === id));
    box.hidden = !points.length;
    box.replaceChildren(...(points.length ? [comparisonOf(latest, points, onAccept)] : []));
    named(panel, "wide-pins").hidden = box.scrollWidth <= box.clientWidth;
  }

  return {
    /** @param {StudyData} latest */
    update(latest) {
      data = latest;
      panel.hidden = latest.front.points.length === 0;
      draw();
    },
    /**
     * Whether a trial keeps the bounds; one that is not measured keeps none.
     * @param {TrialRow} trial
     */
    keeps: (trial) => bounds.size === 0 || (data !== null && keeping([trial], data.study.objectives, bounds).length > 0),
  };
}

/**
 * @param {number[]} values
 * @param {number} bound
 */
const nearest = (values, bound) =>
  values.reduce(
    (found, value, position) => (Math.abs(value - bound) < Math.abs(values[found] - bound) ? position : found),
    0,
  );
