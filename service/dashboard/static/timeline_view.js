/** What each worker ran and when: a row for each, a bar for each attempt; gaps are idle devices. */

import { axisStyle, tooltipElement, tooltipStyle } from "./chart_frame.js";
import { asWords, counted, formatDuration } from "./format.js";
import { createPlot } from "./plot.js";

/** @import {Colours} from "./chart_frame.js" */
/** @import {Run} from "./runs.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {Context, View} from "./understand.js" */

const MOST_BARS = 2000;
const ROW_PX = 30;
const AROUND_PX = 130;
const LONGEST_NAME = 22;
const LONGEST_NARROW = 9;
const NARROW_PX = 620;

/** @typedef {Run & {until: number}} Bar */

/**
 * @param {HTMLElement} root
 * @param {Context} context
 * @returns {View}
 */
export function createTimelineView(root, { nameOfStudy, signal, readRuns, select, failed }) {
  const plot = createPlot(root, { name: "workers", testId: "timeline", nameOfStudy, onChart: listen });
  /** @type {Bar[]} */
  let bars = [];
  /** @type {StudyData | null} */
  let data = null;

  function listen(/** @type {any} */ chart) {
    chart.on("click", (/** @type {any} */ { dataIndex }) => {
      const trial = data?.trials.find(({ id }) => id === bars[dataIndex]?.trialId);
      if (trial) select(trial);
    });
  }

  async function show(/** @type {StudyData} */ latest) {
    try {
      const runs = await readRuns(latest);
      if (!runs.length) return plot.empty("No worker has taken a trial of this study: results were imported, or none has begun.");
      bars = runs.slice(-MOST_BARS).map((run) => ({ ...run, until: Math.max(run.start, run.end ?? Date.now()) }));
      const workers = [...new Set(bars.map(({ worker }) => worker))].sort();
      plot.picture.style.height = `${workers.length * ROW_PX + AROUND_PX}px`;
      const isNarrow = root.clientWidth < NARROW_PX;
      plot.draw((colours) => option(bars, workers, colours, isNarrow), {
        label: spoken(bars, workers),
        note: `${spoken(bars, workers)} A gap in a row is an idle device.${runs.length > bars.length ? ` Drawn are the last ${MOST_BARS} attempts.` : ""}`,
        records: bars.map(recordOf),
      });
    } catch (error) {
      if (!signal.aborted) failed(error);
    }
  }

  return {
    update(latest) {
      data = latest;
      if (!bars.length) plot.empty("Reading the attempts");
      show(latest);
    },
    close: () => plot.dispose(),
  };
}

/** @param {Bar} bar */
const recordOf = ({ worker, number, seed, attempt, outcome, reason, start, end }) => ({
  worker,
  trial: number,
  replicate: seed,
  attempt,
  outcome,
  reason,
  started_at: new Date(start).toISOString(),
  ended_at: end === null ? null : new Date(end).toISOString(),
});

/**
 * How busy the workers were between the first start and the last end.
 * @param {Bar[]} bars
 * @param {string[]} workers
 */
function spoken(bars, workers) {
  const begin = Math.min(...bars.map(({ start }) => start));
  const end = Math.max(...bars.map(({ until }) => until));
  const busy = bars.reduce((sum, { start, until }) => sum + until - start, 0);
  const share = Math.min(1, busy / Math.max(1, (end - begin) * workers.length));
  return `${counted(workers.length, "worker")}, ${counted(bars.length, "attempt")} in ${formatDuration((end - begin) / 1000)}, busy ${Math.round(100 * share)} % of it.`;
}

/**
 * Told apart by filling and line as well as by colour.
 * @param {string} outcome
 * @param {Colours} colours
 */
