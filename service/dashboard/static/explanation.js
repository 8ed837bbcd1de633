/** Why a trial was proposed, in words: what was expected of it and what came of that. */

import { formatHypervolume, formatMetric, shortName } from "./format.js";
import { percent } from "./learning_curve.js";

/** @import {Explanation, Study, Trial} from "./types.js" */

const MOST_HYPERVOLUME_OBJECTIVES = 4;
const NEXT_TO_NOTHING = 1e-6;

/**
 * The sentences, none for a trial that no model proposed.
 * @param {Study} study
 * @param {Trial} trial
 * @returns {string[]}
 */
export function explanationOf(study, trial) {
  const { explanation } = trial;
  if (!explanation) return [];
  const chance = explanation.front_probability;
  return [
    ...Object.keys(explanation.predictions).map((metric) => expectation(study, trial, explanation, metric)),
    chance === null ? "" : `Before it ran: ${percent(chance)} to join the front.`,
    acquisition(study, explanation),
  ].filter(Boolean);
}

/**
 * Expected beside measured; nothing for what was known exactly.
 * @param {Study} study
 * @param {Trial} trial
 * @param {Explanation} explanation
 * @param {string} metric
 */
function expectation(study, { state, metrics }, { predictions }, metric) {
  const { mean, standard_deviation } = predictions[metric];
  if (!standard_deviation) return "";
  const write = (/** @type {number} */ value) => formatMetric(metric, value);
  const expected = `Expected ${shortName(study, metric)} ${write(mean)} ± ${write(standard_deviation)}`;
  if (state !== "SUCCEEDED" || metrics[metric] === undefined) return `${expected}.`;
  const away = (metrics[metric] - mean) / standard_deviation;
  const beyond = `${Math.abs(away).toFixed(1)} deviations ${away > 0 ? "above" : "below"}`;
  const side = Math.abs(away) <= 1 ? "within that" : beyond;
  return `${expected}, measured ${write(metrics[metric])}: ${side}.`;
}

/**
 * The acquisition value is the logarithm of an expected gain, but for many objectives that of something else.
 * @param {Study} study
 * @param {Explanation} explanation
 */
function acquisition({ objectives }, { acquisition_value }) {
  if (acquisition_value === null || objectives.length > MOST_HYPERVOLUME_OBJECTIVES) return "";
  const gain = Math.exp(acquisition_value);
  const amount = gain < NEXT_TO_NOTHING ? "next to nothing" : formatHypervolume(gain);
  return objectives.length === 1
    ? `Expected to improve the best by ${amount}.`
    : `Expected to add ${amount} to the hypervolume.`;
}
