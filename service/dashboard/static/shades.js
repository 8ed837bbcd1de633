/** A third metric as colour: a few steps of a scale that people with any colour vision can order. Knows no trials. */

/** @typedef {{from: number, to: number, colour: string, name: string}} Shade a step of the scale, without `from` itself */

/** Steps of cividis, from low to high: they differ in lightness first of all. */
const LIGHT = ["#00204d", "#31446b", "#666970", "#958f78", "#cab969"];
const DARK = ["#5a7fc0", "#8093a8", "#a5a596", "#cdbf7c", "#ffea46"];

/**
 * Cut the values into steps that hold about as many of them each.
 * @param {number[]} values
 * @param {(value: number) => string} write
 * @param {boolean} isDark whether the page is
 * @returns {Shade[]} fewer where values repeat, none without values
 */
export function shadesOf(values, write, isDark) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (!sorted.length) return [];
  const colours = isDark ? DARK : LIGHT;
  const ends = colours.map((_, step) => sorted[Math.ceil(((step + 1) * sorted.length) / colours.length) - 1]);
  const tops = [...new Set(ends)];
  return tops.map((to, step) => {
    const from = step ? tops[step - 1] : -Infinity;
    const colour = colours[Math.round((step * (colours.length - 1)) / Math.max(1, tops.length - 1))];
    const lowest = sorted.find((value) => value > from) ?? to;
    return { from, to, colour, name: lowest === to ? write(to) : `${write(lowest)} to ${write(to)}` };
  });
}

/**
 * @param {Shade[]} shades
 * @param {number} value
 */
export const shadeAt = (shades, value) => shades.findIndex(({ from, to }) => value > from && value <= to);

/** @param {boolean} isDark */
export const scaleColours = (isDark) => (isDark ? DARK : LIGHT);
