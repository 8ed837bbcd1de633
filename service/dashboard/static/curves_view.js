/** Learning curves of several trials on one plot, of any metric that they measured on their way; custom trials too. */

import { axisStyle, fitted, tooltipElement, tooltipStyle } from "./chart_frame.js";
import { createChooser } from "./chooser.js";
import { make } from "./elements.js";
import { asWords, counted, formatMetric, headingOf, isLogarithmic, metricFormat } from "./format.js";
import { SAID_IN_WORDS } from "./learning_curve.js";
import { createPlot } from "./plot.js";

/** @import {Colours} from "./chart_frame.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {Study, Trial, TrialRow} from "./types.js" */
/** @import {Context, View} from "./understand.js" */

const MOST_CURVES = 8;
const FIRST_CURVES = 4;
/** Each line differs in colour, sign and dashes from every other. */
const SYMBOLS = ["circle", "rect", "triangle", "diamond"];
const DASHES = ["solid", "dashed"];

/**
 * @param {HTMLElement} root
 * @param {Context} context
 * @returns {View}
 */
export function createCurvesView(root, { api, nameOfStudy, signal, failed }) {
  const plot = createPlot(root, { name: "learning curves", testId: "curves", nameOfStudy });
  const metric = createChooser("Metric", "curves-metric", draw);
  const number = make("input", { type: "number", min: 0, step: 1, "data-testid": "curves-number", class: "short" });
  const add = make("button", { type: "submit" }, "Add");
  const form = make("form", { class: "add-trial" }, make("label", {}, "Trial ", number), add);
  const chips = make("ul", { class: "remaining", "aria-label": "Trials whose curves are shown" });
  plot.controls.append(metric.element, form, chips);
  /** @type {StudyData | null} */
  let data = null;
  /** @type {string[] | null} */
  let chosen = null;
  /** @type {Map<string, {version: string, trial: Trial}>} */
  const known = new Map();

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const row = data?.trials.find((trial) => String(trial.number) === number.value);
    number.setCustomValidity(row ? "" : "There is no such trial.");
    if (!row || !form.reportValidity()) return;
    chosen = [...new Set([...(chosen ?? []), row.id])].slice(-MOST_CURVES);
    number.value = "";
    read();
  });
  number.addEventListener("input", () => number.setCustomValidity(""));

  /** The best of the front by the first objective, then what began last; a past result has no curve. */
  function firstChoice(/** @type {StudyData} */ { front, trials }) {
    const begun = trials.filter(({ state, generated_by }) => state !== "QUEUED" && generated_by !== "imported");
    const ids = new Set(begun.map(({ id }) => id));
    const best = front.points.map(({ trial_id }) => trial_id).filter((id) => ids.has(id));
    return [...new Set([...best, ...[...ids].reverse()])].slice(0, FIRST_CURVES);
  }

  async function read() {
    if (data === null) return;
    const { study, trials } = data;
    const rows = new Map(trials.map((trial) => [trial.id, trial]));
    const wanted = (chosen ??= firstChoice(data)).flatMap((id) => rows.get(id) ?? []);
    try {
      await Promise.all(wanted.map((row) => readOne(study, row)));
      draw();
    } catch (error) {
      if (!signal.aborted) failed(error);
    }
  }

  /**
   * @param {Study} study
   * @param {TrialRow} row
   */
  async function readOne(study, row) {
    const version = row.finished_at === null ? String(data?.sequence) : `${row.state} ${row.finished_at}`;
    if (known.get(row.id)?.version === version) return;
    known.set(row.id, { version, trial: await api.getTrial(study.id, row.id, signal) });
  }

  function draw() {
    if (data === null || chosen === null) return;
    const { study } = data;
    const trials = chosen.flatMap((id) => known.get(id)?.trial ?? []);
    const names = [...new Set(trials.flatMap(({ measurements }) => measurements.flatMap(({ metrics }) => Object.keys(metrics))))];
    const offered = names.filter((name) => !SAID_IN_WORDS.includes(name));
    const preset = offered.includes(study.objectives[0].metric) ? study.objectives[0].metric : offered[0];
    metric.offer(offered.map((name) => ({ value: name, text: headingOf(study, name) })), preset);
    metric.element.hidden = offered.length < 2;
    chips.replaceChildren(...trials.map(chip));
    const name = metric.value();
    const curves = trials.map((trial) => ({ trial, points: pointsOf(trial, name) })).filter(({ points }) => points.length);
    if (!curves.length) return plot.empty("Nothing was measured on the way of these trials. Past results have no curve; add a trial by its number.");
    plot.draw((colours) => option(study, name, curves, colours), {
      label: `${headingOf(study, name)} of ${counted(curves.length, "trial")} from step to step.`,
      note: "Steps are epochs, or measurements where there are several in an epoch; of several seeds, the first is shown.",
      records: curves.flatMap(({ trial, points }) => points.map(([step, value]) => ({ trial: trial.number, step, [name]: value }))),
    });
  }

  /** @param {Trial} trial */
  function chip(trial) {
    const button = make("button", { type: "button", "aria-label": `Take trial ${trial.number} away` }, `Trial ${trial.number} ×`);
    button.addEventListener("click", () => {
      chosen = (chosen ?? []).filter((id) => id !== trial.id);
      draw();
      number.focus();
    });
    return make("li", {}, button);
  }

  return {
    update(latest) {
      data = latest;
      if (!chosen?.length) chosen = null;
      if (known.size === 0) plot.empty("Reading the learning curves");
      read();
    },
    close: () => plot.dispose(),
  };
}

