/** The course of a number as a line without axes, in the height of a line of text. */

import { makeDrawn } from "./elements.js";

const WIDTH = 88;
const HEIGHT = 22;

/**
 * Draw it; nothing where there are fewer than two points. The number itself stands beside it as text.
 * @param {(number | null)[]} trace
 * @returns {SVGSVGElement | null}
 */
export function sparkLine(trace) {
  const known = trace.flatMap((value, place) => (value === null ? [] : [{ place, value }]));
  if (known.length < 2) return null;
  const values = known.map(({ value }) => value);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const span = most - least || 1;
  const points = known.map(({ place, value }) => {
    const x = (place / (trace.length - 1)) * (WIDTH - 4) + 2;
    const y = HEIGHT - 3 - ((value - least) / span) * (HEIGHT - 6);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  const frame = { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" };
  return makeDrawn("svg", frame, makeDrawn("polyline", { points: points.join(" ") }));
}
