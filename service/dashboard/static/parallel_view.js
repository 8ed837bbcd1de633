/** Parallel coordinates: a line for each measured trial through its parameters and objectives, narrowed by brushes. */

import { createChooser } from "./chooser.js";
import { make } from "./elements.js";
import { counted, describeTrial, formatCount, formatValue } from "./format.js";
import { dimensionsOf, drawnTrials, MOST_LINES } from "./parallel_axes.js";
import { createPlot } from "./plot.js";

/** @import {Colours} from "./chart_frame.js" */
/** @import {Dimension} from "./parallel_axes.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {TrialRow} from "./types.js" */
/** @import {Context, View} from "./understand.js" */

const NARROW_PX = 620;
const ROW_PX = 62;
const LETTER_PX = 6.5;
const LEFT_PX = 70;
const RIGHT_PX = 80;
/** Names are broken to the room between axes, which so much more or less of the page changes. */
const RESIZED_PX = 100;
/** From so many lines on, moving them takes longer than a person wants to wait. */
const CALM_FROM = 100;

/**
 * @param {HTMLElement} root
 * @param {Context} context
 * @returns {View}
 */
export function createParallelView(root, { nameOfStudy, narrow }) {
  const plot = createPlot(root, { name: "parallel coordinates", testId: "parallel", nameOfStudy, size: "tall", onChart: listen });
  /** @type {Dimension[]} */
  let dimensions = [];
  /** @type {TrialRow[]} */
  let trials = [];
  let all = 0;
  /** @type {Map<string, [number, number]>} */
  const intervals = new Map();
  const axis = createChooser("Narrow", "brush-axis", offerEnds);
  const low = createChooser("from", "brush-low", apply);
  const high = createChooser("to", "brush-high", apply);
  const clear = make("button", { type: "button", class: "quiet", "data-testid": "brush-clear" }, "Clear");
  clear.addEventListener("click", () => {
    intervals.clear();
    offerEnds();
    show();
  });
  const status = make("p", { class: "hint", role: "status", "data-testid": "brushed" });
  plot.controls.append(axis.element, low.element, high.element, clear);
  root.insertBefore(status, plot.controls.nextSibling);
  let isTelling = false;
  let content = "";

  const dimension = () => dimensions.find(({ id }) => id === axis.value()) ?? dimensions[0];

  /** The ends that the chosen axis can be narrowed to: every value that occurs, of many some. */
  function offerEnds() {
    const chosen = dimension();
    if (chosen === undefined) return;
    const stops = chosen.stops(trials);
    const choices = stops.map((value, position) => ({ value: String(value), text: chosen.write(value, position) }));
    const [from, to] = intervals.get(chosen.id) ?? [stops[0], stops.at(-1) ?? stops[0]];
    low.offer(choices);
    high.offer(choices);
    low.select.value = String(stops.findLast((stop) => stop <= from) ?? stops[0]);
    high.select.value = String(stops.find((stop) => stop >= to) ?? stops.at(-1));
  }

  function apply() {
    const ends = [Number(low.value()), Number(high.value())].sort((a, b) => a - b);
    intervals.set(dimension().id, [ends[0], ends[1]]);
    show();
  }

  /** Tell the library what is narrowed, then everybody. */
  function show() {
    isTelling = true;
    dimensions.forEach(({ id, isCategory }, position) => {
      const interval = intervals.get(id);
      const slack = isCategory ? 0.4 : 0;
      plot.library()?.dispatchAction({
        type: "axisAreaSelect",
        parallelAxisIndex: position,
        intervals: interval ? [[interval[0] - slack, interval[1] + slack]] : [],
      });
    });
    isTelling = false;
    say();
  }

  /** Also of a trial that no line is drawn for. */
  const isWithin = (/** @type {TrialRow} */ trial) =>
    dimensions.every(({ id, value }) => {
      const interval = intervals.get(id);
      if (interval === undefined) return true;
      const own = value(trial);
      return own !== null && own >= interval[0] && own <= interval[1];
    });

  function say() {
    const within = trials.filter(isWithin);
    clear.disabled = intervals.size === 0;
    status.textContent = intervals.size
      ? `${counted(within.length, "trial")} of ${formatCount(trials.length)} within; the plot of the front dims the others.`
      : "Drag along an axis, or choose its ends above, to narrow the trials.";
    narrow(intervals.size ? isWithin : null);
  }

  /** What the mouse has brushed, read from the axes. */
  function listen(/** @type {any} */ chart) {
    chart.on("axisareaselected", () => {
      if (isTelling) return;
      const models = chart.getModel().queryComponents({ mainType: "parallelAxis" });
      models.forEach((/** @type {any} */ model, /** @type {number} */ position) => {
        const [interval] = model.activeIntervals;
        const { id } = dimensions[position];
        if (interval) intervals.set(id, [Math.min(...interval), Math.max(...interval)]);
        else intervals.delete(id);
      });
      offerEnds();
      say();
    });
  }

  return {
    /** @param {StudyData} data */
    update(data) {
      const measured = data.trials.filter(({ state }) => state === "SUCCEEDED");
      if (!measured.length) return plot.empty("A line for each trial appears here once it is measured.");
      const drawn = drawnTrials(data, measured);
      const lines = drawn.map(({ id, on_front, finished_at }) => `${id} ${on_front} ${finished_at}`);
      const key = `${lines.join()} ${data.importance.observations} ${root.clientWidth > NARROW_PX} ${Math.round(root.clientWidth / RESIZED_PX)}`;
      // Most news of a study of thousands change none of the lines.
      if (key === content) return;
      content = key;
      all = measured.length;
      trials = drawn;
      dimensions = dimensionsOf(data, trials);
      axis.offer(dimensions.map(({ id, name }) => ({ value: id, text: name })));
      offerEnds();
      const isNarrow = root.clientWidth <= NARROW_PX;
      plot.picture.style.height = isNarrow ? `${dimensions.length * ROW_PX + 40}px` : "";
      plot.draw((colours) => option(dimensions, trials, colours, isNarrow ? 0 : root.clientWidth), {
        label: `Parallel coordinates of ${counted(trials.length, "trial")} over ${counted(dimensions.length, "axis", "axes")}.`,
        note: noteOf(trials.length, all),
        records: trials.map((trial) => recordOf(trial, dimensions)),
      });
      show();
    },
    close: () => plot.dispose(),
  };
}

