/** The Pareto plot: every measured trial with its standard errors, the front as a staircase, signs for what is special. */

import { axisStyle, createChart, decades, fitted, tooltipElement, tooltipStyle } from "./chart_frame.js";
import { errorBars } from "./error_bars.js";
import {
  describeParameters,
  formatCount,
  formatMetric,
  formatWithError,
  headingOf,
  isCustom,
  isLogarithmic,
  metricFormat,
  scoreName,
} from "./format.js";
import { keepsLimits } from "./study_data.js";

/** @import {Axes, Axis} from "./axes.js" */
/** @import {Colours} from "./chart_frame.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {Study, TrialRow} from "./types.js" */

/**
 * @typedef {{trial: TrialRow, x: number, y: number, xError: number, yError: number,
 *   kind: "front" | "dominated" | "beyond limits"}} Point
 */

/** @typedef {{seriesName: string, dataIndex: number}} Place what the library says of a point */

const HEAD_ONLY = "Head only";
const COLLAPSED = "Collapsed";
const RECOMMENDED = "Recommended";
const MANY = 1000;
const CROSS = "path://M0,0L8,8M8,0L0,8";

/**
 * @param {HTMLElement} element
 * @param {(trial: TrialRow) => void} onSelect
 */
export function createParetoChart(element, onSelect) {
  const { chart, draw, dispose, picture } = createChart(element);
  /** @type {ReturnType<typeof option> | null} */
  let drawn = null;
  const pointOf = (/** @type {Place} */ { seriesName, dataIndex }) =>
    drawn?.series.find((one) => one.name === seriesName)?.points?.[dataIndex];
  chart.on("click", (/** @type {Place} */ place) => {
    const point = pointOf(place);
    if (point) onSelect(point.trial);
  });
  return {
    dispose,
    picture,
    /**
     * @param {StudyData} data
     * @param {Axes} axes
     * @param {TrialRow | null} selected
     */
    update(data, axes, selected) {
      const points = pointsOf(data, axes);
      element.setAttribute("aria-label", spoken(points, axes));
      const roomy = element.clientWidth > 520;
      draw((colours) => {
        drawn = option(data, points, axes, selected, colours);
        const tooltips = {
          ...tooltipStyle(colours),
          trigger: "item",
          formatter: (/** @type {Place} */ place) => tooltip(data.study, pointOf(place)),
        };
        return { ...drawn, series: drawn.series.map(withoutPoints), tooltip: tooltips, grid: gridOf(roomy) };
      });
    },
  };
}

/**
 * On a narrow page the legend takes two lines.
 * @param {boolean} roomy
 */
const gridOf = (roomy) => ({ left: 64, right: 28, top: roomy ? 44 : 70, bottom: 52 });

/**
 * @param {StudyData} data
 * @param {Axes} axes
 * @returns {Point[]}
 */
function pointsOf({ study, trials }, { x, y }) {
  return trials
    .filter((trial) => trial.state === "SUCCEEDED")
    .map((trial) => ({
      trial,
      x: valueOn(study, x, trial),
      y: valueOn(study, y, trial),
      xError: trial.metric_standard_errors[x.metric] ?? 0,
      yError: trial.metric_standard_errors[y.metric] ?? 0,
      kind: kindOf(study, trial),
    }))
    .filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y));
}

/**
 * @param {Study} study
 * @param {TrialRow} trial
 * @returns {Point["kind"]}
 */
function kindOf(study, trial) {
  if (trial.on_front) return "front";
  return keepsLimits(study, trial) ? "dominated" : "beyond limits";
}

/**
 * @param {Study} study
 * @param {Axis} axis
 * @param {TrialRow} trial
 */
function valueOn(study, { metric }, trial) {
  if (metric === "number") return trial.number;
  const value = trial.metrics[metric] ?? NaN;
  // As the service does: a count of zero has no logarithm and counts as one.
  return !isCustom(study) && metricFormat(metric).log ? Math.max(value, 1) : value;
}

/**
 * The corners of the front seen on these axes, from left to right. Where both are objectives, only
 * members of the stored front can be corners; else this is the best so far along the axis.
 * @param {Point[]} points
 * @param {Axes} axes
 * @returns {Point[]}
 */
