/** The chosen trial: what it trained, how it learned, what came out, and how to take it home. */

import { make, showState } from "./elements.js";
import { explanationOf } from "./explanation.js";
import {
  asWords,
  describeParameters,
  formatMetric,
  formatWithError,
  headingOf,
  isCustom,
  metricFormat,
  scoreMetric,
} from "./format.js";
import {
  createLearningCurve,
  curveInWords,
  hasCurve,
  percent,
  predictionInWords,
  predictionOf,
  SAID_IN_WORDS,
} from "./learning_curve.js";
import { mapOfModules, recordsOfMap, sizesOf } from "./module_map.js";
import { drawingOf } from "./network_drawing.js";
import { createPlot } from "./plot.js";
import { isOpen } from "./study_data.js";
import { offerPicture } from "./take_out.js";
import { runsOf } from "./runs.js";
import { createTrialLog } from "./trial_log.js";
import { filesOf, hasLostAttempts, hasRuns, lostAttemptsOf, tableOfSeeds } from "./trial_record.js";

/** @import {Api} from "./api.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {ModuleMaps, Study, Trial, TrialRow} from "./types.js" */

/** @typedef {Trial & TrialRow} KnownTrial */

const FIRST_METRICS = [
  "score",
  "trainable_parameters",
  "adapter_bytes",
  "adapter_flops",
  "model_parameters",
  "flops",
  "latency_ms",
  "peak_memory_bytes",
  "training_seconds",
];
const LAYER_PX = 20;
const AROUND_LAYERS_PX = 80;
const INVITATION = "Choose any point or row to see what it trained.";

/**
 * @param {HTMLElement} panel a card that becomes a drawer once a trial is chosen
 * @param {Api} api
 * @param {{onClose: () => void, refused: (error: unknown) => void}} actions
 */
