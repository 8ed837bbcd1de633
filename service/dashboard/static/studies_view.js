/** The list of studies: found by words, state, tag and backbone, in an order of choice, with what may be done. */

import { arrange, find, fromTemplate, named } from "./elements.js";
import { createListTools } from "./list_tools.js";
import { readPages } from "./pages.js";
import { startPolling } from "./polling.js";
import { hintAtWidth } from "./sideways.js";
import { createActions } from "./study_actions.js";
import { recordOfStudy, studyRow } from "./study_row.js";
import { offerTable } from "./take_out.js";
import { showLoading } from "./waiting.js";

/** @import {Api} from "./api.js" */
/** @import {Frame} from "./main.js" */
/** @import {ParetoFront, Study} from "./types.js" */

/** @typedef {{results: number, front: ParetoFront}} KnownFront */
/** @typedef {{study: Study, front: ParetoFront | undefined, trace: (number | null)[]}} Listed */

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
  /** @type {Listed[]} */
  let listed = [];
  let isNarrowed = false;
  const take = named(view, "take-studies");
  const tools = createListTools(named(view, "list-tools"), { again: askAnew, redraw: draw });
  const actions = createActions(view, api, frame, askAnew);
  offerTable(take, "list", () => "studies", () => tools.inOrder(listed).map(recordOfStudy));
  hintAtWidth(find(view, ".sideways"), named(view, "wide-table"));

  const polling = startPolling(async (signal) => {
    const wanted = tools.wanted();
    const answer = await readPages(pages, (token) => api.listStudies(wanted, token, signal));
    const studies = answer.pages.flatMap((page) => page.studies);
    const traces = Object.assign({}, ...answer.pages.map((page) => page.hypervolume_traces));
    isNarrowed = Object.keys(wanted).length > 0;
    await refreshFronts(api, studies, fronts, signal);
    listed = studies.map((study) => ({
      study,
      front: fronts.get(study.id)?.front,
      trace: traces[study.id] ?? [],
    }));
    older.hidden = !answer.more;
    draw();
    if (!view.isConnected) root.replaceChildren(view);
    frame.settled("asking");
    return false;
  }, frame.failed);

  function draw() {
    tools.offer(listed.map(({ study }) => study));
    const isEmpty = listed.length === 0;
    take.hidden = isEmpty;
    named(view, "list-tools").hidden = isEmpty && !isNarrowed;
    named(view, "no-study").hidden = !isEmpty || isNarrowed;
    named(view, "none-fits").hidden = !isEmpty || !isNarrowed;
    named(view, "studies").hidden = isEmpty;
    arrange(
      find(view, "tbody"),
      tools.inOrder(listed).map((one) => studyRow(rows, one, actions)),
    );
  }

  function askAnew() {
    return polling.again();
  }

  older.addEventListener("click", () => {
    pages += 1;
    polling.again();
  });
  named(view, "show-all").addEventListener("click", tools.clear);
  showLoading(root, "studies");
  return () => {
    polling.stop();
    tools.stop();
  };
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
