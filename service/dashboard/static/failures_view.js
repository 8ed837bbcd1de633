/** Why trials and attempts ended without a result: reasons that differ in their numbers only are one, with counts. */

import { make } from "./elements.js";
import { asWords, counted, formatCount } from "./format.js";
import { createNumbers } from "./plot.js";

/** @import {Run} from "./runs.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {TrialRow} from "./types.js" */
/** @import {Context, View} from "./understand.js" */

/** @typedef {{state: string, reason: string, numbers: number[]}} Group one number for each end */

const ENDED = ["FAILED", "INFEASIBLE", "STOPPED_EARLY", "CANCELLED"];
const MOST_EXAMPLES = 5;

/**
 * @param {HTMLElement} root
 * @param {Context} context
 * @returns {View}
 */
export function createFailuresView(root, { nameOfStudy, signal, readRuns, select, failed }) {
  const words = make("p", { class: "hint", "data-testid": "failures-note" });
  const frame = make("div", { class: "sideways", tabindex: 0, role: "region", "aria-label": "Reasons" });
  const numbers = createNumbers("failures", "failures", nameOfStudy);
  root.append(words, frame, numbers.takeOut, numbers.element);
  let known = -1;

  function show(/** @type {StudyData} */ { study, trials, sequence }, /** @type {Run[]} */ runs) {
    known = sequence;
    const groups = groupsOf(trials, runs);
    words.textContent = groups.length
      ? `${counted(groups.reduce((sum, group) => sum + group.numbers.length, 0), "end")} without a result, by reason. Numbers in a reason are left out.`
      : "No trial has failed, proved infeasible, been stopped or been lost.";
    frame.hidden = !groups.length;
    numbers.element.hidden = !groups.length;
    numbers.takeOut.hidden = !groups.length;
    frame.replaceChildren(tableOf(study.display_name, groups, trials, select));
    numbers.take(groups.map(({ state, reason, numbers: of }) => ({ end: state, reason, count: of.length, trials: of.join(" ") })));
  }

  return {
    update(data) {
      if (data.sequence === known) return;
      readRuns(data).then((runs) => show(data, runs)).catch((error) => signal.aborted || failed(error));
    },
    close() {},
  };
}

/**
 * @param {TrialRow[]} trials
 * @param {Run[]} runs
 * @returns {Group[]} the most frequent first
 */
function groupsOf(trials, runs) {
  const ends = [
    ...trials
      .filter(({ state }) => ENDED.includes(state))
      .map(({ state, state_reason, number }) => ({ state: asWords(state).toLowerCase(), reason: state_reason, number })),
    ...runs
      .filter(({ outcome }) => outcome === "REQUEUED")
      .map(({ reason, number }) => ({ state: "attempt given back", reason, number })),
  ];
  /** @type {Map<string, Group>} */
  const groups = new Map();
  for (const { state, reason, number } of ends) {
    const text = (reason ?? "no reason given").replaceAll(/\d+(?:[.,]\d+)*/g, "…");
    const key = `${state} ${text}`;
    const group = groups.get(key) ?? { state, reason: text, numbers: [] };
    group.numbers.push(number);
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.numbers.length - a.numbers.length);
}

/**
 * @param {string} study
 * @param {Group[]} groups
 * @param {TrialRow[]} trials
 * @param {(trial: TrialRow) => void} select
 */
function tableOf(study, groups, trials, select) {
  const byNumber = new Map(trials.map((trial) => [trial.number, trial]));
  const most = Math.max(1, ...groups.map((group) => group.numbers.length));
  const rows = groups.map(({ state, reason, numbers }) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, state),
      make("td", { class: "cause" }, reason),
      make(
        "td",
        { class: "number" },
        formatCount(numbers.length),
        make("progress", { max: most, value: numbers.length, "aria-label": `${state}, ${reason}: ${numbers.length}` }),
      ),
      make("td", {}, ...numbers.slice(-MOST_EXAMPLES).flatMap((number) => example(byNumber.get(number), select))),
    ),
  );
  const heads = ["End", "Reason", "Count", "Trials"].map((text) => make("th", { scope: "col" }, text));
  return make(
    "table",
    { class: "failures", "aria-label": `Reasons, ${study}`, "data-testid": "failures" },
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...rows),
  );
}

/**
 * @param {TrialRow | undefined} trial
 * @param {(trial: TrialRow) => void} select
 */
function example(trial, select) {
  if (trial === undefined) return [];
  const button = make("button", { type: "button", class: "quiet", "aria-label": `Show trial ${trial.number}` }, String(trial.number));
  button.addEventListener("click", () => select(trial));
  return [button];
}
