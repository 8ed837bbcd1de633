/** One study: its head, the charts, the chosen trial and the table of trials. */

import { inAddress, nameTrial } from "./address.js";
import { ApiProblem } from "./api.js";
import { chosenAxes, measuredMetrics, offerAxes } from "./axes.js";
import { createDecision } from "./decide.js";
import { createAcceptDialog, createAcceptedBox } from "./accepted.js";
import { find, fromTemplate, named, showText } from "./elements.js";
import { followEvents } from "./event_stream.js";
import { createFrontSlider } from "./front_slider.js";
import { createHypervolumeChart } from "./hypervolume_chart.js";
import { recordsOfImportance, showImportance } from "./importance_bars.js";
import { createParetoChart } from "./pareto_chart.js";
import { createPlotOptions } from "./plot_options.js";
import { nextTask, startPolling } from "./polling.js";
import { hintAtWidth } from "./sideways.js";
import { hasEnded, studyReader } from "./study_data.js";
import { connectVerbs, showHeader } from "./study_header.js";
import { showFirstTiles, showReferencePoint, showTiles } from "./study_tiles.js";
import { offerPicture, offerTable } from "./take_out.js";
import { createTrialDetails } from "./trial_details.js";
import { recordOfTrial } from "./trial_store.js";
import { createTrialsTable } from "./trials_table.js";
import { createUnderstanding } from "./understand.js";
import { showLoading, showMissing } from "./waiting.js";

/** @import {Api} from "./api.js" */
/** @import {Frame} from "./main.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {ParetoPoint, Study, TrialRow} from "./types.js" */

/**
 * Show a study until the function that this returns is called.
 * @param {HTMLElement} root
 * @param {Api} api
 * @param {Frame} frame
 * @param {string} id
 */
export function showStudy(root, api, frame, id) {
  const read = studyReader(api, id);
  /** @type {ReturnType<typeof openView> | null} */
  let view = null;
  /** @type {ReturnType<typeof followEvents> | null} */
  let events = null;
  const hearsEvents = () => events?.isOpen() ?? false;

  function showHead(/** @type {Study} */ study) {
    view ??= openView(root, api, frame, { tell, accept });
    view.showStudy(study);
  }

  async function load(/** @type {AbortSignal} */ signal) {
    const data = await read(signal, showHead);
    await view?.update(data);
    const isOver = hasEnded(data.study);
    if (isOver) leaveEvents();
    else events ??= followEvents(api, id, data.sequence, () => polling.hear());
    frame.settled(livenessOf(data, hearsEvents()));
    return isOver;
  }

  const polling = startPolling(load, failed, hearsEvents);

  function leaveEvents() {
    events?.stop();
    events = null;
  }

  function failed(/** @type {unknown} */ error) {
    if (!(error instanceof ApiProblem) || error.status !== 404) return frame.failed(error);
    leaveEvents();
    view?.close();
    view = null;
    frame.settled("");
    showMissing(root, id);
    return true;
  }

  const tell = (/** @type {string} */ verb) => after(api.tellStudy(id, verb));
  const accept = (/** @type {string} */ trialId, /** @type {string} */ reason) =>
    after(api.acceptTrial(id, trialId, reason));

  /** Show what became of a change, or why it was refused. */
  async function after(/** @type {Promise<Study>} */ change) {
    try {
      await change;
    } catch (error) {
      frame.refused(error);
    }
    await polling.again();
  }

  const follow = () => view?.follow();
  addEventListener("hashchange", follow);
  showLoading(root, "the study");
  return () => {
    removeEventListener("hashchange", follow);
    polling.stop();
    leaveEvents();
    view?.close();
  };
}

/**
 * Put the view on the page, with nothing in it yet.
 * @param {HTMLElement} root
 * @param {Api} api
 * @param {Frame} frame
 * @param {{tell: (verb: string) => void, accept: (trialId: string, reason: string) => void}} actions
 */