/**
 * @param {Trial} trial
 * @param {string} name
 * @returns {number[][]}
 */
const pointsOf = ({ measurements }, name) =>
  measurements.filter(({ metrics }) => metrics[name] !== undefined).map(({ step, metrics }) => [step, metrics[name]]);

/**
 * @param {Study} study
 * @param {string} name
 * @param {{trial: Trial, points: number[][]}[]} curves
 * @param {Colours} colours
 */
function option(study, name, curves, colours) {
  const style = axisStyle(`${headingOf(study, name)}${isLogarithmic(study, name) ? ", log scale" : ""}`, colours);
  const palette = [colours.front, colours.probe, colours.green, colours.purple];
  const positive = curves.every(({ points }) => points.every(([, value]) => value > 0));
  return {
    grid: { left: 70, right: 24, top: 64, bottom: 44 },
    legend: { top: 0, left: 0, textStyle: { color: colours.text }, selectedMode: false, itemWidth: 34 },
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "axis",
      formatter: (/** @type {any[]} */ shown) =>
        tooltipElement(`Step ${shown[0].axisValue}`, shown.map(({ seriesName, data }) => `${seriesName}: ${formatMetric(name, data[1])}`)),
    },
    xAxis: { ...axisStyle("step", colours), nameGap: 26, type: "value", minInterval: 1, scale: true, splitLine: { show: false } },
    yAxis: {
      ...style,
      nameLocation: "end",
      nameGap: 10,
      nameTextStyle: { color: colours.muted, align: "left" },
      ...(isLogarithmic(study, name) && positive ? { type: "log" } : { type: "value", ...fitted }),
      axisLabel: { ...style.axisLabel, formatter: metricFormat(name).tick },
    },
    series: curves.map(({ trial, points }, position) => ({
      type: "line",
      id: `curve ${trial.number}`,
      name: `Trial ${trial.number}${trial.state === "SUCCEEDED" ? "" : ` (${asWords(trial.state).toLowerCase()})`}`,
      symbol: SYMBOLS[position % SYMBOLS.length],
      symbolSize: 7,
      lineStyle: { color: palette[position % 4], width: 2, type: DASHES[Math.floor(position / 4) % 2] },
      itemStyle: { color: palette[position % 4] },
      data: points,
    })),
  };
}
