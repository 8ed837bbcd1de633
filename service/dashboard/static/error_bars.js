/** Thin bars of one standard error around points, on either axis. Knows no trials. */

/** @typedef {{x: number, y: number, xError: number, yError: number}} Measured */

const CAP = 3;

/**
 * A series of bars. Both ends of a bar count when an axis looks for its extent.
 * @param {string} id
 * @param {Measured[]} points
 * @param {string} colour
 */
export const errorBars = (id, points, colour) => ({
  type: "custom",
  id,
  silent: true,
  clip: true,
  z: 2,
  encode: { x: [0, 2, 3], y: [1, 4, 5], tooltip: [] },
  data: points.filter(({ xError, yError }) => xError || yError).map(barOf),
  renderItem: (/** @type {any} */ _, /** @type {any} */ api) => drawn(api, colour),
});

/** @param {Measured} point */
const barOf = ({ x, y, xError, yError }) => [
  x,
  y,
  // A logarithmic axis has no place for what is not above zero; half the value is still on it.
  x > 0 ? Math.max(x - xError, x / 2) : x - xError,
  x + xError,
  y - yError,
  y + yError,
];

/**
 * @param {any} api
 * @param {string} colour
 */
function drawn(api, colour) {
  const [x, y, left, right, low, high] = [0, 1, 2, 3, 4, 5].map((dimension) => api.value(dimension));
  const place = (/** @type {number} */ across, /** @type {number} */ up) => api.coord([across, up]);
  const bars = [];
  if (right > x) bars.push(bar(place(left, y), place(right, y), [0, CAP], colour));
  if (high > y) bars.push(bar(place(x, low), place(x, high), [CAP, 0], colour));
  return { type: "group", children: bars.flat() };
}

/**
 * A line with a cap across each of its ends.
 * @param {number[]} from
 * @param {number[]} to
 * @param {number[]} across
 * @param {string} colour
 */
function bar(from, to, [dx, dy], colour) {
  const line = (/** @type {number[]} */ [x1, y1], /** @type {number[]} */ [x2, y2]) => ({
    type: "line",
    shape: { x1, y1, x2, y2 },
    style: { stroke: colour, lineWidth: 1 },
  });
  const cap = (/** @type {number[]} */ [x, y]) => line([x - dx, y - dy], [x + dx, y + dy]);
  return [line(from, to), cap(from), cap(to)];
}
