/** The Pareto plot: every trial where it was measured or is expected, the fronts as staircases, signs for what is special. */

import { axisStyle, createChart, decades, fitted, isDark, legendLines, tooltipElement, tooltipStyle } from "./chart_frame.js";
import {
  counted,
  describeParameters,
  formatCount,
  formatMetric,
  formatWithError,
  headingOf,
  isLogarithmic,
  metricFormat,
  scoreName,
} from "./format.js";
import { believedPoints, formerPoints, isMeasured, knownOf, pointsOf } from "./pareto_points.js";
import { seriesOf } from "./pareto_series.js";
import { createPointWalk } from "./point_walk.js";
import { metricSoFar, progressInWords } from "./progress.js";
import { shadesOf } from "./shades.js";
import { isOpen } from "./study_data.js";

/** @import {Axes, Axis} from "./axes.js" */
/** @import {Colours} from "./chart_frame.js" */
/** @import {Point} from "./pareto_points.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {ParetoPoint, Study, TrialRow} from "./types.js" */

/** @typedef {{seriesId: string, dataIndex: number}} Place what the library says of a point */
/**
 * @typedef {{shadedBy: string, showsBelief: boolean, former: ParetoPoint[] | null,
 *   keeps: (trial: TrialRow) => boolean}} Look what the person wants to see
 */

const LEGEND_LINE_PX = 24;
const ROOM_BESIDE_LEGEND = 16;

/**
 * @param {HTMLElement} element
 * @param {HTMLElement} status where the point that the keyboard is at is said
 * @param {(trial: TrialRow) => void} onSelect
 */
export function createParetoChart(element, status, onSelect) {
  const { chart, draw, dispose, picture } = createChart(element);
  /** @type {ReturnType<typeof seriesOf> | null} */
  let drawn = null;
  const pointOf = (/** @type {Place} */ { seriesId, dataIndex }) =>
    drawn?.series.find((one) => one.id === seriesId)?.points?.[dataIndex];
  chart.on("click", (/** @type {Place} */ place) => {
    const point = pointOf(place);
    if (point) onSelect(point.trial);
  });
  /** @type {Study | null} */
  let study = null;
  const walk = createPointWalk(element, status, {
    pixelOf: ({ x, y }) => chart.convertToPixel({ gridIndex: 0 }, [x, y]),
    inWords: (point) => (study === null ? "" : pointInWords(study, point)),
    onOpen: ({ trial }) => onSelect(trial),
  });
  // After the library has laid out a new size, too.
  chart.on("finished", walk.drawn);
  return {
    dispose,
    picture,
    /**
     * @param {StudyData} data
     * @param {Axes} axes
     * @param {TrialRow | null} selected
     * @param {Look} look
     */
    update(data, axes, selected, look) {
      const points = pointsOf(data, axes, look.shadedBy, look.keeps);
      element.setAttribute("aria-label", spoken(points, axes));
      const { knee } = data;
      const shown = data.study;
      study = shown;
      walk.update(points);
      const room = element.clientWidth - ROOM_BESIDE_LEGEND;
      draw((colours) => {
        drawn = seriesOf(
          {
            points,
            believed: look.showsBelief ? believedPoints(data, axes) : [],
            former: look.former === null ? [] : formerPoints(data, look.former, axes),
            shades: shadesOf(points.map(({ shade }) => shade), metricFormat(look.shadedBy).tick, isDark()),
            selectedId: selected?.id ?? null,
            recommendedId: knee?.trial_id ?? null,
            defaultId: knee?.against_default?.default_trial_id ?? null,
          },
          axes,
          colours,
        );
        const legend = legends(drawn, look.shadedBy, shown, colours, room);
        return {
          legend: legend.options,
          xAxis: { ...axisOption(shown, axes.x, colours), nameGap: 32 },
          yAxis: { ...axisOption(shown, axes.y, colours), nameGap: 46 },
          series: drawn.series.map(withoutPoints),
          tooltip: {
            ...tooltipStyle(colours),
            trigger: "item",
            formatter: (/** @type {Place} */ place) => tooltip(shown, pointOf(place)),
          },
          grid: { left: 64, right: 28, top: legend.height + 20, bottom: 52 },
        };
      });
      walk.drawn();
    },
  };
}

