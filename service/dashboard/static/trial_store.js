/** The trials of a study as the page holds them: read as columns, once whole and then what has changed. */

import { under } from "./take_out.js";

/** @import {Record} from "./take_out.js" */
/** @import {Belief, ParetoFront, TrialColumns, TrialRow} from "./types.js" */

/** Give a store that holds nothing yet. */
export function createTrialStore() {
  /** @type {Map<string, TrialRow>} */
  const byId = new Map();
  /** @type {TrialRow[]} */
  let trials = [];
  let sequence = 0;
  return {
    /** The study's last event that the trials show. */
    sequence: () => sequence,
    /** All of them by number. */
    trials: () => trials,
    /**
     * Take over what an answer holds.
     * @param {TrialColumns} columns
     */
    take(columns) {
      sequence = columns.sequence;
      if (!columns.ids.length) return;
      for (const row of rowsOf(columns)) byId.set(row.id, row);
      trials = [...byId.values()].sort((a, b) => a.number - b.number);
    },
    /**
     * Mark the members of the front, and say of each what is believed of it.
     * @param {ParetoFront} front
     * @param {Map<string, Belief>} beliefs
     */
    mark(front, beliefs) {
      const members = new Set(front.points.map((point) => point.trial_id));
      for (const trial of trials) {
        trial.on_front = members.has(trial.id);
        trial.belief = beliefs.get(trial.id) ?? null;
      }
    },
  };
}

/**
 * @param {TrialColumns} columns
 * @returns {TrialRow[]}
 */
function rowsOf(columns) {
  const progress = new Map(columns.progress.map((one) => [one.trial_id, one]));
  return columns.ids.map((id, position) => ({
    id,
    changed: columns.sequence,
    number: columns.numbers[position],
    state: columns.states[position],
    state_reason: columns.state_reasons[position],
    generated_by: columns.generated_by[position],
    modules: columns.modules[position],
    is_head_only: columns.is_head_only[position],
    collapsed: columns.collapsed[position],
    started_at: columns.started_at[position],
    finished_at: columns.finished_at[position],
    parameters: valuesAt(columns.parameters, position),
    metrics: valuesAt(columns.metrics, position),
    metric_standard_errors: valuesAt(columns.metric_standard_errors, position),
    test_metrics: valuesAt(columns.test_metrics, position),
    test_metric_standard_errors: valuesAt(columns.test_metric_standard_errors, position),
    expected: valuesAt(columns.expected, position),
    expected_deviations: valuesAt(columns.expected_deviations, position),
    progress: progress.get(id) ?? null,
    on_front: false,
    belief: null,
  }));
}

/**
 * @template Value
 * @param {Object<string, (Value | null)[]>} columns
 * @param {number} position
 * @returns {Object<string, Value>}
 */
function valuesAt(columns, position) {
  /** @type {Object<string, Value>} */
  const values = {};
  for (const name in columns) {
    const value = columns[name][position];
    if (value !== null) values[name] = value;
  }
  return values;
}

/**
 * A trial as a row of a file: everything that the columns have, with the names of the API.
 * @param {TrialRow} trial
 * @returns {Record}
 */
export function recordOfTrial(trial) {
  const { parameters, metrics, metric_standard_errors, test_metrics, test_metric_standard_errors, ...rest } = trial;
  const { belief, changed, expected, expected_deviations, progress, ...plain } = rest;
  return {
    ...plain,
    front_probability: belief?.chance ?? null,
    ...under("parameters", parameters),
    ...under("metrics", metrics),
    ...under("metric_standard_errors", metric_standard_errors),
    ...under("test_metrics", test_metrics),
    ...under("test_metric_standard_errors", test_metric_standard_errors),
    ...under("expected", expected),
    ...under("expected_deviations", expected_deviations),
    ...under("so_far", progress?.metrics ?? {}),
  };
}
