/** The list of studies: state, progress, the best so far, age. */

import { arrange, find, fromTemplate, make, named, showState } from "./elements.js";
import { budgetText, formatAge, formatMetric, metricFormat, scoreName, trainingsDone } from "./format.js";
import { startPolling } from "./polling.js";
import { hintAtWidth } from "./sideways.js";
import { offerTable } from "./take_out.js";
import { showLoading } from "./waiting.js";

/** @import {Api} from "./api.js" */
/** @import {Frame} from "./main.js" */
/** @import {ParetoFront, Study} from "./types.js" */

/** @typedef {{results: number, front: ParetoFront}} KnownFront */

/**
 * Show the list until the function that this returns is called.
 * @param {HTMLElement} root
 * @param {Api} api
 * @param {Frame} frame
 */
export function showStudies(root, api, frame) {
  const view = fromTemplate("studies");
  const older = named(view, "older-studies");
  const rows = new Map();
  const fronts = new Map();
  let pages = 1;
  /** @type {Study[]} */
  let listed = [];
  const take = named(view, "take-studies");
  offerTable(take, "list", () => "studies", () => listed.map((study) => recordOf(study, fronts.get(study.id)?.front)));
  hintAtWidth(find(view, ".sideways"), named(view, "wide-table"));

  const polling = startPolling(async (signal) => {
    const { studies, more } = await listPages(api, pages, signal);
    await refreshFronts(api, studies, fronts, signal);
    listed = studies;
    take.hidden = studies.length === 0;
    named(view, "no-study").hidden = studies.length > 0;
    named(view, "studies").hidden = studies.length === 0;
    older.hidden = !more;
    const body = find(view, "tbody");
    arrange(
      body,
      studies.map((study) => rowOf(rows, study, fronts.get(study.id)?.front)),
    );
    if (!view.isConnected) root.replaceChildren(view);
    frame.settled("asking");
    return false;
  }, frame.failed);

  older.addEventListener("click", () => {
    pages += 1;
    polling.again();
  });
  showLoading(root, "studies");
  return polling.stop;
}

/**
 * @param {Api} api
 * @param {number} pages
 * @param {AbortSignal} signal
 */
async function listPages(api, pages, signal) {
  /** @type {Study[]} */
  const studies = [];
  /** @type {string | null} */
  let token = null;
  for (let page = 0; page < pages; page += 1) {
    const answer = await api.listStudies(token, signal);
    studies.push(...answer.studies);
    token = answer.next_page_token;
    if (token === null) break;
  }
  return { studies, more: token !== null };
}

/**
 * Read the fronts that may have changed: a front changes only with another result.
 * @param {Api} api
 * @param {Study[]} studies
 * @param {Map<string, KnownFront>} fronts
 * @param {AbortSignal} signal
 */
async function refreshFronts(api, studies, fronts, signal) {
  const changed = studies.filter((study) => resultsOf(study) !== (fronts.get(study.id)?.results ?? 0));
  await Promise.all(
    changed.map(async (study) => {
      fronts.set(study.id, { results: resultsOf(study), front: await api.getFront(study.id, signal) });
    }),
  );
}

/**
 * Every ended replicate may move the front: a trial's first, and each of its final ones.
 * @param {Study} study
 */
const resultsOf = ({ trials, replicate_counts }) => trials.succeeded + replicate_counts.done;

/**
 * @param {Map<string, HTMLTableRowElement>} rows
 * @param {Study} study
 * @param {ParetoFront | undefined} front
 */
function rowOf(rows, study, front) {
  const row = rows.get(study.id) ?? newRow(study);
  rows.set(study.id, row);
  showState(find(row, ".chip"), study.state);
  const bar = find(row, "progress");
  bar.max = study.budget.trials;
  bar.value = trainingsDone(study);
  find(row, ".progress-text").textContent = budgetText(study);
  find(row, ".best").textContent = bestOf(study, front);
  find(row, ".front-size").textContent = front ? String(front.points.length) : "";
  find(row, ".age").textContent = formatAge(study.created_at, Date.now());
  return row;
}

/** @param {Study} study */
function newRow(study) {
  const { configuration } = study;
  const what =
    configuration === null ? "custom study" : `${configuration.backbone} · ${configuration.task.name}`;
  const link = make("a", { href: `#study=${encodeURIComponent(study.id)}` }, study.display_name);
  return make(
    "tr",
    { role: "row", "data-testid": `study-${study.id}` },
    make("th", { scope: "row", role: "rowheader" }, link, make("p", { class: "meta" }, what)),
    make("td", { role: "cell", "data-title": "State" }, make("span", { class: "chip" })),
    make(
      "td",
      { role: "cell", "data-title": "Progress" },
      make("span", { class: "progress-text" }),
      make("progress", { "aria-label": "Trials ended" }),
    ),
    make("td", { role: "cell", class: "number best", "data-title": "Best score" }),
    make("td", { role: "cell", class: "number front-size", "data-title": "On front" }),
    make("td", { role: "cell", class: "number age", "data-title": "Started" }),
  );
}

/**
 * @param {Study} study
 * @param {ParetoFront | undefined} front
 */
function bestOf(study, front) {
  const { metric } = study.objectives[0];
  const best = front?.points[0]?.metrics[metric];
  if (best === undefined) return "";
  const { label, unit } = metricFormat(metric);
  return metric === "score"
    ? `${formatMetric(metric, best)} ${scoreName(study)}`.trim()
    : `${formatMetric(metric, best)} ${unit || label.toLowerCase()}`;
}

/**
 * A study as a row of a file.
 * @param {Study} study
 * @param {ParetoFront | undefined} front
 */
const recordOf = (study, front) => ({
  id: study.id,
  display_name: study.display_name,
  state: study.state,
  trials: study.budget.trials,
  done: trainingsDone(study),
  hypervolume: study.hypervolume,
  on_front: front?.points.length ?? 0,
  created_at: study.created_at,
  finished_at: study.finished_at,
});
