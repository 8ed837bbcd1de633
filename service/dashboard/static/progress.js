/** How far a trial has come that has not ended, and what it has measured so far, in words. Pure; knows no page. */

import { formatMetric } from "./format.js";

/** @import {Progress, TrialRow} from "./types.js" */

/**
 * Seeds that have ended, or the last step of the first one; nothing before anything is measured.
 * @param {TrialRow} trial
 */
export function progressInWords({ progress }) {
  if (progress === null) return "";
  const { seeds, seeds_done, step, steps } = progress;
  if (seeds_done > 0) return `${seeds_done} of ${seeds} seeds`;
  const steps_done = steps === null ? `step ${step}` : `step ${step} of ${steps}`;
  return seeds > 1 ? `${steps_done}, first of ${seeds} seeds` : steps_done;
}

/**
 * A metric of a trial that has not ended. What its parameters alone decide is final; all else is called what it is.
 * @param {Progress} progress
 * @param {string} metric
 */
export function metricSoFar({ metrics, exact }, metric) {
  if (metric in exact) return formatMetric(metric, exact[metric]);
  return metric in metrics ? `${formatMetric(metric, metrics[metric])} so far` : "";
}
