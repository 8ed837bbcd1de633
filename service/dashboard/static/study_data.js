/** Everything a study's page shows, read so that news cost little and the parts fit together. */

import { createTrialStore } from "./trial_store.js";

/** @import {Api} from "./api.js" */
/** @import {Belief, HypervolumeHistory, Importance, ParetoFront, Recommendation} from "./types.js" */
/** @import {Study, TrialRow} from "./types.js" */

/**
 * @typedef {{study: Study, trials: TrialRow[], sequence: number, front: ParetoFront,
 *   history: HypervolumeHistory, importance: Importance, knee: Recommendation | null}} StudyData
 */

const TERMINAL_STUDY_STATES = ["SUCCEEDED", "FAILED", "CANCELLED"];
const FEWEST_WITH_KNEE = 3;

/** @param {Study} study */
export const hasEnded = (study) => TERMINAL_STUDY_STATES.includes(study.state);

/** @param {{state: string}} trial */
export const isOpen = ({ state }) => ["QUEUED", "RUNNING"].includes(state);

/**
 * Whether a measured trial keeps every limit of its study; one that does not cannot stand on the front.
 * @param {Study} study
 * @param {{metrics: Object<string, number>}} trial
 */
export function keepsLimits({ constraints }, { metrics }) {
  return constraints.every(({ metric, op, bound }) =>
    op === "<=" ? metrics[metric] <= bound : metrics[metric] >= bound,
  );
}

/**
 * Give a function that reads the study anew each time, and tells of the study itself before the rest is read.
 * @param {Api} api
 * @param {string} id
 * @returns {(signal: AbortSignal, onStudy: (study: Study) => void) => Promise<StudyData>}
 */
export function studyReader(api, id) {
  const store = createTrialStore();
  const readKnee = kneeReader(api, id);
  const readHistory = historyReader(api, id);
  return async (signal, onStudy) => {
    // The study first: if it has ended, whatever is read after it is final, too.
    const study = await api.getStudy(id, signal);
    onStudy(study);
    const [columns, front, believed, history, importance] = await Promise.all([
      api.getTrialColumns(id, store.sequence(), signal),
      api.getFront(id, signal),
      api.getBelievedFront(id, signal),
      readHistory(study, signal),
      api.getImportance(id, signal),
    ]);
    store.take(columns);
    store.mark(front, beliefsOf(front, believed));
    const knee = await readKnee(believed, signal);
    return { study, trials: store.trials(), sequence: store.sequence(), front, history, importance, knee };
  };
}

/**
 * What the models believe of the members of either front; nothing before there is a model.
 * @param {ParetoFront} front
 * @param {ParetoFront} believed
 * @returns {Map<string, Belief>}
 */
function beliefsOf(front, believed) {
  const members = new Set(believed.by === "believed" ? believed.points.map((point) => point.trial_id) : []);
  return new Map(
    [...front.points, ...believed.points].flatMap(({ trial_id, believed: metrics, front_probability }) =>
      front_probability === null
        ? []
        : [[trial_id, { metrics, chance: front_probability, onFront: members.has(trial_id) }]],
    ),
  );
}

/**
 * Give a function that reads the knee, once for each front that it is chosen from. One or two points have none.
 * @param {Api} api
 * @param {string} id
 */
function kneeReader(api, id) {
  let known = "";
  /** @type {Recommendation | null} */
  let knee = null;
  return async (/** @type {ParetoFront} */ front, /** @type {AbortSignal} */ signal) => {
    if (front.points.length < FEWEST_WITH_KNEE) return null;
    const read = `${front.by} ${front.sequence}`;
    if (read !== known) {
      knee = await api.getKnee(id, signal);
      known = read;
    }
    return knee;
  };
}

/**
 * Give a function that reads the history of the hypervolume, once for each hypervolume: a record for each
 * result of a long study is more than everything else together.
 * @param {Api} api
 * @param {string} id
 */
function historyReader(api, id) {
  let known = "";
  /** @type {HypervolumeHistory} */
  let history = { records: [] };
  return async (/** @type {Study} */ study, /** @type {AbortSignal} */ signal) => {
    const read = `${study.hypervolume} ${study.state}`;
    if (read !== known) {
      history = await api.getHistory(id, signal);
      known = read;
    }
    return history;
  };
}
