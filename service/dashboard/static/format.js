/** Numbers, times and parameters as a person reads them. */

/** @import {Parameterization, Study, TrialRow} from "./types.js" */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const two = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 3 });
const three = new Intl.NumberFormat("en", { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const significant = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const BESIDE_SIZES = /[.](alpha|scaling|division)$/;
const bytes = ["B", "KiB", "MiB", "GiB", "TiB"];

/**
 * @typedef {{label: string, unit: string, log: boolean, value: (value: number) => string,
 *   tick: (value: number) => string}} MetricFormat
 */

/** @type {(label: string) => MetricFormat} */
const fraction = (label) => ({ label, unit: "", log: false, value: three.format, tick: two.format });

/** @type {Object<string, MetricFormat>} */
const METRICS = {
  score: { label: "Score", unit: "validation", log: false, value: three.format, tick: two.format },
  trainable_parameters: {
    label: "Trainable parameters",
    unit: "",
    log: true,
    value: whole.format,
    tick: compact.format,
  },
  adapter_bytes: { label: "Adapter size", unit: "", log: true, value: formatBytes, tick: formatBytes },
  adapter_flops: {
    label: "Added operations",
    unit: "FLOPs per token",
    log: true,
    value: whole.format,
    tick: compact.format,
  },
  model_parameters: {
    label: "Parameters of the network",
    unit: "",
    log: true,
    value: whole.format,
    tick: compact.format,
  },
  flops: {
    label: "Operations",
    unit: "FLOPs per token",
    log: true,
    value: whole.format,
    tick: compact.format,
  },
  latency_ms: {
    label: "Latency",
    unit: "ms",
    log: false,
    value: significant.format,
    tick: significant.format,
  },
  peak_memory_bytes: { label: "Peak memory", unit: "", log: true, value: formatBytes, tick: formatBytes },
  training_seconds: {
    label: "Training time",
    unit: "s",
    log: false,
    value: significant.format,
    tick: significant.format,
  },
  loss: fraction("Loss"),
  train_loss: fraction("Training loss"),
  accuracy: fraction("Accuracy"),
  macro_f1: fraction("Macro F1"),
  matthews: fraction("Matthews"),
  spearman: fraction("Spearman"),
  pearson: fraction("Pearson"),
  number: { label: "Trial number", unit: "", log: false, value: whole.format, tick: whole.format },
};

/**
 * How to write a metric; one that this page does not know yet is written plainly.
 * @param {string} name
 * @returns {MetricFormat}
 */
export function metricFormat(name) {
  const plain = { label: asWords(name), unit: "", log: false };
  return METRICS[name] ?? { ...plain, value: significant.format, tick: significant.format };
}

/** What a kind of task is scored by, unless it says otherwise. @type {Object<string, string>} */
const USUAL_SCORES = { multi_label: "macro_f1", regression: "spearman" };

/** @type {Object<string, string>} */
const SCORE_NAMES = {
  macro_f1: "macro F1",
  matthews: "Matthews",
  spearman: "Spearman",
  pearson: "Pearson",
  negative_loss: "negative loss",
};

/**
 * Whether the trials are the caller's own, with parameters and metrics of its choice.
 * @param {{configuration: object | null}} study or one of its trials
 */
export const isCustom = ({ configuration }) => configuration === null;

/**
 * Whether a study takes a metric on a logarithmic scale.
 * @param {Study} study
 * @param {string} name
 */
export const isLogarithmic = ({ configuration, objectives }, name) =>
  (!isCustom({ configuration }) && metricFormat(name).log) ||
  objectives.some(({ metric, log }) => log && metric === name);

/**
 * Which metric a study's score is; empty in a custom study.
 * @param {Study} study
 */
export function scoreMetric({ configuration }) {
  if (configuration === null) return "";
  const { task } = configuration;
  return task.score ?? USUAL_SCORES[task.kind ?? ""] ?? "accuracy";
}

/**
 * What a study's score is called; empty for accuracy, which a score without a name is.
 * @param {Study} study
 */
export const scoreName = (study) => SCORE_NAMES[scoreMetric(study)] ?? "";

/**
 * A metric as a heading: with its unit, or with what the study's score is.
 * @param {Study} study
 * @param {string} name
 */
export function headingOf(study, name) {
  const { label, unit } = metricFormat(name);
  const remark = name === "score" ? scoreName(study) : unit;
  return remark ? `${label} (${remark})` : label;
}

/**
 * @param {string} name
 * @param {number | undefined} value
 */
export const formatMetric = (name, value) => (value === undefined ? "" : metricFormat(name).value(value));

/**
 * A mean with its standard error, where there is one.
 * @param {string} name
 * @param {number | undefined} value
 * @param {number | undefined} error
 */
export const formatWithError = (name, value, error) =>
  error ? `${formatMetric(name, value)} ± ${formatMetric(name, error)}` : formatMetric(name, value);

/**
 * A metric's name where there is little room.
 * @param {Study} study
 * @param {string} name
 */
export function shortName(study, name) {
  if (name === "trainable_parameters") return "parameters";
  return (name === "score" && scoreName(study)) || metricFormat(name).label.toLowerCase();
}

/** @param {string} name */
export const asWords = (name) => name.replaceAll("_", " ");

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 6, useGrouping: false });