/**
 * @param {number} shown
 * @param {number} all
 */
function noteOf(shown, all) {
  const words = "Thick lines are trials of the front; ↑ more is better, ↓ less is. A line passes over what its trial does not have.";
  return shown < all ? `${words} Drawn are the front and the best others, ${formatCount(MOST_LINES)} in all.` : words;
}

/**
 * @param {TrialRow} trial
 * @param {Dimension[]} dimensions
 */
const recordOf = (trial, dimensions) => ({
  trial: trial.number,
  trained: describeTrial(trial),
  ...Object.fromEntries(dimensions.map(({ name, raw }) => [name, raw(trial)])),
});

/**
 * @param {Dimension[]} dimensions
 * @param {TrialRow[]} trials
 * @param {Colours} colours
 * @param {number} width in pixels; 0 where the axes lie one below the other
 */
function option(dimensions, trials, colours, width) {
  const isNarrow = width === 0;
  const between = (width - LEFT_PX - RIGHT_PX) / (dimensions.length - 1);
  const rows = (/** @type {boolean} */ onFront) =>
    trials
      .filter((trial) => trial.on_front === onFront)
      .map((trial) => dimensions.map(({ value }) => value(trial) ?? "-"));
  return {
    animation: trials.length < CALM_FROM,
    parallel: isNarrow
      ? { layout: "vertical", left: 20, right: 30, top: 30, bottom: 30 }
      : { left: LEFT_PX, right: RIGHT_PX, top: 68, bottom: 30 },
    parallelAxis: dimensions.map((dimension, position) => axisOf(dimension, position, colours, isNarrow ? 0 : between)),
    series: [
      lines("others", rows(false), { color: colours.fade, width: 1, opacity: 0.45 }),
      lines("front", rows(true), { color: colours.front, width: 2.5, opacity: 0.9 }),
    ],
  };
}

/**
 * @param {string} id
 * @param {(number | string)[][]} data
 * @param {object} lineStyle
 */
const lines = (id, data, lineStyle) => ({
  type: "parallel",
  id,
  data,
  lineStyle,
  inactiveOpacity: 0.04,
  activeOpacity: 1,
  progressive: 200,
  silent: true,
});

/**
 * A name in as many lines as it needs, broken between words: the library only cuts it off.
 * @param {string} name
 * @param {number} letters of a line
 */
function inLines(name, letters) {
  const [first, ...words] = name.split(" ");
  let line = first;
  const lines = [];
  for (const word of words) {
    if (line.length + 1 + word.length <= letters) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line].join("\n");
}

/**
 * @param {Dimension} dimension
 * @param {number} dim
 * @param {Colours} colours
 * @param {number} between this axis and the next, in pixels; 0 where they lie one below the other
 */
function axisOf({ id, name, isCategory, isLog, isWhole, tick, categories, better }, dim, colours, between) {
  const isNarrow = between === 0;
  return {
    id,
    dim,
    name: isNarrow ? `${name}${better}` : inLines(`${name}${better}`, between / LETTER_PX - 1),
    nameLocation: isNarrow ? "start" : "end",
    nameGap: isNarrow ? 0 : 14,
    nameTextStyle: isNarrow
      ? { color: colours.text, fontSize: 12, align: "left", verticalAlign: "bottom", padding: [0, 0, 6, 0] }
      : { color: colours.text, fontSize: 12, lineHeight: 15, align: "center" },
    nameTruncate: { maxWidth: isNarrow ? 260 : 1.5 * between },
    ...(isCategory
      ? { type: "category", data: categories.map(formatValue) }
      : isLog
        ? { type: "log" }
        : { type: "value", scale: true, minInterval: isWhole ? 1 : 0 }),
    axisLabel: {
      color: colours.muted,
      // Lines pass behind the numbers.
      textBorderColor: colours.surface,
      textBorderWidth: 3,
      hideOverlap: true,
      ...(isCategory ? {} : { formatter: tick }),
    },
    axisLine: { lineStyle: { color: colours.muted } },
    axisTick: { lineStyle: { color: colours.muted } },
    areaSelectStyle: { width: 22, borderColor: colours.front, color: colours.front, opacity: 0.25 },
    splitLine: { show: false },
  };
}
