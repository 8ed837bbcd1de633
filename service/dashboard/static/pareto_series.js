/** The Pareto plot's series: a shape for each standing, so that none is told by colour alone. Reads nothing, hears nothing. */

import { errorBars } from "./error_bars.js";
import { comparesObjectives, isMeasured, staircase } from "./pareto_points.js";
import { shadeAt } from "./shades.js";

/** @import {Axes} from "./axes.js" */
/** @import {Colours} from "./chart_frame.js" */
/** @import {Kind, Point} from "./pareto_points.js" */
/** @import {Shade} from "./shades.js" */

/**
 * @typedef {{points: Point[], believed: Point[], former: Point[], shades: Shade[], selectedId: string | null,
 *   recommendedId: string | null, defaultId: string | null}} Picture
 */
/** @typedef {{id: string, name: string, points: Point[], style: any}} Group points that look alike */

const HEAD_ONLY = "Head only";
const COLLAPSED = "Collapsed";
const RECOMMENDED = "Recommended";
const MANY = 1000;
const STARTING_POINTS = "starting_point";
const CROSS = "path://M0,0L8,8M8,0L0,8";
const PLUS = "path://M4,0L4,8M0,4L8,4";
const DOWN = "path://M0,0L8,0L4,8Z";
const ONWARD = "path://M0,0L8,4L0,8Z";
const DIM = 0.18;

/**
 * @param {Picture} picture
 * @param {Axes} axes
 * @param {Colours} colours
 * @returns {{names: string[], shadeNames: string[], series: any[]}} with names for the two lines of the legend
 */
export function seriesOf(picture, axes, colours) {
  const { points, shades, believed, former } = picture;
  const isCrowd = points.length > MANY;
  const groups = groupsOf(points, axes, colours);
  const drawn = groups.flatMap((group) => shaded(group, shades, isCrowd));
  const onFront = points.filter(({ kind, isDim }) => kind === "front" && !isDim);
  const others = points.filter((point) => !point.isDim && (point.kind === "measured so far" || (point.kind !== "front" && isMeasured(point))));
  return {
    names: [
      ...ALWAYS.map((wanted) => groups.find(({ id }) => id === wanted)?.name ?? wanted),
      ...groups.filter(({ points: own, id }) => own.length && !ALWAYS.includes(id)).map(({ name }) => name),
      ...(believed.length ? [BELIEVED] : []),
      ...(former.length ? [FORMER] : []),
    ],
    shadeNames: shades.map(({ name }) => name),
    series: [
      ...shades.map(legendOnly),
      ...drawn,
      // Thousands of bars would hide the points.
      errorBars("other errors", isCrowd ? [] : others, colours.fade),
      errorBars("front errors", onFront, colours.front),
      line("staircase", staircase([...points], axes), axes, { color: colours.front, width: 2 }),
      ...beliefs(believed, axes, colours),
      ...formerFront(former, axes, colours),
      ring(RECOMMENDED, picture.recommendedId, points, 18, "bottom", colours),
      ring("Default", picture.defaultId, points, 21, "top", colours),
      selection(picture, colours),
    ],
  };
}

const BELIEVED = "Believed front";
const FORMER = "Former front";
/** First in the legend, before there is one of them. */
const ALWAYS = ["On the front", "Dominated"];

/**
 * Every point belongs to one group.
 * @param {Point[]} points
 * @param {Axes} axes
 * @param {Colours} colours
 * @returns {Group[]}
 */
function groupsOf(points, axes, colours) {
  const isCrowd = points.length > MANY;
  const small = isCrowd ? 5 : 9;
  const collapsed = points.filter(({ trial }) => trial.collapsed);
  const heads = points.filter((point) => point.trial.is_head_only && !point.trial.collapsed && isMeasured(point));
  const set = new Set([...collapsed, ...heads]);
  const rest = points.filter((point) => !set.has(point));
  const isStart = (/** @type {Point} */ { trial, kind }) =>
    trial.generated_by === STARTING_POINTS && (kind === "dominated" || kind === "beyond limits");
  const of = (/** @type {Kind} */ kind) => rest.filter((point) => point.kind === kind && !isStart(point));
  const filled = { color: colours.fade };
  const hollow = (/** @type {string} */ colour) => ({ color: "transparent", borderColor: colour, borderWidth: 1.5 });
  const large = { large: isCrowd, largeThreshold: MANY, animation: !isCrowd };
  const plain = [
    group("Dominated", of("dominated"), { symbol: "circle", symbolSize: small, itemStyle: filled, ...large }),
    group("Beyond a limit", of("beyond limits"), {
      symbol: "triangle",
      symbolSize: small,
      itemStyle: hollow(colours.fade),
      ...large,
    }),
    group("Stopped early", of("stopped early"), { symbol: DOWN, symbolSize: small, itemStyle: filled, ...large }),
    group("Starting point", rest.filter(isStart), { symbol: "rect", symbolSize: 10, itemStyle: hollow(colours.text) }),
    group("Under way, measured so far", of("measured so far"), {
      symbol: ONWARD,
      symbolSize: 11,
      z: 4,
      itemStyle: hollow(colours.text),
    }),
    group("Only expected so far", of("expected"), {
      symbol: "circle",
      symbolSize: 9,
      itemStyle: { ...hollow(colours.muted), borderType: "dashed" },
    }),
    group("Infeasible", of("infeasible"), {
      symbol: PLUS,
      symbolSize: 10,
      itemStyle: { ...hollow(colours.collapsed), borderWidth: 2.5 },
    }),
    group("On the front", of("front"), {
      symbol: "circle",
      symbolSize: 12,
      itemStyle: { color: colours.front },
      z: 4,
    }),
    group(HEAD_ONLY, heads, {
      symbol: "diamond",
      symbolSize: 16,
      z: 5,
      itemStyle: { color: colours.probe, borderColor: colours.surface, borderWidth: 1 },
    }),
    group(COLLAPSED, collapsed, {
      symbol: CROSS,
      symbolSize: 12,
      z: 5,
      itemStyle: { color: "transparent", borderColor: colours.collapsed, borderWidth: 3 },
    }),
  ];
  return comparesObjectives(axes) ? plain : plain.map((one) => ({ ...one, name: OTHER_NAMES[one.id] ?? one.name }));
}

