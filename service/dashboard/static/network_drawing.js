/** What a trial keeps of its backbone, drawn: a row for each layer, a bar each for heads and units. */

import { makeDrawn } from "./elements.js";

/** @import {Architecture, BackboneShape, Study, Trial} from "./types.js" */

const ROW = 14;
const BARS = [
  { name: "attention", at: 28, wide: 64 },
  { name: "feed-forward", at: 100, wide: 172 },
];
const TOP = 18;

/**
 * The shares of heads and units that stay of each layer, the lowest first; which layers go by importance is not
 * known here, so the lowest rows stand for them.
 * @param {Architecture} architecture
 * @param {BackboneShape} shape of the whole backbone
 * @returns {{heads: number, units: number}[]}
 */
function rowsOf(architecture, shape) {
  const { keep_layers: kept, which, ffn_width: width, ffn_width_groups: groups, heads } = architecture;
  const size = shape.weights?.heads?.size;
  const first = which === "last" ? shape.layers - kept : 0;
  return Array.from({ length: shape.layers }, (_, layer) => {
    const place = layer - first;
    if (place < 0 || place >= kept) return { heads: 0, units: 0 };
    const own = groups ? groups[Math.floor((place * groups.length) / kept)] : width;
    return {
      heads: heads && size ? (heads * size) / shape.query_size : 1,
      units: (own ?? shape.ffn_size) / shape.ffn_size,
    };
  });
}

/**
 * The drawing, the highest layer on top; null for a trial that keeps everything.
 * @param {Study} study
 * @param {Trial} trial
 */
export function drawingOf({ backbone_shape: shape }, { configuration }) {
  const architecture = configuration?.architecture;
  if (!architecture || !shape) return null;
  const rows = rowsOf(architecture, shape).reverse();
  const words = `${architecture.keep_layers} of ${shape.layers} layers stay`;
  return makeDrawn(
    "svg",
    { viewBox: `0 0 280 ${TOP + ROW * rows.length}`, role: "img", class: "network", "aria-label": words },
    ...BARS.map(({ name, at }) => makeDrawn("text", { x: at, y: 11 }, name)),
    ...rows.flatMap(({ heads, units }, row) => [heads, units].flatMap((share, bar) => barsOf(share, BARS[bar], TOP + ROW * row))),
  );
}

/**
 * @param {number} share
 * @param {{at: number, wide: number}} place
 * @param {number} y
 */
function barsOf(share, { at, wide }, y) {
  const bar = (/** @type {string} */ kind, /** @type {number} */ width) => makeDrawn("rect", { class: kind, x: at, y, width, height: ROW - 4 });
  return share ? [bar("kept", share * wide), bar("whole", wide)] : [bar("dropped", wide)];
}
