/** The hypervolume after each accepted result. */

import { axisStyle, createChart, fitted, tooltipElement, tooltipStyle } from "./chart_frame.js";
import { formatHypervolume, isLogarithmic, shortName } from "./format.js";

/** @import {Colours} from "./chart_frame.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {Study} from "./types.js" */

/** @typedef {{sequence: number, volume: number, number: number | undefined}} Step */

/** @param {HTMLElement} element */
export function createHypervolumeChart(element) {
  const { draw, dispose } = createChart(element);
  return {
    dispose,
    /** @param {StudyData} data */
    update(data) {
      const steps = stepsOf(data);
      const last = steps.at(-1);
      element.setAttribute(
        "aria-label",
        last
          ? `Hypervolume ${formatHypervolume(last.volume)} after ${last.sequence} results.`
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
  const numbers = new Map(trials.map((trial) => [trial.id, trial.number]));
  return history.records.flatMap(({ sequence, hypervolume, trial_id }) =>
    hypervolume === null ? [] : [{ sequence, volume: hypervolume, number: numbers.get(trial_id) }],
  );
}

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
      max: Math.max(2, steps.at(-1)?.sequence ?? 2),
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
        data: steps.map((step) => ({ value: [step.sequence, step.volume], step })),
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
function tooltip({ sequence, volume, number }) {
  return tooltipElement(`Result ${sequence}`, [
    `hypervolume ${formatHypervolume(volume)}`,
    `from trial ${number ?? "?"}`,
  ]);
}
