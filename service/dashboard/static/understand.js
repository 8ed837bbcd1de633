/** Understand: one plot at a time, behind tabs. Each is built when its tab is first looked at, and is told of news while it is. */

import { make, named } from "./elements.js";
import { createCurvesView } from "./curves_view.js";
import { createFailuresView } from "./failures_view.js";
import { createModuleMapView } from "./module_map_view.js";
import { createParallelView } from "./parallel_view.js";
import { runReader } from "./runs.js";
import { createSliceView } from "./slice_view.js";
import { createTimelineView } from "./timeline_view.js";
import { isCustom } from "./format.js";

/** @import {Api} from "./api.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {TrialRow} from "./types.js" */

/**
 * @typedef {object} Context what a view may do beside its own element
 * @property {Api} api
 * @property {() => string} nameOfStudy
 * @property {AbortSignal} signal over once the study is left
 * @property {ReturnType<typeof runReader>} readRuns read once for all views
 * @property {(trial: TrialRow) => void} select
 * @property {(keeps: ((trial: TrialRow) => boolean) | null) => void} narrow
 * @property {(error: unknown) => void} failed
 *
 * @typedef {{update: (data: StudyData) => void, close: () => void}} View
 * @typedef {{id: string, title: string, create: (root: HTMLElement, context: Context) => View}} Tab
 */

/** @type {Tab[]} */
const TABS = [
  { id: "parallel", title: "Parameters", create: createParallelView },
  { id: "slice", title: "Model", create: createSliceView },
  { id: "curves", title: "Learning curves", create: createCurvesView },
  { id: "modules", title: "Layers", create: createModuleMapView },
  { id: "timeline", title: "Workers", create: createTimelineView },
  { id: "failures", title: "Failures", create: createFailuresView },
];
const STEPS = new Map([["ArrowRight", 1], ["ArrowLeft", -1]]);

/**
 * @param {HTMLElement} card
 * @param {Omit<Context, "signal" | "readRuns">} actions
 */
export function createUnderstanding(card, actions) {
  const leaving = new AbortController();
  const context = { ...actions, signal: leaving.signal, readRuns: runReader(actions.api, leaving.signal) };
  const list = named(card, "understand-tabs");
  const panel = named(card, "understand-panel");
  /** @type {Map<string, {root: HTMLElement, view: View}>} */
  const built = new Map();
  /** @type {StudyData | null} */
  let data = null;
  let chosen = TABS[0].id;
  let isInView = false;
  const buttons = new Map(TABS.map(({ id, title }) => [id, tabButton(id, title)]));
  list.replaceChildren(...buttons.values());

  /**
   * @param {string} id
   * @param {string} title
   */
  function tabButton(id, title) {
    const button = make(
      "button",
      { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": "understand-panel", "data-testid": `tab-${id}` },
      title,
    );
    button.addEventListener("click", () => choose(id));
    return button;
  }

  const offered = () => TABS.filter(({ id }) => id !== "modules" || data === null || !isCustom(data.study));

  function choose(/** @type {string} */ id) {
    chosen = id;
    // Room was held for the first plot; who asks for another one expects things to move.
    panel.style.minHeight = "0";
    show();
  }

  /** Nothing is built before it can be seen: a study of thousands of trials has enough to do. */
  function show() {
    for (const { id } of TABS) {
      const button = /** @type {HTMLElement} */ (buttons.get(id));
      button.hidden = !offered().some((tab) => tab.id === id);
      button.setAttribute("aria-selected", String(id === chosen));
      button.tabIndex = id === chosen ? 0 : -1;
    }
    panel.setAttribute("aria-labelledby", `tab-${chosen}`);
    if (data === null || !isInView) return;
    for (const [id, { root }] of built) root.hidden = id !== chosen;
    const known = built.get(chosen);
    (known ?? build(chosen)).view.update(data);
  }

  function build(/** @type {string} */ id) {
    const tab = /** @type {Tab} */ (TABS.find((one) => one.id === id));
    const root = make("div", { "data-view": id });
    panel.append(root);
    const made = { root, view: tab.create(root, context) };
    built.set(id, made);
    return made;
  }

  list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = STEPS.get(event.key);
    if (step === undefined) return;
    const tabs = offered();
    const next = tabs[(tabs.findIndex(({ id }) => id === chosen) + step + tabs.length) % tabs.length];
    choose(next.id);
    buttons.get(next.id)?.focus();
    event.preventDefault();
  });

  const sight = new IntersectionObserver((entries) => {
    const isNew = !isInView && entries.some(({ isIntersecting }) => isIntersecting);
    isInView = entries.at(-1)?.isIntersecting ?? isInView;
    if (isNew) show();
  });
  sight.observe(card);

  return {
    /** @param {StudyData} latest */
    update(latest) {
      data = latest;
      card.hidden = false;
      show();
    },
    close() {
      leaving.abort();
      sight.disconnect();
      for (const { view } of built.values()) view.close();
    },
  };
}
