/** One study: its head, the charts, the chosen trial and the table of trials. */

import { inAddress, nameTrial } from "./address.js";
import { ApiProblem } from "./api.js";
import { chosenAxes, offerAxes } from "./axes.js";
import { find, fromTemplate, named, showText } from "./elements.js";
import { createHypervolumeChart } from "./hypervolume_chart.js";
import { showImportance } from "./importance_bars.js";
import { createParetoChart } from "./pareto_chart.js";
import { startPolling } from "./polling.js";
import { hintAtWidth } from "./sideways.js";
import { hasEnded, studyReader } from "./study_data.js";
import { connectVerbs, showHeader } from "./study_header.js";
import { showReferencePoint, showTiles } from "./study_tiles.js";
import { createTrialDetails } from "./trial_details.js";
import { createTrialsTable } from "./trials_table.js";
import { showLoading, showMissing } from "./waiting.js";

/** @import {Api} from "./api.js" */
/** @import {Frame} from "./main.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {Trial} from "./types.js" */

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
  const polling = startPolling(async (signal) => {
    const data = await read(signal);
    view ??= openView(root, tell);
    view.update(data);
    frame.settled(livenessOf(data));
    return hasEnded(data.study);
  }, failed);

  function failed(/** @type {unknown} */ error) {
    if (!(error instanceof ApiProblem) || error.status !== 404) return frame.failed(error);
    view?.close();
    view = null;
    frame.settled("");
    showMissing(root, id);
    return true;
  }

  async function tell(/** @type {string} */ verb) {
    try {
      await api.tellStudy(id, verb);
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
    view?.close();
  };
}

/**
 * Put the view on the page. Charts need an element that has a size, so this waits for the first data.
 * @param {HTMLElement} root
 * @param {(verb: string) => void} tell
 */
function openView(root, tell) {
  const view = fromTemplate("study");
  root.replaceChildren(view);
  connectVerbs(view, tell);
  const axes = named(view, "axes");
  const pareto = createParetoChart(named(view, "pareto-chart"), select);
  const hypervolume = createHypervolumeChart(named(view, "hypervolume-chart"));
  const details = createTrialDetails(named(view, "details"));
  const table = createTrialsTable(named(view, "trials"), named(view, "trial-filter"), select);
  hintAtWidth(find(view, ".scroll"), named(view, "wide-table"));
  /** @type {StudyData} */
  let data;
  /** @type {Trial | null} */
  let selected = null;

  function select(/** @type {Trial} */ trial) {
    nameTrial(trial.number);
    draw();
    table.reveal(trial.id);
    details.bringIntoView();
  }

  /** Back leads to the row that was left: the browser scrolls there by itself, the focus does not go by itself. */
  function follow() {
    const left = selected;
    draw();
    if (left !== null) table.focusOn(left.id);
  }

  function draw() {
    const number = inAddress("trial");
    selected = data.trials.find((trial) => String(trial.number) === number) ?? null;
    pareto.update(data, chosenAxes(axes, data), selected);
    table.update(data, selected?.id ?? null);
    details.update(data, selected);
  }

  function update(/** @type {StudyData} */ latest) {
    data = latest;
    document.title = `${data.study.display_name} · Paretune`;
    showHeader(view, data.study);
    showTiles(named(view, "tiles"), data);
    showReferencePoint(named(view, "reference-point"), data.study);
    showEmptyStates(view, data);
    offerAxes(axes, data, draw);
    hypervolume.update(data);
    showImportance(named(view, "importance"), data.study, data.importance);
    const recommended = data.knee?.trial_id ? `Recommended: ${data.knee.reason}` : data.knee?.reason;
    showText(named(view, "knee"), recommended ?? null);
    draw();
  }

  function close() {
    pareto.dispose();
    hypervolume.dispose();
    details.close();
  }

  return { update, follow, close };
}

/**
 * Where there is nothing to draw yet, say so instead.
 * @param {HTMLElement} view
 * @param {StudyData} data
 */
function showEmptyStates(view, { study, trials, history }) {
  const measured = trials.some((trial) => trial.state === "SUCCEEDED");
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
 * @param {HTMLElement} hint stands right before what it replaces
 * @param {string | null} text
 */
function showInstead(hint, text) {
  hint.hidden = text === null;
  hint.textContent = text;
  /** @type {HTMLElement} */ (hint.nextElementSibling).hidden = text !== null;
}

/** @param {StudyData} data */
function livenessOf({ study }) {
  if (hasEnded(study)) return "finished";
  return study.state === "PAUSED" ? "paused" : "live";
}
