/** Numbers, times and parameters as a person reads them. */

/** @import {Parameterization, Study} from "./types.js" */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const two = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 3 });
const three = new Intl.NumberFormat("en", { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const significant = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const bytes = ["B", "KiB", "MiB", "GiB", "TiB"];

/**
 * @typedef {{label: string, unit: string, log: boolean, value: (value: number) => string,
 *   tick: (value: number) => string}} MetricFormat
 * @type {Object<string, MetricFormat>}
 */
const METRICS = {
  score: { label: "Score", unit: "validation", log: false, value: three.format, tick: two.format },
  trainable_parameters: {
    label: "Trainable parameters",
    unit: "",
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
  peak_memory_bytes: { label: "Peak memory", unit: "", log: true, value: inBytes, tick: inBytes },
  training_seconds: {
    label: "Training time",
    unit: "s",
    log: false,
    value: significant.format,
    tick: significant.format,
  },
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
 * A metric with its unit, for running text.
 * @param {string} name
 * @param {number} value
 */
export function formatWithUnit(name, value) {
  const { unit, label } = metricFormat(name);
  if (name === "score" || name === "trainable_parameters")
    return `${formatMetric(name, value)} ${label.toLowerCase()}`;
  return `${formatMetric(name, value)} ${unit}`.trim();
}

/**
 * A metric's name where there is little room.
 * @param {string} name
 */
export const shortName = (name) =>
  name === "trainable_parameters" ? "parameters" : metricFormat(name).label.toLowerCase();

/** @param {string} name */
export const asWords = (name) => name.replaceAll("_", " ");

/** @param {number} value */
export const formatCount = (value) => whole.format(value);

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

/**
 * @param {string} time
 * @param {number} now in milliseconds
 */
export function formatAge(time, now) {
  const seconds = (now - Date.parse(time)) / 1000;
  return seconds < 10 ? "just now" : `${formatDuration(Math.round(seconds))} ago`;
}

/**
 * Say a parameterization in a few words: sizes by name, switches as lists.
 * @param {Parameterization} parameters
 * @returns {string[]}
 */
export function describeParameters(parameters) {
  /** @type {Map<string, {on: string[], all: number}>} */
  const switches = new Map();
  const words = [];
  for (const [path, value] of Object.entries(parameters)) {
    const { group, last } = splitPath(path);
    if (typeof value === "boolean") {
      const { on, all } = switches.get(group) ?? { on: [], all: 0 };
      switches.set(group, { on: value ? [...on, last] : on, all: all + 1 });
    } else {
      words.push(`${nameOf(group, last)} ${typeof value === "number" ? significant.format(value) : value}`);
    }
  }
  for (const [group, { on, all }] of switches) words.push(`${group}: ${listOf(on, all)}`);
  return words;
}

/** @param {string} path */
function splitPath(path) {
  const steps = path
    .replace(/^peft\./, "")
    .split(".")
    .map(asWords);
  const last = steps.pop() ?? "";
  return { group: steps.join(" ").replace("lora", "LoRA"), last };
}

/**
 * @param {string} group
 * @param {string} last
 */
function nameOf(group, last) {
  // The one size of a module needs no name of its own.
  if (["bottleneck size", "length", "rank"].includes(last) && group !== "training") return group;
  return group === "training" ? last : `${group} ${last}`;
}

/**
 * @param {string[]} on
 * @param {number} all
 */
function listOf(on, all) {
  if (!on.length) return "none";
  return on.length === all ? `all ${all}` : on.join(", ");
}

/** @param {number} value */
function inBytes(value) {
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