export function createTrialDetails(panel, api, { onClose, refused }) {
  let shown = "";
  let shownId = "";
  /** @type {ReturnType<typeof createLearningCurve> | null} */
  let curve = null;
  /** @type {ReturnType<typeof createPlot> | null} */
  let modules = null;
  /** @type {Map<string, ModuleMaps>} by trial, for none ever changes */
  const maps = new Map();
  const leaving = new AbortController();
  const log = createTrialLog(api);

  function close() {
    log.stop();
    curve?.dispose();
    modules?.dispose();
    curve = null;
    modules = null;
  }

  /**
   * @param {Study} study
   * @param {TrialRow} row
   * @param {boolean} isChosen
   */
  async function show(study, row, isChosen) {
    const name = isChosen ? "Trial" : "Best: trial";
    const wanted = shown;
    if (shownId !== row.id || isChosen !== panel.hasAttribute("data-open")) put(isChosen, [headOf(row, name), hint("Loading")]);
    shownId = row.id;
    try {
      const trial = { ...row, ...(await api.getTrial(study.id, row.id, leaving.signal)) };
      if (shown !== wanted) return;
      put(isChosen, [headOf(row, name), ...partsOf(study, trial), ...(isChosen ? recordOf(study, trial) : [])]);
      // A chart needs an element that is on the page.
      const place = /** @type {HTMLElement | null} */ (panel.querySelector(".chart.curve"));
      if (place !== null) showCurve(place, study, /** @type {any} */ (trial));
      if (isChosen && hasRuns(trial)) log.show(study, trial);
      if (isChosen) await showMore(study, trial, () => shown === wanted);
    } catch (error) {
      if (leaving.signal.aborted || shown !== wanted) return;
      // With the next news it is asked for again.
      shown = "";
      put(isChosen, [headOf(row, name), hint("This trial could not be read; the page asks for it again.")]);
    }
  }

  /**
   * What has to be asked for by itself: attempts that were given back, and which layers train what.
   * @param {Study} study
   * @param {KnownTrial} trial
   * @param {() => boolean} isWanted whether the drawer still shows the trial as it is here
   */
  async function showMore(study, trial, isWanted) {
    try {
      if (hasLostAttempts(trial)) {
        const attempts = runsOf(await api.getRuns(study.id, leaving.signal, trial.id));
        if (isWanted()) panel.append(lostAttemptsOf(attempts) ?? "");
      }
      if (isCustom(study)) return;
      const map = maps.get(trial.id) ?? (await api.getModuleMaps(study.id, leaving.signal, trial.id));
      maps.set(trial.id, map);
      if (isWanted()) showModules(study, map);
    } catch {
      if (leaving.signal.aborted || !isWanted()) return;
      panel.append(hint("More of this trial could not be read. Close it and choose it again."));
    }
  }

  /**
   * @param {HTMLElement} place
   * @param {Study} study
   * @param {any} trial with a curve
   */
  function showCurve(place, study, trial) {
    curve = createLearningCurve(place, study, trial);
    const box = make("p", { class: "take-out" });
    offerPicture(box, `learning curve of trial ${trial.number}`, () => study.display_name, curve.picture);
    place.after(box);
  }

  /**
   * Which modules the trial trains in which layer, below its files.
   * @param {Study} study
   * @param {ModuleMaps} map
   */
  function showModules(study, map) {
    if (!map.modules.length) return;
    const root = make("section", { "aria-label": "Layers" });
    panel.append(make("h3", {}, "Layers"), root);
    const [number] = map.numbers;
    const cells = sizesOf(map, 0);
    modules = createPlot(root, {
      name: `layers of trial ${number}`,
      testId: "trial-modules",
      nameOfStudy: () => study.display_name,
      size: "modules",
    });
    modules.picture.style.height = `${map.layers * LAYER_PX + AROUND_LAYERS_PX}px`;
    modules.draw((colours) => mapOfModules(map, cells, colours, { asShare: false, small: true }), {
      label: `Sizes of the modules that trial ${number} trains in each layer.`,
      note: "Numbers are ranks, widths or lengths; layer 0 is the one after the embeddings.",
      records: recordsOfMap(map, cells, "size"),
    });
  }

  /**
   * @param {boolean} isChosen
   * @param {HTMLElement[]} parts
   */
  function put(isChosen, parts) {
    close();
    panel.toggleAttribute("data-open", isChosen);
    panel.replaceChildren(...(isChosen ? [closeButton(onClose)] : []), ...parts);
    if (!isChosen) panel.append(hint(INVITATION));
  }

  /**
   * @param {Study} study
   * @param {KnownTrial} trial
   */
  const recordOf = (study, trial) =>
    [tableOfSeeds(trial), hasRuns(trial) ? log.root : null, filesOf(api, study, trial, refused)].filter((part) => part !== null);

  return {
    close() {
      leaving.abort();
      close();
    },
    /** Move the focus to the drawer, which stands beside whatever is in view, and show its beginning. */
    focus() {
      panel.focus({ preventScroll: true });
      panel.scrollTop = 0;
    },
    /**
     * Show the chosen trial, or the best one until a trial is chosen.
     * @param {StudyData} data
     * @param {TrialRow | null} chosen
     */
    update({ study, trials, front, sequence }, chosen) {
      const row = chosen ?? trials.find(({ id }) => id === front.points[0]?.trial_id) ?? null;
      const content = JSON.stringify([row, chosen === null, row !== null && isOpen(row) ? sequence : 0]);
      // Left alone while nothing changes, so that a person can mark and copy the command.
      if (shown === content) return;
      shown = content;
      if (row === null) put(false, [title("Trial")]);
      else show(study, row, chosen !== null);
    },
  };
}

/** @param {() => void} onClose */
function closeButton(onClose) {
  const button = make("button", { type: "button", class: "quiet close", "data-testid": "close-trial" }, "Close");
  button.addEventListener("click", onClose);
  return button;
}

/**
 * @param {TrialRow} trial
 * @param {string} name
 */
function headOf(trial, name) {
  const chip = make("span");
  showState(chip, trial.state);
  const head = title(`${name} ${trial.number} `);
  head.append(chip);
  return head;
}

/**
 * @param {Study} study
 * @param {KnownTrial} trial
 * @returns {HTMLElement[]}
 */
function partsOf(study, trial) {
  const parts = [
    trial.is_head_only || isCustom(trial) ? null : make("p", { class: "modules" }, trial.modules),
    drawingOf(study, trial),
    hint(standingOf(trial)),
    beliefOf(trial),
    learnedOf(trial),
    reasonOf(trial),
    parametersOf(trial),
    metricsOf(study, trial),
    seedsOf(study, trial),
    ...curveOf(trial),
    ...explanationOf(study, trial).map(hint),
    exportOf(study, trial),
  ];
  return parts.filter((part) => part !== null);
}

/** @param {string} text */
const title = (text) => make("h2", { id: "details-title" }, text);

/** @param {string} text */
const hint = (text) => make("p", { class: "hint" }, text);

/** @param {KnownTrial} trial */
function standingOf(trial) {
  const words = [
    trial.on_front ? "on the front" : "",
    trial.is_head_only ? "head only: nothing but the classifier is trained" : "",
    trial.generated_by === "imported" ? "imported" : `generated by ${asWords(trial.generated_by)}`,
    trial.attempt > trial.replicates.length ? `${trial.attempt} attempts` : "",
  ];
  return words.filter(Boolean).join(" · ");
}

