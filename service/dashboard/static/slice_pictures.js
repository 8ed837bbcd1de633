/** Pictures of slices: a line in its band, marks with bars for choices, a map over two parameters. Asks for nothing. */

import { axisStyle, decades, fitted, isDark, scaleStyle, tooltipElement, tooltipStyle } from "./chart_frame.js";
import { errorBars } from "./error_bars.js";
import { formatMetric, formatValue, headingOf, isLogarithmic, metricFormat, nameOf } from "./format.js";
import { scaleColours } from "./shades.js";

/** @import {Colours} from "./chart_frame.js" */
/** @import {SearchedParameter, Slice, Study, TrialRow} from "./types.js" */

const MOST_POINTS = 1000;

/**
 * @param {Study} study
 * @param {string} name
 * @returns {SearchedParameter}
 */
const parameterOf = (study, name) =>
  study.search_space.parameters.find((parameter) => parameter.name === name) ?? { name, type: "categorical" };

/** @param {SearchedParameter} parameter */
const isNumber = ({ type }) => type === "int" || type === "float";

/**
 * @param {Study} study
 * @param {Slice} slice over one parameter
 * @param {TrialRow[]} trials measured ones
 * @param {Colours} colours
 */
export function curveOption(study, slice, trials, colours) {
  const parameter = parameterOf(study, slice.parameter);
  const isLine = isNumber(parameter);
  const { values, means, lower, upper, metric } = slice;
  const place = (/** @type {boolean | number | string | undefined} */ value) =>
    isLine ? /** @type {number} */ (value) : values.indexOf(/** @type {any} */ (value));
  const points = trials
    .filter((trial) => trial.parameters[parameter.name] !== undefined && trial.metrics[metric] !== undefined)
    .slice(-MOST_POINTS)
    .map((trial) => [place(trial.parameters[parameter.name]), trial.metrics[metric]])
    .filter(([x]) => isLine || x >= 0);
  const rows = values.map((value, position) => [place(value), means[position], lower[position], upper[position]]);
  const bars = rows.map(([x, y, low, high]) => ({ x, y, xError: 0, yError: Math.max(high - y, y - low) }));
  const xStyle = axisStyle(parameter.log && isLine ? `${nameOf(parameter.name)} (log scale)` : nameOf(parameter.name), colours);
  return {
    grid: { left: 70, right: 24, top: 34, bottom: 50 },
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "axis",
      formatter: (/** @type {any[]} */ shown) => {
        const row = shown.find(({ seriesId }) => seriesId === "mean")?.dataIndex;
        return row === undefined ? "" : curveTooltip(study, slice, row);
      },
    },
    xAxis: {
      ...xStyle,
      nameGap: 30,
      ...(isLine
        ? { type: parameter.log ? "log" : "value", min: values[0], max: values.at(-1) }
        : { type: "category", data: values.map(formatValue) }),
      splitLine: { show: false },
    },
    yAxis: yAxisOf(study, metric, colours),
    series: [
      { type: "scatter", id: "trials", silent: true, symbolSize: 5, itemStyle: { color: colours.fade, opacity: 0.6 }, data: points },
      ...(isLine ? [band(rows, colours)] : [errorBars("band", slice.exact ? [] : bars, colours.front)]),
      {
        type: "line",
        id: "mean",
        symbol: isLine ? "none" : "circle",
        symbolSize: 10,
        lineStyle: { color: colours.front, width: isLine ? 2 : 0 },
        itemStyle: { color: colours.front },
        z: 4,
        data: rows.map(([x, y]) => [x, y]),
      },
    ],
  };
}

/**
 * @param {Study} study
 * @param {string} metric
 * @param {Colours} colours
 */
function yAxisOf(study, metric, colours) {
  const isLog = isLogarithmic(study, metric);
  const style = axisStyle(`${headingOf(study, metric)}${isLog ? ", log scale" : ""}`, colours);
  return {
    ...style,
    nameLocation: "end",
    nameGap: 12,
    nameTextStyle: { color: colours.muted, align: "left" },
    ...(isLog ? { type: "log", ...decades } : { type: "value", ...fitted }),
    axisLabel: { ...style.axisLabel, formatter: metricFormat(metric).tick },
  };
}

/**
 * The band between two lines, piece by piece, on whatever scale.
 * @param {number[][]} rows
 * @param {Colours} colours
 */
const band = (rows, colours) => ({
  type: "custom",
  id: "band",
  silent: true,
  clip: true,
  z: 1,
  encode: { x: [0, 3], y: [1, 2, 4, 5], tooltip: [] },
  data: rows.slice(1).map(([x, , low, high], position) => [rows[position][0], rows[position][2], rows[position][3], x, low, high]),
  renderItem: (/** @type {any} */ _, /** @type {any} */ api) => {
    const [x0, low0, high0, x1, low1, high1] = [0, 1, 2, 3, 4, 5].map((dimension) => api.value(dimension));
    const points = [[x0, low0], [x0, high0], [x1, high1], [x1, low1]].map((point) => api.coord(point));
    return { type: "polygon", shape: { points }, style: { fill: colours.front, opacity: 0.2 } };
  },
});

/**
 * @param {Study} study
 * @param {Slice} slice
 * @param {number} position
 */
function curveTooltip(study, { metric, parameter, second, values, second_values, means, lower, upper, exact }, position) {
  const beside = second === null ? "" : `, ${nameOf(second)} ${formatValue(second_values[Math.floor(position / values.length)])}`;
  const write = (/** @type {number} */ value) => formatMetric(metric, value);
  return tooltipElement(`${nameOf(parameter)} ${formatValue(values[position % values.length])}${beside}`, [
    `${headingOf(study, metric)}: ${write(means[position])}`,
    exact ? "known exactly" : `from ${write(lower[position])} to ${write(upper[position])}, one deviation`,
  ]);
}

/**
 * @param {Study} study
 * @param {Slice} slice over two parameters
 * @param {Colours} colours
 * @param {boolean} showsWidth whether colour stands for the width of the band
 */
export function mapOption(study, slice, colours, showsWidth) {
  const { values, second_values, means, lower, upper, metric, parameter, second } = slice;
  const numbers = showsWidth ? means.map((_, position) => upper[position] - lower[position]) : means;
  const axis = (/** @type {string} */ name, /** @type {(boolean | number | string)[]} */ own) => ({
    ...axisStyle(nameOf(name), colours),
    type: "category",
    data: own.map(formatValue),
    splitLine: { show: false },
  });
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  return {
    grid: { left: 90, right: 24, top: 54, bottom: 50 },
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "item",
      formatter: (/** @type {any} */ { dataIndex }) => curveTooltip(study, slice, dataIndex),
    },
    xAxis: { ...axis(parameter, values), nameGap: 30 },
    yAxis: { ...axis(second ?? "", second_values), nameGap: 66 },
    visualMap: {
      ...scaleStyle(colours),
      min: least,
      max: most > least ? most : least + 1,
      calculable: false,
      text: [metricFormat(metric).tick(most), `${headingOf(study, metric)}${showsWidth ? ", width" : ""} ${metricFormat(metric).tick(least)}`],
      inRange: { color: scaleColours(isDark()) },
    },
    series: [
      {
        type: "heatmap",
        id: "map",
        data: numbers.map((number, position) => [position % values.length, Math.floor(position / values.length), number]),
        itemStyle: { borderWidth: 0 },
        emphasis: { itemStyle: { borderColor: colours.text, borderWidth: 2 } },
        progressive: 0,
      },
    ],
  };
}
