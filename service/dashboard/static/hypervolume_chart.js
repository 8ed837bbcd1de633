/** The hypervolume over the number of accepted results. */

import { axisStyle, createChart, fitted, tooltipElement, tooltipStyle } from "./chart_frame.js";
import { formatCount, formatHypervolume, isLogarithmic, shortName } from "./format.js";

/** @import {Colours} from "./chart_frame.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {Study, TrialRow} from "./types.js" */

/** @typedef {{results: number, volume: number, number: number | undefined}} Step */

/** @param {HTMLElement} element */
export function createHypervolumeChart(element) {
  const { draw, dispose, picture } = createChart(element);
  return {
    dispose,
    picture,
    /** @param {StudyData} data */
    update(data) {
      const steps = stepsOf(data);
      const last = steps.at(-1);
      element.setAttribute(
        "aria-label",
        last
          ? `Hypervolume ${formatHypervolume(last.volume)} after ${formatCount(last.results)} results.`
          : "No hypervolume yet.",
      );
      draw((colours) => option(data.study, steps, colours));
    },
  };
}

/**
 * @param {StudyData} data
 * @returns {Step[]}
 */
function stepsOf({ history, trials }) {
  const byId = new Map(trials.map((trial) => [trial.id, trial]));
  const countUntil = resultCounter(trials);
  return history.records.flatMap(({ hypervolume, trial_id }) => {
    const trial = byId.get(trial_id);
    const results = countUntil(trial);
    return hypervolume === null ? [] : [{ results, volume: hypervolume, number: trial?.number }];
  });
}

/**
 * Give a function that says how many results there were once a trial had its own; asked in the order of records.
 * A record may stand for a whole import, and a trial with several seeds has several. What was imported was
 * there before any trial with a higher number; its time of ending may be another study's.
 * @param {TrialRow[]} trials
 */
function resultCounter(trials) {
  const succeeded = trials.filter(({ state }) => state === "SUCCEEDED");
  const imported = succeeded.filter(isImported).map(({ number }) => number);
  const ended = succeeded.filter((trial) => !isImported(trial)).map(endOf);
  const counts = [imported, ended].map(counter);
  return (/** @type {TrialRow | undefined} */ trial) => {
    const [known, measured] = counts;
    if (trial === undefined) return known(-1) + measured(-1);
    return known(trial.number) + measured(isImported(trial) ? -1 : endOf(trial));
  };
}

/**
 * Give a function that counts the values up to a limit, or up to a higher one that it was given before.
 * @param {number[]} values
 */
function counter(values) {
  const sorted = values.toSorted((a, b) => a - b);
  let count = 0;
  return (/** @type {number} */ limit) => {
    while (sorted[count] <= limit) count += 1;
    return count;
  };
}

/** @param {TrialRow} trial */
const isImported = ({ generated_by }) => generated_by === "imported";

/** @param {TrialRow} trial */
const endOf = ({ finished_at }) => Date.parse(finished_at ?? "");

/**
 * @param {Study} study
 * @param {Step[]} steps
 * @param {Colours} colours
 */
function option(study, steps, colours) {
  const style = axisStyle("Accepted results", colours);
  return {
    grid: { left: 64, right: 24, top: 30, bottom: 44 },
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "axis",
      formatter: (/** @type {any[]} */ [{ data }]) => tooltip(data.step),
    },
    xAxis: {
      ...style,
      nameGap: 26,
      type: "value",
      min: 1,
      max: Math.max(2, steps.at(-1)?.results ?? 2),
      minInterval: 1,
      splitLine: { show: false },
    },
    yAxis: {
      ...axisStyle(unitOf(study), colours),
      // The axis is shorter than its name.
      nameLocation: "end",
      nameGap: 12,
      nameTextStyle: { color: colours.muted, align: "left" },
      type: "value",
      ...fitted,
      splitNumber: 5,
    },
    series: [
      {
        type: "line",
        id: "hypervolume",
        step: "end",
        showSymbol: steps.length < 2,
        symbolSize: 7,
        lineStyle: { color: colours.front, width: 2 },
        itemStyle: { color: colours.front },
        areaStyle: { color: colours.front, opacity: 0.12, origin: "start" },
        data: steps.map((step) => ({ value: [step.results, step.volume], step })),
      },
    ],
  };
}

/**
 * A hypervolume's unit is the product of its objectives' units.
 * @param {Study} study
 */
function unitOf(study) {
  const { objectives } = study;
  if (objectives.length > 2) return `product of ${objectives.length} objectives`;
  return objectives
    .map(({ metric }) => `${isLogarithmic(study, metric) ? "log₁₀ " : ""}${shortName(study, metric)}`)
    .join(" × ");
}

/** @param {Step} step */
function tooltip({ results, volume, number }) {
  return tooltipElement(`Result ${formatCount(results)}`, [
    `hypervolume ${formatHypervolume(volume)}`,
    `from trial ${number ?? "?"}`,
  ]);
}
