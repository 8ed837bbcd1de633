/** A trial's learning curve: score and losses from step to step, and where the score was predicted to end. */

import { axisStyle, createChart, fitted, tooltipElement, tooltipStyle } from "./chart_frame.js";
import { hint, make } from "./elements.js";
import { errorBars } from "./error_bars.js";
import { formatMetric, headingOf, metricFormat } from "./format.js";
import { offerPicture } from "./take_out.js";

/** @import {Colours} from "./chart_frame.js" */
/** @import {Measurement, Study, Trial} from "./types.js" */

/** @typedef {{after: string, step: number, score: number, deviation: number, chance: number | undefined}} Prediction */

/** @typedef {Trial & {configuration: NonNullable<Trial["configuration"]>}} TrainedTrial */

/** What is kept beside a trial's metrics and shown in words, not as one of them. */
export const SAID_IN_WORDS = ["collapsed", "chance", "predicted_score", "predicted_score_deviation"];
const LOSSES = ["loss", "train_loss"];

/** @param {TrainedTrial["configuration"]["training"]} training */
const stepName = ({ measurements_per_epoch }) => (measurements_per_epoch === 1 ? "epoch" : "measurement");

/**
 * Whether there is a curve to draw: two measurements, or one and a prediction. A custom trial has none,
 * for nobody knows which of its metrics is a score.
 * @param {Trial} trial
 * @returns {trial is TrainedTrial}
 */
const hasCurve = (trial) =>
  isTrained(trial) && (trial.measurements.length > 1 || predictionOf(trial) !== null);

/**
 * @param {Trial} trial
 * @returns {trial is TrainedTrial}
 */
const isTrained = (trial) => trial.configuration !== null;

/**
 * The last prediction of a trial's final score, placed at the last step of its training.
 * @param {TrainedTrial} trial
 * @returns {Prediction | null}
 */
function predictionOf({ measurements, configuration: { training } }) {
  const last = measurements.findLast(({ metrics }) => metrics.predicted_score !== undefined);
  if (last === undefined) return null;
  const { predicted_score, predicted_score_deviation, chance } = last.metrics;
  return {
    after: `${stepName(training)} ${last.step}`,
    step: Math.max(training.epochs * training.measurements_per_epoch, last.step),
    score: predicted_score,
    deviation: predicted_score_deviation ?? 0,
    chance,
  };
}

/**
 * The prediction in a sentence.
 * @param {Prediction} prediction
 */
function predictionInWords({ after, score, deviation, chance }) {
  const bounds = deviation ? ` ± ${formatMetric("score", deviation)}` : "";
  const words = `Predicted after ${after}: ${formatMetric("score", score)}${bounds} at the end`;
  return chance === undefined ? `${words}.` : `${words}, ${percent(chance)} to join the front.`;
}

/**
 * A chance in words.
 * @param {number} chance
 */
export function percent(chance) {
  if (chance < 0.01) return "a chance below 1 %";
  return chance > 0.99 ? "a chance above 99 %" : `a chance of ${Math.round(100 * chance)} %`;
}

/**
 * The scores in words, for those who do not see the picture.
 * @param {TrainedTrial} trial
 */
function curveInWords({ measurements, configuration: { training } }) {
  const scores = measurements.map(({ metrics }) => formatMetric("score", metrics.score));
  return `Score by ${stepName(training)}: ${scores.filter(Boolean).join(" → ")}`;
}

/** The learning curve of one trial; while the trial goes on, it grows where it stands. */
export function createCurvePart() {
  const place = make("div", { class: "chart curve", role: "img", "data-testid": "learning-curve" });
  const box = make("p", { class: "take-out" });
  /** @type {ReturnType<typeof createChart> | null} */
  let chart = null;
  let drawn = "";
  return {
    /**
     * The curve, and in words what it was predicted to come to; nothing where there is none.
     * @param {Trial} trial
     */
    parts(trial) {
      if (!hasCurve(trial)) return [];
      place.setAttribute("aria-label", curveInWords(trial));
      const prediction = predictionOf(trial);
      return prediction ? [place, box, hint(predictionInWords(prediction))] : [place, box];
    },
    /**
     * Draw it, once its parts are on the page: a chart needs an element that has a size.
     * @param {Study} study
     * @param {Trial} trial
     */
    draw(study, trial) {
      const measured = JSON.stringify(trial.measurements);
      if (!hasCurve(trial) || measured === drawn) return;
      drawn = measured;
      if (chart === null) {
        chart = createChart(place);
        offerPicture(box, `learning curve of trial ${trial.number}`, () => study.display_name, chart.picture);
      }
      chart.draw((colours) => option(study, trial, colours));
    },
    dispose: () => chart?.dispose(),
  };
}