function staircase(points, { x, y }) {
  const candidates = points.filter(({ kind }) =>
    comparesObjectives({ x, y }) ? kind === "front" : kind !== "beyond limits",
  );
  const sign = (/** @type {Axis} */ axis) => (axis.maximize ? -1 : 1);
  const fromBest = candidates.sort((a, b) => sign(x) * (a.x - b.x) || sign(y) * (a.y - b.y));
  /** @type {Point[]} */
  const corners = [];
  for (const point of fromBest) {
    const last = corners.at(-1);
    if (last === undefined || sign(y) * (point.y - last.y) < 0) corners.push(point);
  }
  return x.maximize ? corners.reverse() : corners;
}

/**
 * @param {StudyData} data
 * @param {Point[]} points
 * @param {Axes} axes
 * @param {TrialRow | null} selected
 * @param {Colours} colours
 * @returns {{legend: object, xAxis: object, yAxis: object, series: any[]}}
 */
function option({ study, knee }, points, axes, selected, colours) {
  const others = points.filter(({ trial }) => !trial.is_head_only && !trial.collapsed);
  const of = (/** @type {string} */ kind) => others.filter((point) => point.kind === kind);
  const heads = points.filter(({ trial }) => trial.is_head_only && !trial.collapsed);
  const collapsed = points.filter(({ trial }) => trial.collapsed);
  const onFront = (/** @type {Point} */ { kind }) => kind === "front";
  const chosen = points.filter(({ trial }) => trial.id === selected?.id);
  const isCrowd = points.length > MANY;
  const recommended = points.filter(({ trial }) => trial.id === knee?.trial_id);
  return {
    legend: {
      top: 4,
      left: 0,
      itemGap: 18,
      itemWidth: 14,
      itemHeight: 14,
      textStyle: { color: colours.text },
      selectedMode: false,
      data: legend(study, axes, { heads, collapsed }),
    },
    xAxis: { ...axisOption(study, axes.x, colours), nameGap: 32 },
    yAxis: { ...axisOption(study, axes.y, colours), nameGap: 46 },
    series: [
      scatter(otherName(axes), of("dominated"), {
        symbol: "circle",
        symbolSize: isCrowd ? 5 : 9,
        itemStyle: { color: colours.fade },
        ...asOne(isCrowd),
      }),
      scatter("Beyond a limit", of("beyond limits"), {
        symbol: "triangle",
        symbolSize: isCrowd ? 5 : 9,
        itemStyle: { color: "transparent", borderColor: colours.fade, borderWidth: 1.5 },
        ...asOne(isCrowd),
      }),
      errorBars(
        "other errors",
        // Thousands of bars would hide the points.
        isCrowd ? [] : points.filter((point) => !onFront(point)),
        colours.fade,
      ),
      errorBars("front errors", points.filter(onFront), colours.front),
      line(staircase(points, axes), axes, colours),
      scatter(frontName(axes), of("front"), {
        symbol: "circle",
        symbolSize: 12,
        itemStyle: { color: colours.front },
        z: 4,
      }),
      scatter(HEAD_ONLY, heads, {
        symbol: "diamond",
        symbolSize: 16,
        z: 5,
        itemStyle: { color: colours.probe, borderColor: colours.surface, borderWidth: 1 },
      }),
      scatter(COLLAPSED, collapsed, {
        symbol: CROSS,
        symbolSize: 12,
        z: 5,
        itemStyle: { color: "transparent", borderColor: colours.collapsed, borderWidth: 3 },
      }),
      {
        ...scatter(RECOMMENDED, recommended, {
          symbol: "circle",
          symbolSize: 18,
          silent: true,
          z: 3,
          itemStyle: { color: "transparent", borderColor: colours.front, borderWidth: 2, borderType: "dotted" },
        }),
        label: { show: true, formatter: RECOMMENDED, position: "bottom", color: colours.muted },
      },
      scatter("Selected", chosen, {
        symbol: "circle",
        symbolSize: 24,
        silent: true,
        z: 3,
        itemStyle: { color: "transparent", borderColor: colours.text, borderWidth: 2 },
      }),
    ],
  };
}

