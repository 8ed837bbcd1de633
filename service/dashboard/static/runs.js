/** Attempts at trials as rows, from the columns of the API, read once for each version of a study. */

/** @import {Api} from "./api.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {RunColumns} from "./types.js" */

/**
 * @typedef {{number: number, trialId: string, seed: number, attempt: number, worker: string, outcome: string,
 *   reason: string | null, start: number, end: number | null}} Run times in milliseconds
 */

/**
 * @param {RunColumns} columns
 * @returns {Run[]}
 */
export const runsOf = (columns) =>
  columns.numbers.map((number, position) => {
    const end = columns.ended_at[position];
    return {
      number,
      trialId: columns.trial_ids[position],
      seed: columns.replicates[position],
      attempt: columns.attempts[position],
      worker: columns.workers[position],
      outcome: columns.outcomes[position],
      reason: columns.reasons[position],
      start: Date.parse(columns.started_at[position]),
      end: end === null ? null : Date.parse(end),
    };
  });

/**
 * Give a function that reads the attempts of a study, anew once something has happened to it.
 * @param {Api} api
 * @param {AbortSignal} signal
 */
export function runReader(api, signal) {
  let known = -1;
  /** @type {Run[]} */
  let runs = [];
  return async (/** @type {StudyData} */ { study, sequence }) => {
    if (sequence !== known) {
      runs = runsOf(await api.getRuns(study.id, signal));
      known = sequence;
    }
    return runs;
  };
}
