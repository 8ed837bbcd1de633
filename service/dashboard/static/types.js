/**
 * The public API's schemas as far as the page reads them. Types only: no page loads this file.
 *
 * @typedef {{metric: string, direction: "maximize" | "minimize", reference: number | null,
 *   log: boolean}} Objective
 * @typedef {{metric: string, op: "<=" | ">=", bound: number}} Constraint
 * @typedef {Object<string, boolean | number | string>} Parameterization
 * @typedef {{queued: number, running: number, succeeded: number, infeasible: number, failed: number,
 *   stopped_early: number, cancelled: number, imported: number}} TrialCounts
 *
 * @typedef {object} Peft
 * @property {string} method
 * @property {boolean[] | null} active_layers
 *
 * @typedef {{name: string, kind: string | null, score: string | null}} Task
 *
 * @typedef {{keep_layers: number, which: "importance" | "first" | "last", ffn_width?: number | null,
 *   ffn_width_groups?: number[] | null, heads?: number | null}} Architecture
 * @typedef {{layers: number, ffn_size: number, query_size: number,
 *   weights?: {heads?: {size: number}}}} BackboneShape
 *
 * @typedef {{backbone: string, task: Task, peft: Peft, architecture?: Architecture | null,
 *   training: {epochs: number, measurements_per_epoch: number}}} TrialConfiguration
 *
 * @typedef {{trial_id: string, number: number, reason: string, accepted_by: string | null,
 *   accepted_at: string}} AcceptedTrial
 *
 * @typedef {{name: string, type: "bool" | "int" | "float" | "ordinal" | "categorical", log?: boolean,
 *   low?: number, high?: number, choices?: (boolean | number | string)[]}} SearchedParameter
 *
 * @typedef {object} Study
 * @property {string} id
 * @property {string} display_name
 * @property {"ACTIVE" | "PAUSED" | "CANCELLING" | "SUCCEEDED" | "FAILED" | "CANCELLED"} state
 * @property {string | null} state_reason
 * @property {TrialConfiguration | null} configuration null where the trials are run elsewhere
 * @property {BackboneShape | null} backbone_shape
 * @property {{parameters: SearchedParameter[]}} search_space
 * @property {Objective[]} objectives
 * @property {Constraint[]} constraints
 * @property {{trials: number}} budget
 * @property {number} parallelism
 * @property {{proposer: string}} proposals
 * @property {number[] | null} reference_point
 * @property {number | null} hypervolume
 * @property {AcceptedTrial | null} accepted
 * @property {string} notes
 * @property {string[]} tags
 * @property {"peft" | "custom"} kind
 * @property {TrialCounts} trials
 * @property {number} replicates
 * @property {number} final_replicates
 * @property {{share: number}} race
 * @property {{rounds: number, racers: string[], is_over: boolean} | null} race_progress
 * @property {{detail: string, trainings: number} | null} one_shot
 * @property {number} budget_spent
 * @property {{queued: number, running: number, done: number}} replicate_counts
 * @property {string} created_at
 * @property {string | null} finished_at
 *
 * @typedef {{number: number, seed: number, state: TrialState, state_reason: string | null, attempt: number,
 *   metrics: Object<string, number>, worker: string | null, started_at: string | null,
 *   finished_at: string | null}} Replicate
 * @typedef {{name: string, size_bytes: number, kind: "trained" | "checkpoint"}} ArtifactRecord
 *
 * @typedef {{step: number, metrics: Object<string, number>}} Measurement
 *
 * @typedef {{predictions: Object<string, {mean: number, standard_deviation: number}>,
 *   acquisition_value: number | null, front_probability: number | null,
 *   learned_from: Object<string, number>}} Explanation
 *
 * @typedef {"QUEUED" | "RUNNING" | "SUCCEEDED" | "INFEASIBLE" | "FAILED" | "STOPPED_EARLY" |
 *   "CANCELLED"} TrialState
 *
 * @typedef {object} Trial
 * @property {string} id
 * @property {number} number
 * @property {TrialState} state
 * @property {string | null} state_reason
 * @property {string} generated_by
 * @property {number} proposal_seconds
 * @property {Explanation | null} explanation
 * @property {Parameterization} parameters
 * @property {TrialConfiguration | null} configuration
 * @property {string} modules
 * @property {number} attempt
 * @property {Object<string, number>} metrics
 * @property {Object<string, number>} test_metrics
 * @property {Object<string, number>} metric_standard_errors
 * @property {Object<string, number>} test_metric_standard_errors
 * @property {boolean} collapsed
 * @property {Replicate[]} replicates
 * @property {ArtifactRecord[]} artifacts
 * @property {Measurement[]} measurements
 * @property {boolean} on_front
 * @property {string | null} worker
 * @property {string} created_at
 * @property {string | null} started_at
 * @property {string | null} finished_at
 *
 * @typedef {{trial_id: string, seeds: number, seeds_done: number, step: number | null, steps: number | null,
 *   metrics: Object<string, number>, exact: Object<string, number>}} Progress
 *
 * @typedef {object} TrialRow what table and plot show of a trial
 * @property {string} id
 * @property {number} changed the study's last event when an event of the trial was last heard of
 * @property {number} number
 * @property {TrialState} state
 * @property {string | null} state_reason
 * @property {string} generated_by
 * @property {string} modules empty in a custom study
 * @property {boolean} is_head_only
 * @property {boolean} collapsed
 * @property {string | null} started_at
 * @property {string | null} finished_at
 * @property {Parameterization} parameters
 * @property {Object<string, number>} metrics
 * @property {Object<string, number>} metric_standard_errors
 * @property {Object<string, number>} test_metrics
 * @property {Object<string, number>} test_metric_standard_errors
 * @property {Object<string, number>} expected of a trial without metrics: what the model expected
 * @property {Object<string, number>} expected_deviations
 * @property {Progress | null} progress of one that has measured something and has not ended
 * @property {boolean} on_front
 * @property {Belief | null} belief what the models believe of a member of a front
 *
 * @typedef {object} TrialColumns a value of each column for each trial
 * @property {number} sequence
 * @property {string[]} ids
 * @property {number[]} numbers
 * @property {TrialState[]} states
 * @property {(string | null)[]} state_reasons
 * @property {string[]} generated_by
 * @property {string[]} modules
 * @property {boolean[]} is_head_only
 * @property {boolean[]} collapsed
 * @property {(string | null)[]} started_at
 * @property {(string | null)[]} finished_at
 * @property {Object<string, (boolean | number | string | null)[]>} parameters
 * @property {Object<string, (number | null)[]>} metrics
 * @property {Object<string, (number | null)[]>} metric_standard_errors
 * @property {Object<string, (number | null)[]>} test_metrics
 * @property {Object<string, (number | null)[]>} test_metric_standard_errors
 * @property {Object<string, (number | null)[]>} expected
 * @property {Object<string, (number | null)[]>} expected_deviations
 * @property {Progress[]} progress
 *
 * @typedef {{mean: number, standard_deviation: number}} Prediction
 * @typedef {{metrics: Object<string, Prediction>, chance: number, onFront: boolean}} Belief
 * @typedef {{trial_id: string, number: number, metrics: Object<string, number>,
 *   believed: Object<string, Prediction>, front_probability: number | null}} ParetoPoint
 * @typedef {{sequence: number, points: ParetoPoint[], reference_point: number[] | null,
 *   hypervolume: number | null, by: "observed" | "believed", believed_sequence: number | null}} ParetoFront
 * @typedef {{sequence: number, trial_id: string, hypervolume: number | null}} HypervolumeRecord
 * @typedef {{records: HypervolumeRecord[]}} HypervolumeHistory
 *
 * @typedef {{name: string, total_effect: number}} ParameterImportance
 * @typedef {{observations: number, reason: string | null, objectives: {metric: string,
 *   parameters: ParameterImportance[], groups: ParameterImportance[]}[]}} Importance
 * @typedef {{trial_id: string | null, reason: string,
 *   against_default: {default_trial_id: string} | null}} Recommendation
 *
 * @typedef {{studies: Study[], hypervolume_traces: Object<string, (number | null)[]>,
 *   next_page_token: string | null}} StudyPage
 *
 * @typedef {Object<string, any>} StudyDraft what is posted
 * @typedef {{trainings: number, seconds_per_training: number, seconds: number, study_id: string,
 *   measured_trainings: number}} RunEstimate
 * @typedef {{study: StudyDraft, classes: number | null, first_trials: {modules: string | null}[],
 *   estimate: RunEstimate | null}} StudyValidation
 * @typedef {{backbones: string[], presets: string[], tasks: {name: string, description: string,
 *   labels: string[], train_rows: number, validation_rows: number, test_rows: number}[]}} Catalogue
 * @typedef {{kind: string, labels: {label: string, rows: number}[], least: number | null,
 *   largest: number | null, train_rows: number, validation_rows: number, test_rows: number,
 *   dropped: Object<string, number>}} TaskPreview
 * @typedef {{name: string, rows: number, columns: string[], bytes: number}} TaskFile
 * @typedef {TaskFile & {first_rows: string[][]}} TaskFileHead
 *
 * @typedef {{id: string, name: string, scope: "read" | "write" | "admin", created_at: string,
 *   expires_at: string | null, last_used_at: string | null, revoked_at: string | null}} Key
 * @typedef {Key & {secret: string | null}} KeyCreated
 * @typedef {{id: string, url: string, event_types: string[], waiting: number, given_up: number,
 *   last_error: string | null, created_at: string, disabled_at: string | null}} Webhook
 * @typedef {Webhook & {secret: string | null}} WebhookCreated
 * @typedef {{study_id: string, sequence: number, type: string, recorded_at: string, attempts: number,
 *   next_attempt_at: string | null}} Delivery without a next attempt it was given up
 * @typedef {{deliveries: Delivery[], next_page_token: string | null}} DeliveryPage
 * @typedef {{used: number, limit: number | null}} Limit
 * @typedef {{active_studies: Limit, running_trials: Limit, artifact_bytes: Limit}} Limits
 * @typedef {{sequence: number, type: string, subject: string, key_id: string | null,
 *   body: Object<string, any>, recorded_at: string}} AuditEvent
 * @typedef {{audit_events: AuditEvent[], next_page_token: string | null}} AuditPage
 * @typedef {{metric: string, parameter: string, second: string | null,
 *   values: (boolean | number | string)[], second_values: (boolean | number | string)[], means: number[],
 *   lower: number[], upper: number[], exact: boolean, through: Parameterization}} Slice
 * @typedef {{observations: number, slice: Slice | null, through_number: number | null, parameters: string[],
 *   pairs: string[], reason: string | null}} SliceAnswer
 *
 * @typedef {{trial_ids: string[], numbers: number[], replicates: number[], attempts: number[],
 *   workers: string[], outcomes: string[], reasons: (string | null)[], started_at: string[],
 *   ended_at: (string | null)[]}} RunColumns
 * @typedef {{attempt: number, replicate: number, text: string, omitted_lines: number,
 *   recorded_at: string}} AttemptLog
 * @typedef {{logs: AttemptLog[]}} TrialLogs
 * @typedef {{layers: number, modules: string[], trial_ids: string[], numbers: number[],
 *   sizes: (number | null)[][][]}} ModuleMaps
 *
 * @typedef {{title: string, detail: string, errors?: {pointer: string, detail: string}[]}} Problem
 */

export {};