function lookOf(outcome, colours) {
  if (outcome === "SUCCEEDED") return { fill: colours.front, stroke: colours.surface, lineWidth: 1 };
  if (outcome === "RUNNING") return { fill: colours.surface, stroke: colours.front, lineWidth: 2 };
  if (outcome === "STOPPED_EARLY") return { fill: colours.fade, stroke: colours.muted, lineWidth: 1 };
  return { fill: "transparent", stroke: colours.collapsed, lineWidth: 2, lineDash: [4, 3] };
}

/** @type {[string, string][]} */
const LEGEND = [
  ["SUCCEEDED", "succeeded"],
  ["RUNNING", "running"],
  ["STOPPED_EARLY", "stopped early"],
  ["FAILED", "failed, infeasible, cancelled or lost"],
];

/**
 * @param {Bar[]} bars
 * @param {string[]} workers
 * @param {Colours} colours
 * @param {boolean} isNarrow
 */
function option(bars, workers, colours, isNarrow) {
  const begin = Math.min(...bars.map(({ start }) => start));
  const row = new Map(workers.map((worker, position) => [worker, position]));
  const unit = (Math.max(...bars.map(({ until }) => until)) - begin) / 1000 > 7200 ? 3600 : 60;
  const at = (/** @type {number} */ time) => (time - begin) / 1000 / unit;
  return {
    grid: { left: isNarrow ? 80 : 170, right: 24, top: isNarrow ? 66 : 40, bottom: 46 },
    legend: {
      top: 0,
      left: 0,
      selectedMode: false,
      textStyle: { color: colours.text },
      data: LEGEND.map(([outcome, name]) => {
        const { fill, stroke, lineWidth, lineDash } = /** @type {any} */ (lookOf(outcome, colours));
        return { name, icon: "rect", itemStyle: { color: fill, borderColor: stroke, borderWidth: lineWidth, borderType: lineDash ?? "solid" } };
      }),
    },
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "item",
      formatter: (/** @type {any} */ { dataIndex }) => tooltip(bars[dataIndex]),
    },
    xAxis: { ...axisStyle(`time since the first start (${unit === 60 ? "min" : "h"})`, colours), nameGap: 26, type: "value", min: 0 },
    yAxis: {
      ...axisStyle("", colours),
      type: "category",
      data: workers,
      inverse: true,
      axisLabel: { color: colours.muted, formatter: (/** @type {string} */ name) => short(name, isNarrow ? LONGEST_NARROW : LONGEST_NAME) },
      splitLine: { show: false },
    },
    series: [
      ...LEGEND.map(([, name]) => ({ type: "custom", id: `legend ${name}`, name, data: [], renderItem: () => null })),
      {
        type: "custom",
        id: "runs",
        clip: true,
        progressive: 400,
        encode: { x: [0, 1], y: 2 },
        data: bars.map(({ start, until, worker }) => [at(start), at(until), row.get(worker)]),
        renderItem: (/** @type {any} */ { dataIndex }, /** @type {any} */ api) => drawn(api, lookOf(bars[dataIndex].outcome, colours)),
      },
    ],
  };
}

/**
 * The end of a name tells workers of one host apart.
 * @param {string} worker
 * @param {number} longest
 */
const short = (worker, longest) => (worker.length > longest ? `…${worker.slice(1 - longest)}` : worker);

/**
 * @param {any} api
 * @param {object} style
 */
function drawn(api, style) {
  const [left, y] = api.coord([api.value(0), api.value(2)]);
  const [right] = api.coord([api.value(1), api.value(2)]);
  const height = 0.62 * api.size([0, 1])[1];
  return {
    type: "rect",
    shape: { x: left, y: y - height / 2, width: Math.max(2, right - left), height },
    style,
  };
}

/** @param {Bar | undefined} bar */
function tooltip(bar) {
  if (bar === undefined) return "";
  const { number, seed, attempt, worker, outcome, reason, start, until } = bar;
  return tooltipElement(
    `Trial ${number}`,
    [worker, `seed ${seed}, attempt ${attempt}`, `${asWords(outcome).toLowerCase()}, ${formatDuration((until - start) / 1000)}`],
    reason ?? "",
  );
}