/**
 * @param {Study} study
 * @param {TrainedTrial} trial
 * @param {Colours} colours
 */
function option(study, trial, colours) {
  const { measurements, configuration } = trial;
  const prediction = predictionOf(trial);
  const steps = measurements.map(({ step }) => step);
  const last = prediction?.step ?? Math.max(...steps);
  return {
    grid: { left: 46, right: 46, top: 50, bottom: 38 },
    legend: {
      top: 0,
      left: 0,
      itemGap: 12,
      itemWidth: 18,
      itemHeight: 10,
      textStyle: { color: colours.text, fontSize: 12 },
      selectedMode: false,
    },
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "axis",
      formatter: (/** @type {any[]} */ [{ axisValue }]) => tooltip(trial, prediction, axisValue),
    },
    xAxis: {
      ...axisStyle(stepName(configuration.training), colours),
      nameGap: 24,
      type: "value",
      min: Math.min(...steps),
      max: Math.max(last, Math.min(...steps) + 1),
      minInterval: 1,
      splitLine: { show: false },
    },
    yAxis: [
      { ...valueAxis(headingOf(study, "score"), "left", colours) },
      { ...valueAxis("Loss", "right", colours), splitLine: { show: false } },
    ],
    series: [
      scoreLine(measurements, colours),
      ...LOSSES.map((name) => lossLine(name, measurements, colours)),
      ...(prediction ? predicted(prediction, colours) : []),
    ],
  };
}

/**
 * @param {string} name
 * @param {"left" | "right"} align where its name begins
 * @param {Colours} colours
 */
const valueAxis = (name, align, colours) => ({
  ...axisStyle(name, colours),
  // The axis is shorter than its name.
  nameLocation: "end",
  nameGap: 8,
  nameTextStyle: { color: colours.muted, align, fontSize: 12 },
  type: "value",
  ...fitted,
  splitNumber: 3,
  axisLabel: { color: colours.muted, formatter: metricFormat("score").tick },
});

/**
 * @param {string} name
 * @param {Measurement[]} measurements
 */
const pointsOf = (name, measurements) =>
  measurements
    .filter(({ metrics }) => metrics[name] !== undefined)
    .map(({ step, metrics }) => [step, metrics[name]]);

/**
 * @param {Measurement[]} measurements
 * @param {Colours} colours
 */
const scoreLine = (measurements, colours) => ({
  type: "line",
  id: "score",
  name: "Score",
  symbol: "circle",
  symbolSize: 6,
  z: 4,
  lineStyle: { color: colours.front, width: 2 },
  itemStyle: { color: colours.front },
  data: pointsOf("score", measurements),
});

/**
 * @param {string} name
 * @param {Measurement[]} measurements
 * @param {Colours} colours
 */
const lossLine = (name, measurements, colours) => ({
  type: "line",
  id: name,
  name: name === "loss" ? "Validation loss" : "Training loss",
  yAxisIndex: 1,
  symbol: "none",
  lineStyle: { color: colours.muted, width: 1.5, type: name === "loss" ? "dashed" : "dotted" },
  // A line without points has none in the legend either.
  itemStyle: { color: colours.muted, opacity: 0 },
  data: pointsOf(name, measurements),
});

/**
 * @param {Prediction} prediction
 * @param {Colours} colours
 */
const predicted = ({ step, score, deviation }, colours) => [
  {
    type: "scatter",
    id: "predicted",
    name: "Predicted end",
    symbol: "circle",
    symbolSize: 9,
    z: 5,
    itemStyle: { color: colours.surface, borderColor: colours.probe, borderWidth: 2 },
    data: [[step, score]],
  },
  errorBars("predicted deviation", [{ x: step, y: score, xError: 0, yError: deviation }], colours.probe),
];

/**
 * @param {TrainedTrial} trial
 * @param {Prediction | null} prediction
 * @param {number} step
 */
function tooltip({ measurements, configuration: { training } }, prediction, step) {
  const metrics = measurements.find((measurement) => measurement.step === step)?.metrics ?? {};
  const lines = ["score", ...LOSSES]
    .filter((name) => metrics[name] !== undefined)
    .map((name) => `${metricFormat(name).label} ${formatMetric(name, metrics[name])}`);
  if (prediction?.step === step) lines.push(predictionInWords(prediction));
  return tooltipElement(`${stepName(training)} ${step}`, lines);
}