/**
 * What the models believe of its noisy metrics, and its chance of being on the front.
 * @param {TrialRow} trial
 */
function beliefOf({ belief }) {
  if (!belief) return null;
  const metrics = Object.entries(belief.metrics).map(
    ([name, { mean, standard_deviation }]) =>
      `${asWords(name)} ${formatWithError(name, mean, standard_deviation)}`,
  );
  return hint(
    `Believed: ${metrics.join(", ")}; ${percent(belief.chance)} to be on the front.`,
  );
}

/**
 * The former studies that the proposal rests on.
 * @param {Trial} trial
 */
function learnedOf({ explanation }) {
  const studies = Object.entries(explanation?.learned_from ?? {});
  if (!studies.length) return null;
  const words = studies.map(([id, weight]) => `${id} (${Math.round(100 * weight)} %)`);
  return hint(`learned from ${words.join(", ")}`);
}

/**
 * What stands in the way of taking the numbers at their word.
 * @param {Trial} trial
 */
function reasonOf({ state, state_reason, collapsed }) {
  if (collapsed) return warning("FAILED", "Collapsed: it predicts one and the same thing for every input.");
  return state_reason ? warning(state, state_reason) : null;
}

/**
 * @param {string} state
 * @param {string} text
 */
const warning = (state, text) => make("p", { class: "reason", "data-state": state }, text);

/** @param {Trial} trial */
function parametersOf(trial) {
  const words = describeParameters(trial.parameters);
  if (!words.length) return null;
  return make(
    "ul",
    { class: "words", "aria-label": "Parameters" },
    ...words.map((word) => make("li", {}, word)),
  );
}

/**
 * Validation beside test, a row for each metric: means over seeds with their standard errors. The metric
 * that is the score has one row, and what words say has none.
 * @param {Study} study
 * @param {Trial} trial
 */
function metricsOf(study, trial) {
  const { metrics, test_metrics, metric_standard_errors, test_metric_standard_errors } = trial;
  const saidElsewhere = [scoreMetric(study), ...SAID_IN_WORDS];
  const measured = [...FIRST_METRICS, ...Object.keys(metrics), ...Object.keys(test_metrics)].filter(
    (name) => !saidElsewhere.includes(name) && (name in metrics || name in test_metrics),
  );
  const names = [...new Set(measured)];
  if (!names.length) return null;
  const cell = (/** @type {string} */ text) => make("td", { class: "number" }, text);
  const rows = names.map((name) => {
    const test = formatWithError(name, test_metrics[name], test_metric_standard_errors[name]);
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, headingOf(study, name)),
      cell(formatWithError(name, metrics[name], metric_standard_errors[name])),
      ...(isCustom(study) ? [] : [cell(test)]),
    );
  });
  const titles = isCustom(study) ? ["Metric", "Measured"] : ["Metric", "Validation", "Test"];
  const heads = titles.map((text, place) => make("th", { scope: "col", class: place ? "number" : "" }, text));
  return make(
    "table",
    { class: "metrics" },
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...rows),
  );
}

/**
 * Each seed by itself, once there is more than one.
 * @param {Study} study
 * @param {Trial} trial
 */
function seedsOf(study, { replicates }) {
  if (replicates.length < 2) return null;
  const name = isCustom(study) ? study.objectives[0].metric : "score";
  const words = replicates.map(({ seed, state, metrics }) => {
    const value =
      metrics[name] === undefined ? asWords(state).toLowerCase() : formatMetric(name, metrics[name]);
    return `${seed}: ${value}`;
  });
  return hint(`${metricFormat(name).label} by seed: ${words.join(" · ")}`);
}

/**
 * The learning curve, and in words what it was predicted to come to.
 * @param {Trial} trial
 */
function curveOf(trial) {
  if (!hasCurve(trial)) return [];
  const prediction = predictionOf(trial);
  const picture = make("div", {
    class: "chart curve",
    role: "img",
    "aria-label": curveInWords(trial),
    "data-testid": "learning-curve",
  });
  return prediction ? [picture, hint(predictionInWords(prediction))] : [picture];
}

/**
 * @param {Study} study
 * @param {Trial} trial
 */
function exportOf(study, trial) {
  if (trial.state !== "SUCCEEDED" || isCustom(trial)) return null;
  const command = `paretune export ${study.id} --trial ${trial.number}`;
  return make("p", { class: "hint" }, "Download it: ", make("code", {}, command));
}