/** Along an axis that is no objective there is no front to be on. @type {Object<string, string>} */
const OTHER_NAMES = { "On the front": "Best", Dominated: "Other" };

/**
 * @param {string} name
 * @param {Point[]} points
 * @param {any} style
 * @returns {Group}
 */
const group = (name, points, style) => ({ id: name, name, points, style });

/**
 * A group as series: one for what is within the bounds, one for what is not, and one for each shade.
 * @param {Group} group
 * @param {Shade[]} shades
 * @param {boolean} isCrowd
 */
function shaded({ id, name, points, style }, shades, isCrowd) {
  const lit = points.filter(({ isDim }) => !isDim);
  const dim = points.filter(({ isDim }) => isDim);
  const steps = lit.map(({ shade }) => shadeAt(shades, shade));
  const faded = { ...style, itemStyle: { ...style.itemStyle, opacity: DIM } };
  return [
    scatter(id, name, lit.filter((_, position) => steps[position] < 0), style, isCrowd),
    ...(dim.length ? [scatter(`${id}, outside`, name, dim, faded, isCrowd)] : []),
    ...shades.flatMap(({ colour }, step) => {
      const own = lit.filter((_, position) => steps[position] === step);
      return own.length ? [scatter(`${id}, shade ${step}`, name, own, inColour(style, colour), isCrowd)] : [];
    }),
  ];
}

/**
 * The same shape, filled or drawn in another colour.
 * @param {any} style
 * @param {string} colour
 */
function inColour(style, colour) {
  const isHollow = style.itemStyle.color === "transparent";
  const itemStyle = isHollow ? { ...style.itemStyle, borderColor: colour } : { ...style.itemStyle, color: colour };
  return { ...style, itemStyle };
}

/**
 * @param {string} id
 * @param {string} name
 * @param {Point[]} points
 * @param {object} style
 * @param {boolean} isCrowd
 */
const scatter = (id, name, points, style, isCrowd = false) => ({
  type: "scatter",
  id,
  name,
  ...style,
  points,
  data: points.map(({ trial, x, y }) => (isCrowd ? [x, y] : { id: trial.id, value: [x, y] })),
});

/** @param {Shade} shade an empty series, for its line in the legend */
const legendOnly = ({ name, colour }) => ({
  type: "scatter",
  id: `shade ${name}`,
  name,
  symbol: "roundRect",
  itemStyle: { color: colour },
  data: [],
});

/**
 * @param {string} id
 * @param {Point[]} corners
 * @param {Axes} axes
 * @param {object} lineStyle
 */
const line = (id, corners, { x }, lineStyle) => ({
  type: "line",
  id,
  // Between two corners, what the cheaper one reaches is the best that can be had.
  step: x.maximize ? "start" : "end",
  symbol: "none",
  silent: true,
  z: 2,
  lineStyle,
  data: corners.map((point) => [point.x, point.y]),
});

/**
 * @param {Point[]} points
 * @param {Axes} axes
 * @param {Colours} colours
 */
function beliefs(points, axes, colours) {
  if (!points.length) return [];
  const style = {
    symbol: "circle",
    symbolSize: 11,
    z: 6,
    itemStyle: { color: colours.surface, borderColor: colours.probe, borderWidth: 2 },
  };
  return [
    line("believed staircase", staircase([...points], axes), axes, { color: colours.probe, width: 2, type: "dashed" }),
    errorBars("believed errors", points, colours.probe),
    scatter(BELIEVED, BELIEVED, points, style),
  ];
}

/**
 * @param {Point[]} points
 * @param {Axes} axes
 * @param {Colours} colours
 */
function formerFront(points, axes, colours) {
  if (!points.length) return [];
  const style = {
    symbol: "diamond",
    symbolSize: 15,
    z: 6,
    itemStyle: { color: "transparent", borderColor: colours.text, borderWidth: 2 },
  };
  return [
    line("former staircase", staircase([...points], axes), axes, { color: colours.text, width: 2, type: "dotted" }),
    scatter(FORMER, FORMER, points, style),
  ];
}

/**
 * A ring with a word, around a point that has its own sign already.
 * @param {string} name
 * @param {string | null} trialId
 * @param {Point[]} points
 * @param {number} symbolSize
 * @param {"bottom" | "top"} position
 * @param {Colours} colours
 */
function ring(name, trialId, points, symbolSize, position, colours) {
  const own = points.filter(({ trial, kind }) => trial.id === trialId && kind !== "expected" && kind !== "measured so far");
  const itemStyle = { color: "transparent", borderColor: colours.front, borderWidth: 2, borderType: "dotted" };
  return {
    ...scatter(name, name, own, { symbol: "circle", symbolSize, silent: true, z: 3, itemStyle }),
    label: { show: true, formatter: name, position, color: colours.muted },
  };
}

/**
 * @param {Picture} picture
 * @param {Colours} colours
 */
function selection({ points, selectedId }, colours) {
  const itemStyle = { color: "transparent", borderColor: colours.text, borderWidth: 2 };
  const style = { symbol: "circle", symbolSize: 24, silent: true, z: 3, itemStyle };
  return scatter("Selected", "Selected", points.filter(({ trial }) => trial.id === selectedId), style);
}
