/** Everything a study's page shows, read so that one poll costs little and its parts fit together. */

/** @import {Api} from "./api.js" */
/** @import {Belief, HypervolumeHistory, Importance, ParetoFront, Recommendation} from "./types.js" */
/** @import {Study, Trial, TrialPage} from "./types.js" */

/**
 * @typedef {{study: Study, trials: Trial[], front: ParetoFront, history: HypervolumeHistory,
 *   importance: Importance, knee: Recommendation | null}} StudyData
 */

const TERMINAL_STUDY_STATES = ["SUCCEEDED", "FAILED", "CANCELLED"];
const OPEN_TRIAL_STATES = ["QUEUED", "RUNNING"];
const FEWEST_WITH_KNEE = 3;

/** @param {Study} study */
export const hasEnded = (study) => TERMINAL_STUDY_STATES.includes(study.state);

/** @param {Trial} trial */
export const isOpen = (trial) => OPEN_TRIAL_STATES.includes(trial.state);

/**
 * Whether ended trials may still change, because members of the front, or of a race, are trained with further seeds.
 * @param {Study} study
 */
const mayMoveFront = ({ final_replicates, race, trials }) =>
  (final_replicates > 0 || race.share > 0) && trials.queued + trials.running === 0;

/**
 * Whether nothing but the head is trained. The service writes every such configuration as one without
 * an active layer.
 * @param {Trial} trial
 */
export const isHeadOnly = ({ configuration }) =>
  configuration !== null &&
  configuration.peft.active_layers !== null &&
  !configuration.peft.active_layers.some(Boolean);

/**
 * Whether a measured trial keeps every limit of its study; one that does not cannot stand on the front.
 * @param {Study} study
 * @param {Trial} trial
 */
export function keepsLimits({ constraints }, { metrics }) {
  return constraints.every(({ metric, op, bound }) =>
    op === "<=" ? metrics[metric] <= bound : metrics[metric] >= bound,
  );
}

/**
 * Give a function that reads the study anew each time.
 * @param {Api} api
 * @param {string} id
 * @returns {(signal: AbortSignal) => Promise<StudyData>}
 */
export function studyReader(api, id) {
  /** @type {TrialPage[]} */
  const settled = [];
  const readKnee = kneeReader(api, id);
  return async (signal) => {
    // The study first: if it has ended, whatever is read after it is final, too.
    const study = await api.getStudy(id, signal);
    if (mayMoveFront(study)) settled.length = 0;
    const [trials, front, believed, history, importance] = await Promise.all([
      readTrials(api, id, settled, signal),
      api.getFront(id, signal),
      api.getBelievedFront(id, signal),
      api.getHistory(id, signal),
      api.getImportance(id, signal),
    ]);
    const members = new Set(front.points.map((point) => point.trial_id));
    const beliefs = beliefsOf(front, believed);
    return {
      study,
      trials: trials.map((trial) => ({
        ...trial,
        on_front: members.has(trial.id),
        belief: beliefs.get(trial.id) ?? null,
      })),
      front,
      history,
      importance,
      knee: await readKnee(believed, signal),
    };
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
 * Read the trials by pages. A full page of ended trials will not change any more, but for its members'
 * place on the front, which is taken from the front itself.
 * @param {Api} api
 * @param {string} id
 * @param {TrialPage[]} settled the pages, from the first on, that need not be read again
 * @param {AbortSignal} signal
 */
async function readTrials(api, id, settled, signal) {
  const trials = settled.flatMap((page) => page.trials);
  let token = settled.at(-1)?.next_page_token ?? null;
  let unbroken = true;
  do {
    const page = await api.listTrials(id, token, signal);
    trials.push(...page.trials);
    token = page.next_page_token;
    unbroken &&= token !== null && !page.trials.some(isOpen);
    if (unbroken) settled.push(page);
  } while (token !== null);
  return trials;
}