function openView(root, api, frame, { tell, accept }) {
  const view = fromTemplate("study");
  root.replaceChildren(view);
  connectVerbs(view, tell);
  const axes = named(view, "axes");
  const pareto = createParetoChart(named(view, "pareto-chart"), named(view, "walked"), select);
  const hypervolume = createHypervolumeChart(named(view, "hypervolume-chart"));
  const details = createTrialDetails(named(view, "details"), api, { onClose: leaveTrial, refused: frame.refused });
  const table = createTrialsTable(named(view, "trials"), named(view, "trial-filter"), select);
  const decision = createDecision(named(view, "decide"), {
    onAccept: createAcceptDialog(named(view, "accept-dialog"), accept),
    onBounds: redrawPlot,
  });
  const options = createPlotOptions(named(view, "plot-options"), redrawPlot);
  const slider = createFrontSlider(named(view, "front-history"), api, { onFront: showFormer, failed: frame.refused });
  const accepted = createAcceptedBox(named(view, "accepted"), api, frame.refused);
  const nameOfStudy = () => data?.study.display_name ?? "study";
  const understanding = createUnderstanding(named(view, "understand"), {
    api,
    nameOfStudy,
    select,
    narrow,
    failed: frame.refused,
  });
  offerPicture(named(view, "take-pareto"), "Pareto front", nameOfStudy, pareto.picture);
  offerPicture(named(view, "take-hypervolume"), "hypervolume", nameOfStudy, hypervolume.picture);
  offerTable(named(view, "take-trials"), "trials", nameOfStudy, () => table.shown().map(recordOfTrial));
  offerTable(named(view, "take-importance"), "importance", nameOfStudy, () =>
    data === null ? [] : recordsOfImportance(data.importance),
  );
  hintAtWidth(find(view, ".scroll"), named(view, "wide-table"));
  /** @type {StudyData | null} */
  let data = null;
  /** @type {string[]} */
  let measured = [];
  /** @type {TrialRow | null} */
  let selected = null;
  let isClosed = false;
  /** @type {ParetoPoint[] | null} */
  let former = null;
  /** @type {((trial: TrialRow) => boolean) | null} */
  let narrowed = null;
  let isDue = false;
  view.addEventListener("keydown", (event) => {
    const isElsewhere = /** @type {HTMLElement} */ (event.target).closest("dialog, select, input") !== null;
    if (event.key === "Escape" && selected !== null && !isElsewhere) leaveTrial();
  });

  function select(/** @type {TrialRow} */ trial) {
    nameTrial(trial.number);
    draw();
    table.reveal(trial.id);
    details.focus();
  }

  function leaveTrial() {
    nameTrial(null);
    follow();
  }

  /** Back leads to the row that was left: the browser scrolls there by itself, the focus does not go by itself. */
  function follow() {
    const left = selected;
    draw();
    if (left !== null) table.focusOn(left.id);
  }

  function draw() {
    if (data === null) return;
    drawPlot(data);
    drawTrials(data);
  }

  function drawPlot(/** @type {StudyData} */ latest) {
    const number = inAddress("trial");
    selected = latest.trials.find((trial) => String(trial.number) === number) ?? null;
    pareto.update(latest, chosenAxes(axes, latest), selected, {
      shadedBy: options.shadedBy(),
      showsBelief: options.showsBelief(),
      former,
      keeps: (trial) => decision.keeps(trial) && (narrowed?.(trial) ?? true),
    });
  }

  function changeAxes() {
    if (data === null) return;
    options.update(data, measured, chosenAxes(axes, data));
    drawPlot(data);
  }

  function redrawPlot() {
    if (data !== null) drawPlot(data);
  }

  function showFormer(/** @type {ParetoPoint[] | null} */ points) {
    former = points;
    redrawPlot();
  }

  /** Dim what is outside of a selection that was made in another plot. */
  async function narrow(/** @type {((trial: TrialRow) => boolean) | null} */ keeps) {
    if (keeps === null && narrowed === null) return;
    narrowed = keeps;
    if (isDue) return;
    isDue = true;
    // Both plots at once would take too long where there are thousands of trials.
    await nextTask();
    isDue = false;
    if (!isClosed) redrawPlot();
  }

  function drawTrials(/** @type {StudyData} */ latest) {
    table.update(latest, selected?.id ?? null);
    details.update(latest, selected);
  }

  function showStudy(/** @type {Study} */ study) {
    document.title = `${study.display_name} · Paretune`;
    showHeader(view, study);
    if (data === null) showFirstTiles(named(view, "tiles"), study);
  }

  /** In parts, so that the page answers in between: thousands of trials take their time. */
  async function update(/** @type {StudyData} */ latest) {
    data = latest;
    showTiles(named(view, "tiles"), latest);
    showReferencePoint(named(view, "reference-point"), latest.study);
    showEmptyStates(view, latest);
    measured = measuredMetrics(latest);
    offerAxes(axes, latest.study, measured, changeAxes);
    options.update(latest, measured, chosenAxes(axes, latest));
    const recommended = latest.knee?.trial_id ? `Recommended: ${latest.knee.reason}` : latest.knee?.reason;
    showText(named(view, "knee"), recommended ?? null);
    drawPlot(latest);
    await nextTask();
    if (isClosed) return;
    hypervolume.update(latest);
    slider.update(latest);
    decision.update(latest);
    accepted.update(latest.study);
    showImportance(named(view, "importance"), latest.study, latest.importance);
    await nextTask();
    if (isClosed) return;
    drawTrials(latest);
    showWhatIsRead(view);
    await nextTask();
    if (!isClosed) understanding.update(latest);
  }

  function close() {
    isClosed = true;
    pareto.dispose();
    hypervolume.dispose();
    slider.close();
    understanding.close();
    details.close();
    accepted.close();
  }

  return { showStudy, update, follow, close };
}

/**
 * Where there is nothing to draw yet, say so instead.
 * @param {HTMLElement} view
 * @param {StudyData} data
 */
function showEmptyStates(view, { study, trials, history }) {
  const measured = trials.some(({ state, progress }) => state === "SUCCEEDED" || progress !== null);
  const volumes = history.records.some((record) => record.hypervolume !== null);
  const nothingComes = hasEnded(study) ? "No trial of this study succeeded." : null;
  showInstead(
    named(view, "pareto-empty"),
    measured ? null : (nothingComes ?? "Points appear here as trials are measured."),
  );
  showInstead(
    named(view, "hypervolume-empty"),
    volumes
      ? null
      : (nothingComes ?? "Drawn once every objective has a reference: after five results at the latest."),
  );
  showInstead(
    named(view, "no-trial"),
    trials.length ? null : (nothingComes ?? "The first trial is being proposed."),
  );
}

/**
 * Offer files only now: before, they would hold nothing.
 * @param {HTMLElement} view
 */
function showWhatIsRead(view) {
  named(view, "reading").hidden = true;
  for (const name of ["pareto", "hypervolume", "importance", "trials"]) named(view, `take-${name}`).hidden = false;
}

/**
 * @param {HTMLElement} hint stands right before what it replaces
 * @param {string | null} text
 */
function showInstead(hint, text) {
  hint.hidden = text === null;
  hint.textContent = text;
  /** @type {HTMLElement} */ (hint.nextElementSibling).hidden = text !== null;
}

/**
 * @param {StudyData} data
 * @param {boolean} hearsEvents
 */
function livenessOf({ study }, hearsEvents) {
  if (hasEnded(study)) return "finished";
  if (study.state === "PAUSED") return "paused";
  return hearsEvents ? "live" : "asking";
}