/**
 * A number of which nothing else is known: whole ones in full.
 * @param {number} value
 */
export const formatNumber = (value) => (Number.isInteger(value) ? String(value) : plain.format(value));

/**
 * A parameter's value.
 * @param {boolean | number | string} value
 */
export const formatValue = (value) => (typeof value === "number" ? significant.format(value) : String(value));

/** @param {number} value */
export const formatCount = (value) => whole.format(value);

/**
 * So many of them, in words.
 * @param {number} count
 * @param {string} one
 * @param {string} many
 */
export const counted = (count, one, many = `${one}s`) => `${formatCount(count)} ${count === 1 ? one : many}`;

/** @param {number} value */
export const formatHypervolume = (value) => value.toPrecision(4);

/** @param {number | undefined} seconds */
export const formatSeconds = (seconds) => (seconds === undefined ? "" : tenths.format(seconds));

/** @param {number} seconds */
export function formatDuration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`;
}

/** @param {string | null} time */
export const formatMoment = (time) =>
  time === null ? "" : new Date(time).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });

/**
 * @param {string} time
 * @param {number} now in milliseconds
 */
export function formatAge(time, now) {
  const seconds = (now - Date.parse(time)) / 1000;
  return seconds < 10 ? "just now" : `${formatDuration(Math.round(seconds))} ago`;
}

/**
 * The searched values that the description of a trial's modules leaves out.
 * @param {Parameterization} parameters
 * @returns {string[]}
 */
export function describeParameters(parameters) {
  return Object.entries(parameters)
    .filter(([path]) => !path.startsWith("peft.") || BESIDE_SIZES.test(path))
    .map(([path, value]) => `${nameOf(path)} ${formatValue(value)}`);
}

/**
 * What a trial is, in a few words: the modules it trained, or the parameters of a custom one.
 * @param {TrialRow} trial
 */
export const describeTrial = ({ modules, parameters }) => modules || describeParameters(parameters).join(" · ");

/**
 * A setting by its last word; one of a module by both of its words.
 * @param {string} path
 */
export function nameOf(path) {
  const steps = path.split(".").map(asWords);
  const words = path.startsWith("peft.") && !path.includes("library") ? steps.slice(-2) : steps.slice(-1);
  return words.join(" ").replace("lora", "LoRA").replace("compacter", "Compacter");
}

/** @param {number} value */
export function formatBytes(value) {
  const power = Math.min(bytes.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, value)) / 10)));
  return `${significant.format(value / 1024 ** power)} ${bytes[power]}`;
}

/**
 * How many trials of a study will not change any more.
 * @param {Study} study
 */
export function endedTrials({ trials }) {
  return trials.succeeded + trials.infeasible + trials.failed + trials.stopped_early + trials.cancelled;
}

/**
 * How much of a study's budget is done: trials that ended, further seeds, and what a super-network costs.
 * @param {Study} study
 */
export function trainingsDone(study) {
  const done = endedTrials(study) + (study.one_shot?.trainings ?? 0);
  if (study.race.share === 0) return done;
  if (study.race_progress?.is_over) return study.budget_spent;
  const open = study.replicate_counts.queued + study.replicate_counts.running;
  return Math.max(done, study.budget_spent - open);
}

/**
 * How much of how much is done; a study that races or trains a super-network counts trainings.
 * @param {Study} study
 */
export function budgetText(study) {
  const unit = study.race.share > 0 || study.one_shot ? "trainings" : "trials";
  return `${formatCount(trainingsDone(study))} / ${formatCount(study.budget.trials)} ${unit}`;
}
