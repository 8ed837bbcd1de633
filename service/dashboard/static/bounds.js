/** Bounds on the objectives of a front: what keeps them, and what each of them costs. Pure; knows no page. */

/** @import {Objective, ParetoPoint} from "./types.js" */

/** @typedef {Map<string, number>} Bounds the worst value that is still good enough, by metric */
/** @typedef {{metric: string, amount: number}} Cost how much better that metric's best would be without a bound */

/** @param {Objective} objective */
const signOf = ({ direction }) => (direction === "maximize" ? 1 : -1);

/**
 * What the front has in an objective, each value once, from the worst on.
 * @param {ParetoPoint[]} points
 * @param {Objective} objective
 */
export function valuesOf(points, objective) {
  const values = new Set(points.map(({ metrics }) => metrics[objective.metric]));
  return [...values].sort((a, b) => signOf(objective) * (a - b));
}

/**
 * @template {{metrics: Object<string, number>}} Measured
 * @param {Measured[]} points
 * @param {Objective[]} objectives
 * @param {Bounds} bounds
 */
export const keeping = (points, objectives, bounds) =>
  points.filter(({ metrics }) =>
    objectives.every((objective) => {
      const bound = bounds.get(objective.metric);
      return bound === undefined || signOf(objective) * (metrics[objective.metric] - bound) >= 0;
    }),
  );

/**
 * What a bound takes from the best of every other objective, the other bounds kept.
 * @param {ParetoPoint[]} points
 * @param {Objective[]} objectives
 * @param {Bounds} bounds
 * @param {string} metric of the bound
 * @returns {Cost[]} nothing where no point is left to compare
 */
export function costsOf(points, objectives, bounds, metric) {
  const others = new Map([...bounds].filter(([name]) => name !== metric));
  const kept = keeping(points, objectives, bounds);
  const without = keeping(points, objectives, others);
  if (!kept.length) return [];
  return objectives
    .filter((objective) => objective.metric !== metric)
    .map((objective) => ({ metric: objective.metric, amount: Math.abs(best(without, objective) - best(kept, objective)) }))
    .filter(({ amount }) => amount > 0);
}

/**
 * @param {ParetoPoint[]} points
 * @param {Objective} objective
 */
const best = (points, objective) => valuesOf(points, objective).at(-1) ?? NaN;