/**
 * @param {Study} study
 * @param {Axes} axes
 * @param {Object<string, Point[]>} special what has a sign of its own, where there is any
 */
function legend({ constraints }, axes, { heads, collapsed }) {
  return [
    frontName(axes),
    otherName(axes),
    ...(heads.length ? [HEAD_ONLY] : []),
    ...(constraints.length ? ["Beyond a limit"] : []),
    ...(collapsed.length ? [COLLAPSED] : []),
  ];
}

/** @param {Axes} axes */
const frontName = (axes) => (comparesObjectives(axes) ? "On the front" : "Best");

/** @param {Axes} axes */
const otherName = (axes) => (comparesObjectives(axes) ? "Dominated" : "Other");

/** @param {Axes} axes */
const comparesObjectives = ({ x, y }) => x.isObjective && y.isObjective;

/**
 * @param {string} name
 * @param {Point[]} points
 * @param {object} style
 */
const scatter = (name, points, style) => ({
  type: "scatter",
  id: name,
  name,
  ...style,
  points,
  data: points.map(({ trial, x, y }) => (points.length > MANY ? [x, y] : { id: trial.id, value: [x, y] })),
});

/**
 * The library clones whatever it is given, trials and all.
 * @param {any} series
 */
function withoutPoints({ points, ...series }) {
  return series;
}

/**
 * Draw many points as one shape: thousands of shapes take a second.
 * @param {boolean} isCrowd
 */
const asOne = (isCrowd) => ({ large: isCrowd, largeThreshold: MANY, animation: !isCrowd });

/**
 * @param {Point[]} corners
 * @param {Axes} axes
 * @param {Colours} colours
 */
const line = (corners, { x }, colours) => ({
  type: "line",
  id: "staircase",
  // Between two corners, what the cheaper one reaches is the best that can be had.
  step: x.maximize ? "start" : "end",
  symbol: "none",
  silent: true,
  z: 2,
  lineStyle: { color: colours.front, width: 2 },
  data: corners.map((point) => [point.x, point.y]),
});

/**
 * @param {Study} study
 * @param {Axis} axis
 * @param {Colours} colours
 */
function axisOption(study, { metric, maximize }, colours) {
  const { label, unit, tick } = metricFormat(metric);
  const log = isLogarithmic(study, metric);
  const better = metric === "number" ? "" : maximize ? "more is better" : "less is better";
  const name = metric === "score" ? scoreName(study) : "";
  const remarks = [name, unit, log ? "log scale" : "", better].filter(Boolean).join(", ");
  const style = axisStyle(remarks ? `${label} (${remarks})` : label, colours);
  const scale = log ? { type: "log", ...decades } : { type: "value", ...fitted };
  return { ...style, ...scale, axisLabel: { ...style.axisLabel, formatter: tick } };
}

/**
 * @param {Study} study
 * @param {Point | undefined} point
 */
function tooltip(study, point) {
  if (point === undefined) return "";
  const { trial, kind } = point;
  const metrics = study.objectives.map(
    ({ metric }) =>
      `${headingOf(study, metric)}: ${formatWithError(metric, trial.metrics[metric], trial.metric_standard_errors[metric])}`,
  );
  const standing = (kind === "front" ? "on the front" : kind) + (trial.collapsed ? ", collapsed" : "");
  return tooltipElement(
    `Trial ${trial.number}`,
    [...metrics, standing],
    [trial.modules, ...describeParameters(trial.parameters)].filter(Boolean).join(" · "),
  );
}

/**
 * The picture in words, for those who do not see it.
 * @param {Point[]} points
 * @param {Axes} axes
 */
function spoken(points, { x, y }) {
  const [over, of] = [metricFormat(y.metric).label, metricFormat(x.metric).label.toLowerCase()];
  const onFront = points.filter(({ kind }) => kind === "front").length;
  const words = [
    `${over} over ${of}:`,
    `${formatCount(points.length)} measured trials, ${formatCount(onFront)} on the front.`,
  ];
  const best = points.toSorted((a, b) => (y.maximize ? b.y - a.y : a.y - b.y))[0];
  if (best) words.push(`Best: ${formatMetric(y.metric, best.y)} in trial ${best.trial.number}.`);
  return [...words, "The table below has the numbers."].join(" ");
}
