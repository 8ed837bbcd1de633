/** The few numbers that sum a study up: progress, the best, what it gains over the head alone, hypervolume. */

import { make } from "./elements.js";
import {
  asWords,
  budgetText,
  counted,
  formatAge,
  formatCount,
  formatDuration,
  formatHypervolume,
  formatMetric,
  metricFormat,
  shortName,
  trainingsDone,
} from "./format.js";
import { hasEnded } from "./study_data.js";

/** @import {Study, TrialRow} from "./types.js" */
/** @import {StudyData} from "./study_data.js" */

/**
 * @param {HTMLElement} list
 * @param {StudyData} data
 */
export function showTiles(list, data) {
  list.replaceChildren(progressTile(data.study), bestTile(data), hypervolumeTile(data), timeTile(data.study));
}

/**
 * What is known before the trials are read.
 * @param {HTMLElement} list
 * @param {Study} study
 */
export function showFirstTiles(list, study) {
  list.replaceChildren(progressTile(study), timeTile(study));
}

/** @param {Study} study */
function progressTile(study) {
  const { trials, budget } = study;
  const parts = Object.entries(trials)
    .filter(([state, count]) => count > 0 && state !== "succeeded")
    .map(([state, count]) => `${formatCount(count)} ${asWords(state)}`);
  const seeds = study.replicate_counts.queued + study.replicate_counts.running;
  const race = study.race_progress;
  const isRacing = race !== null && race.racers.length > 0 && !race.is_over;
  if (isRacing) parts.push(`race, round ${formatCount(race.rounds)}: ${formatCount(race.racers.length)} trials`);
  else if (seeds && !trials.queued && !trials.running) parts.push(`${formatCount(seeds)} final seeds left`);
  const bar = make("progress", { max: budget.trials, value: trainingsDone(study), "aria-label": "Trials ended" });
  return tile("Progress", budgetText(study), parts.join(" · "), "progress", bar);
}

/** @param {StudyData} data */
function bestTile({ study, trials, front }) {
  const { metric, direction } = study.objectives[0];
  const title = `Best ${shortName(study, metric)}`;
  const best = front.points[0];
  if (best === undefined) return tile(title, "–", noBest(trials), "best");
  const value = best.metrics[metric];
  const sign = direction === "maximize" ? 1 : -1;
  const [head] = trials
    .filter((trial) => trial.state === "SUCCEEDED" && trial.is_head_only)
    .sort((a, b) => sign * (b.metrics[metric] - a.metrics[metric]));
  let note = `trial ${best.number}`;
  if (head !== undefined && head.id !== best.trial_id) {
    const difference = value - head.metrics[metric];
    note += ` · ${difference < 0 ? "−" : "+"}${formatMetric(metric, Math.abs(difference))} vs head only`;
  }
  return tile(title, formatMetric(metric, value), note, "best");
}

/**
 * Why there is no best: nothing is measured, or nothing that was keeps every limit.
 * @param {TrialRow[]} trials
 */
const noBest = (trials) =>
  trials.some(({ state }) => state === "SUCCEEDED") ? "no result keeps every limit" : "no result yet";

/** @param {StudyData} data */
function hypervolumeTile({ study, front }) {
  const volume = study.hypervolume === null ? "–" : formatHypervolume(study.hypervolume);
  const size = front.points.length;
  return tile(
    "Hypervolume",
    volume,
    `${counted(size, "trial")} on the front`,
    "hypervolume",
  );
}

/** @param {Study} study */
function timeTile(study) {
  const end = study.finished_at === null ? Date.now() : Date.parse(study.finished_at);
  const started = formatAge(study.created_at, Date.now());
  const seconds = (end - Date.parse(study.created_at)) / 1000;
  return tile(hasEnded(study) ? "Took" : "Elapsed", formatDuration(seconds), `started ${started}`, "time");
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} note
 * @param {string} testId
 * @param {...Node} more
 */
function tile(name, value, note, testId, ...more) {
  const parts = [
    make("dd", { class: "value", "data-testid": testId }, value),
    ...more.map((node) => make("dd", {}, node)),
  ];
  return make(
    "div",
    { class: "card tile" },
    make("dt", {}, name),
    ...parts,
    make("dd", { class: "hint" }, note),
  );
}

/**
 * Say what the hypervolume is measured from.
 * @param {HTMLElement} element
 * @param {Study} study
 */
export function showReferencePoint(element, study) {
  const { objectives, reference_point } = study;
  const values = (reference_point ?? []).map((value, position) => {
    const { metric } = objectives[position];
    const { tick, unit } = metricFormat(metric);
    return [tick(value), metric === "score" ? "" : unit, shortName(study, metric)].filter(Boolean).join(" ");
  });
  element.textContent = values.length ? `from ${values.join(", ")}` : "";
}
