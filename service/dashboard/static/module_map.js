/** A map of layers by modules: sizes in one trial, or shares of a front. Knows no study. */

import { axisStyle, isDark, scaleStyle, tooltipElement, tooltipStyle } from "./chart_frame.js";
import { scaleColours } from "./shades.js";

/** @import {Colours} from "./chart_frame.js" */
/** @import {ModuleMaps} from "./types.js" */

/** @typedef {{layer: number, module: number, value: number | null, text: string}} Cell */

/**
 * The cells of one trial.
 * @param {ModuleMaps} maps
 * @param {number} position of the trial
 * @returns {Cell[]}
 */
export const sizesOf = ({ sizes }, position) =>
  sizes[position].flatMap((row, layer) =>
    row.map((size, module) => ({ layer, module, value: size, text: size === null ? "no such layer" : size ? `size ${size}` : "not here" })),
  );

/**
 * In how many of the trials, of those that have the layer, it carries the module.
 * @param {ModuleMaps} maps
 * @returns {Cell[]}
 */
export function sharesOf({ layers, modules, sizes }) {
  return Array.from({ length: layers }, (_, layer) =>
    modules.map((_, module) => {
      const own = sizes.map((trial) => trial[layer][module]).filter((size) => size !== null);
      const carrying = own.filter((size) => size > 0).length;
      const value = own.length ? carrying / own.length : null;
      return { layer, module, value, text: `in ${carrying} of ${own.length}` };
    }),
  ).flat();
}

/**
 * The layer nearest to the text stands at the bottom, as in drawings of networks.
 * @param {ModuleMaps} maps
 * @param {Cell[]} cells
 * @param {Colours} colours
 * @param {{asShare: boolean, small?: boolean}} look
 */
export function mapOfModules({ layers, modules }, cells, colours, { asShare, small = false }) {
  const most = Math.max(1, ...cells.map(({ value }) => value ?? 0));
  const shown = cells.filter(({ value }) => value !== null);
  return {
    grid: { left: small ? 40 : 64, right: 16, top: small ? 10 : 44, bottom: small ? 66 : 74 },
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "item",
      formatter: (/** @type {any} */ { dataIndex }) => {
        const { layer, module, text } = shown[dataIndex];
        return tooltipElement(`${modules[module]}, layer ${layer}`, [text]);
      },
    },
    xAxis: {
      ...axisStyle("", colours),
      type: "category",
      data: modules,
      axisLabel: { color: colours.muted, interval: 0, rotate: modules.length > 3 || small ? 30 : 0, width: 90, overflow: "truncate" },
      splitLine: { show: false },
    },
    yAxis: {
      ...axisStyle(small ? "" : "layer", colours),
      nameGap: 34,
      type: "category",
      data: Array.from({ length: layers }, (_, layer) => String(layer)),
      splitLine: { show: false },
    },
    visualMap: {
      ...scaleStyle(colours),
      show: !small,
      min: 0,
      max: asShare ? 1 : most,
      text: asShare ? ["all of the front", "none"] : [String(most), "not here"],
      inRange: { color: [colours.surface, ...(isDark() ? scaleColours(true) : [...scaleColours(false)].reverse())] },
    },
    series: [
      {
        type: "heatmap",
        id: "modules",
        data: shown.map(({ layer, module, value }) => [module, layer, value]),
        label: { show: true, fontSize: 11, formatter: (/** @type {any} */ { data }) => written(data[2], asShare) },
        itemStyle: { borderColor: colours.grid, borderWidth: 1 },
        progressive: 0,
      },
    ],
  };
}

/**
 * @param {number} value
 * @param {boolean} asShare
 */
function written(value, asShare) {
  if (!value) return "";
  return asShare ? `${Math.round(100 * value)} %` : String(value);
}

/**
 * @param {ModuleMaps} maps
 * @param {Cell[]} cells
 * @param {string} name
 */
export const recordsOfMap = ({ modules }, cells, name) =>
  cells.map(({ layer, module, value }) => ({ layer, module: modules[module], [name]: value }));