/**
 * Signs in the first legend; where a metric is shown as colour, its steps in a second one below.
 * @param {ReturnType<typeof seriesOf>} drawn
 * @param {string} shadedBy
 * @param {Study} study
 * @param {Colours} colours
 * @param {number} room in pixels, for a line
 * @returns {{options: object[], height: number}}
 */
function legends({ names, shadeNames }, shadedBy, study, colours, room) {
  const style = {
    left: 0,
    itemGap: 14,
    itemWidth: 14,
    itemHeight: 14,
    textStyle: { color: colours.text },
    selectedMode: false,
  };
  const signs = { ...style, top: 4, data: [...new Set(names)] };
  const below = 4 + LEGEND_LINE_PX * legendLines(signs.data, room);
  if (!shadeNames.length) return { options: [signs], height: below };
  const title = headingOf(study, shadedBy);
  const written = (/** @type {string} */ name) => (name === shadeNames[0] ? `${title}: ${name}` : name);
  const steps = { ...style, top: below, data: shadeNames, formatter: written };
  return { options: [signs, steps], height: below + LEGEND_LINE_PX * legendLines(shadeNames.map(written), room) };
}

/**
 * The library clones whatever it is given, trials and all.
 * @param {any} series
 */
function withoutPoints({ points, ...series }) {
  return series;
}

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

/** @type {Object<string, string>} */
const STANDINGS = {
  front: "on the front",
  expected: "not measured yet: as the model expects it",
  infeasible: "infeasible: where the model expected it",
  "stopped early": "stopped early: its last measurement",
};

/**
 * @param {Study} study
 * @param {Point | undefined} point
 */
function tooltip(study, point) {
  if (point === undefined) return "";
  const { trial, isDim } = point;
  const metrics = metricsInWords(study, trial);
  const standing = standingOf(point);
  return tooltipElement(
    `Trial ${trial.number}`,
    [...metrics, isDim ? `${standing}; outside your bounds` : standing],
    [trial.modules, ...describeParameters(trial.parameters)].filter(Boolean).join(" · "),
  );
}

/**
 * A point as it is said to whoever walks to it.
 * @param {Study} study
 * @param {Point} point
 */
const pointInWords = (study, point) =>
  `Trial ${point.trial.number}, ${standingOf(point)}. ${metricsInWords(study, point.trial).join("; ")}.`;

/**
 * @param {Study} study
 * @param {TrialRow} trial
 */
const metricsInWords = (study, trial) =>
  study.objectives.map(({ metric }) => `${headingOf(study, metric)}: ${valueInWords(trial, metric)}`);

/** @param {Point} point */
function standingOf({ trial, kind }) {
  const how = kind === "measured so far" ? `measured so far: ${progressInWords(trial)}` : (STANDINGS[kind] ?? kind);
  if (kind === "expected" && trial.progress !== null) return `${progressInWords(trial)}, here as the model expects it`;
  return how + (trial.collapsed ? ", collapsed" : "");
}

/**
 * @param {TrialRow} trial
 * @param {string} metric
 */
function valueInWords(trial, metric) {
  const { values, errors } = knownOf(trial);
  const soFar = trial.progress === null ? "" : metricSoFar(trial.progress, metric);
  if (soFar) return soFar;
  if (values[metric] === undefined) return isOpen(trial) ? "not measured yet" : "not measured";
  return formatWithError(metric, values[metric], errors[metric]) + (trial.progress ? " as expected" : "");
}

/**
 * The picture in words, for those who do not see it.
 * @param {Point[]} points
 * @param {Axes} axes
 */
function spoken(points, { x, y }) {
  const [over, of] = [metricFormat(y.metric).label, metricFormat(x.metric).label.toLowerCase()];
  const measured = points.filter(isMeasured);
  const onFront = measured.filter(({ kind }) => kind === "front").length;
  const words = [
    `${over} over ${of}:`,
    `${formatCount(measured.length)} measured trials, ${formatCount(onFront)} on the front.`,
  ];
  const best = measured.toSorted((a, b) => (y.maximize ? b.y - a.y : a.y - b.y))[0];
  const underWay = points.filter(({ kind }) => kind === "measured so far").length;
  if (underWay) words.push(`${counted(underWay, "trial")} under way, measured so far.`);
  if (best) words.push(`Best: ${formatMetric(y.metric, best.y)} in trial ${best.trial.number}.`);
  return [...words, "The table below has the numbers; arrow keys go from point to point."].join(" ");
}
