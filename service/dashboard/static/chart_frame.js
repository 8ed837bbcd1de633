/** What both charts share: size, colours that follow light and dark, calm motion. Knows nothing of studies. */

import * as echarts from "./vendor/echarts.esm.min.mjs";
import { make } from "./elements.js";

/**
 * @typedef {{text: string, muted: string, grid: string, surface: string, front: string, probe: string,
 *   fade: string, collapsed: string, green: string, purple: string}} Colours
 */

const dark = matchMedia("(prefers-color-scheme: dark)");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Whether the person wants dark pages. */
export const isDark = () => dark.matches;

/** What goes from the picture once it is not described any more. */
const replaceMerge = ["series", "legend", "parallelAxis", "visualMap", "xAxis", "yAxis"];

const LETTER_PX = 6.7;
const SIGN_PX = 36;

/**
 * How many lines a legend takes: the library tells only once it has drawn it.
 * @param {string[]} names
 * @param {number} width in pixels
 */
export function legendLines(names, width) {
  let lines = 1;
  let used = 0;
  for (const name of names) {
    const needed = name.length * LETTER_PX + SIGN_PX;
    if (used > 0 && used + needed > width) {
      lines += 1;
      used = 0;
    }
    used += needed;
  }
  return lines;
}

/**
 * Open a chart on an element that has a size.
 * @param {HTMLElement} element
 */
export function createChart(element) {
  const chart = echarts.init(element, null, { renderer: "canvas" });
  /** @type {((colours: Colours) => object) | null} */
  let describe = null;
  const draw = () => {
    if (describe !== null) chart.setOption({ ...base(), ...describe(colours()) }, { replaceMerge });
  };
  const sizes = new ResizeObserver(() => chart.resize());
  sizes.observe(element);
  dark.addEventListener("change", draw);
  return {
    chart,
    /** @param {(colours: Colours) => object} describeChart */
    draw(describeChart) {
      describe = describeChart;
      draw();
    },
    picture: {
      /** @returns {Promise<Blob>} */
      png: () =>
        new Promise((resolve) => {
          const canvas = chart.getRenderedCanvas({ pixelRatio: 2, backgroundColor: colours().surface });
          canvas.toBlob(resolve, "image/png");
        }),
      svg: () => asSvg(chart, describe),
    },
    dispose() {
      dark.removeEventListener("change", draw);
      sizes.disconnect();
      chart.dispose();
    },
  };
}

/**
 * Draw a chart once more, as it stands, with vectors.
 * @param {any} chart
 * @param {((colours: Colours) => object) | null} describe
 * @returns {string}
 */
function asSvg(chart, describe) {
  const size = { width: chart.getWidth(), height: chart.getHeight() };
  const drawn = echarts.init(null, null, { renderer: "svg", ssr: true, ...size });
  const backgroundColor = colours().surface;
  drawn.setOption({ ...base(), ...describe?.(colours()), animation: false, backgroundColor });
  const text = drawn.renderToSVGString();
  drawn.dispose();
  return text;
}

/**
 * A tooltip as an element: text stays text.
 * @param {string} title
 * @param {string[]} lines
 * @param {string} [remark]
 */
export function tooltipElement(title, lines, remark = "") {
  const rows = lines.map((line) => make("p", {}, line));
  if (remark) rows.push(make("p", { class: "remark" }, remark));
  return make("div", { class: "tooltip" }, make("strong", {}, title), ...rows);
}

/**
 * @param {string} name
 * @param {Colours} colours
 */
export const axisStyle = (name, colours) => ({
  name,
  nameLocation: "middle",
  nameTextStyle: { color: colours.muted, fontSize: 12 },
  axisLabel: { color: colours.muted, hideOverlap: true },
  axisLine: { show: true, lineStyle: { color: colours.grid } },
  axisTick: { show: false },
  splitLine: { lineStyle: { color: colours.grid } },
  minorSplitLine: { show: false },
});

/**
 * A linear axis around its values. Left alone, the library gives a single value an axis as long as the
 * value; from round number to round number, it reads like the axis of the points to come.
 * @typedef {{min: number, max: number}} Extent
 */
export const fitted = {
  scale: true,
  min: (/** @type {Extent} */ { min, max }) => (min === max ? roundBelow(min) : null),
  max: (/** @type {Extent} */ { min, max }) => (min === max ? written(roundBelow(min) + magnitude(min)) : null),
};

/** A logarithmic axis from decade to decade, and at least one of them. */
export const decades = {
  min: (/** @type {Extent} */ { min }) => 10 ** Math.floor(Math.log10(min)),
  max: (/** @type {Extent} */ { max }) => 10 ** (Math.floor(Math.log10(max)) + 1),
};

/** @param {number} value */
const magnitude = (value) => (value === 0 ? 1 : 10 ** Math.floor(Math.log10(Math.abs(value))));

/** @param {number} value */
const roundBelow = (value) => written(Math.floor(value / magnitude(value)) * magnitude(value));

/**
 * 3 times 0.1 is 0.30000000000000004, and would stand so at its tick.
 * @param {number} value
 */
const written = (value) => Number(value.toPrecision(12));

/** @param {Colours} colours */
export const tooltipStyle = (colours) => ({
  confine: true,
  backgroundColor: colours.surface,
  borderColor: colours.grid,
  textStyle: { color: colours.text, fontSize: 13 },
  transitionDuration: 0,
});

function base() {
  return {
    animation: !calm.matches,
    animationDuration: 250,
    animationDurationUpdate: 250,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
  };
}

/** @returns {Colours} */
function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: read("text"),
    muted: read("muted"),
    grid: read("line"),
    surface: read("surface"),
    front: read("front"),
    probe: read("probe"),
    fade: read("fade"),
    collapsed: read("red"),
    green: read("green"),
    purple: read("purple"),
  };
}

/**
 * The scale above a map that shows numbers as colours.
 * @param {Colours} colours
 */
export const scaleStyle = (colours) => ({
  type: "continuous",
  orient: "horizontal",
  left: 0,
  top: 0,
  itemWidth: 14,
  itemHeight: 160,
  textStyle: { color: colours.text },
});
