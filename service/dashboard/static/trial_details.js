/**
 * The chosen trial: what it trained, how it learned, what came out, and how to take it home. While a trial stays
 * on show, news change what they are about and leave everything else where a person has it.
 */

import { isNoAnswer } from "./api.js";
import { arrange, hint, make } from "./elements.js";
import { isCustom } from "./format.js";
import { createCurvePart } from "./learning_curve.js";
import { mapOfModules, recordsOfMap, sizesOf } from "./module_map.js";
import { createPlot } from "./plot.js";
import { runsOf } from "./runs.js";
import { createTrialLog } from "./trial_log.js";
import { filesOf, hasLostAttempts, hasRuns, lostAttemptsOf, tableOfSeeds } from "./trial_record.js";
import { headOf, partsOf, title } from "./trial_words.js";

/** @import {Api} from "./api.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {KnownTrial} from "./trial_words.js" */
/** @import {ModuleMaps, Study, Trial, TrialRow} from "./types.js" */

/**
 * @typedef {object} Shown what stays while one trial stays on show
 * @property {string} id
 * @property {boolean} isChosen else it is the best one
 * @property {{changed: number, trial: Trial} | null} known the trial as it was read last
 * @property {boolean} isWhole whether `lost` and `layers` are those of the known trial
 * @property {HTMLElement[]} parts
 * @property {HTMLElement | null} lost
 * @property {HTMLElement[]} layers
 * @property {ReturnType<typeof createCurvePart>} curve
 * @property {ReturnType<typeof createPlot> | null} plot of the layers
 */

const LAYER_PX = 20;
const AROUND_LAYERS_PX = 80;
const INVITATION = "Choose any point or row to see what it trained.";
const NOT_READ = "This trial could not be read. Choose it to try again.";
const NOT_WHOLE = "More of this trial could not be read. Close it and choose it again.";

/**
 * @param {HTMLElement} panel a card that becomes a drawer once a trial is chosen
 * @param {Api} api
 * @param {{onClose: () => void, refused: (error: unknown) => void}} actions
 */
export function createTrialDetails(panel, api, { onClose, refused }) {
  /** What is shown of which trial; nothing where it has to be asked for again. */
  let content = "";
  /** @type {Shown | null} */
  let shown = null;
  /** @type {Map<string, ModuleMaps>} by trial, for none ever changes */
  const maps = new Map();
  const leaving = new AbortController();
  const log = createTrialLog(api, refused);
  const closer = closeButton(onClose);

  function leave() {
    log.stop();
    shown?.curve.dispose();
    shown?.plot?.dispose();
    shown = null;
  }

  /**
   * Begin to show another trial, or go on with the same.
   * @param {TrialRow} row
   * @param {boolean} isChosen
   */
  function enter(row, isChosen) {
    if (shown?.id === row.id && shown.isChosen === isChosen) return shown;
    leave();
    const parts = [headOf(row, isChosen)];
    const curve = createCurvePart();
    shown = { id: row.id, isChosen, known: null, isWhole: false, parts, lost: null, layers: [], curve, plot: null };
    put(shown, "Loading");
    return shown;
  }

  /**
   * @param {Study} study
   * @param {TrialRow} row
   * @param {boolean} isChosen
   */
  async function show(study, row, isChosen) {
    const wanted = content;
    const isWanted = () => content === wanted && !leaving.signal.aborted;
    const own = enter(row, isChosen);
    try {
      const isNews = own.known?.changed !== row.changed;
      const read = isNews ? await api.getTrial(study.id, row.id, leaving.signal) : own.known?.trial;
      if (!isWanted()) return;
      const trial = /** @type {KnownTrial} */ ({ ...row, ...read, on_front: row.on_front });
      own.known = { changed: row.changed, trial };
      own.isWhole &&= !isNews;
      draw(study, trial, own);
      if (isNews && isChosen && hasRuns(trial)) log.show(study, trial);
      if (isChosen && !own.isWhole) await showMore(study, trial, own, isWanted);
    } catch (error) {
      if (!isWanted()) return;
      // With the next news it is asked for again.
      content = "";
      if (!isNoAnswer(error)) refused(error);
      put(own, NOT_READ);
    }
  }

  /**
   * @param {Study} study
   * @param {KnownTrial} trial
   * @param {Shown} own
   */
  function draw(study, trial, own) {
    const { isChosen, curve } = own;
    const words = partsOf(study, trial, curve.parts(trial));
    own.parts = [headOf(trial, isChosen), ...words, ...(isChosen ? recordOf(study, trial) : [])];
    put(own);
    curve.draw(study, trial);
  }

  /**
   * What has to be asked for by itself: attempts that were given back, and which layers train what.
   * @param {Study} study
   * @param {KnownTrial} trial
   * @param {Shown} own
   * @param {() => boolean} isWanted whether the drawer still shows the trial as it is here
   */
  async function showMore(study, trial, own, isWanted) {
    try {
      const attempts = hasLostAttempts(trial) ? await api.getRuns(study.id, leaving.signal, trial.id) : null;
      const map = isCustom(study) ? null : await mapOf(study, trial);
      if (!isWanted()) return;
      own.lost = attempts === null ? null : lostAttemptsOf(runsOf(attempts));
      own.isWhole = true;
      put(own);
      if (map?.modules.length && own.plot === null) showLayers(study, map, own);
    } catch (error) {
      if (!isNoAnswer(error)) throw error;
      if (isWanted()) put(own, NOT_WHOLE);
    }
  }

  /**
   * @param {Study} study
   * @param {KnownTrial} trial
   */
  async function mapOf(study, { id }) {
    const map = maps.get(id) ?? (await api.getModuleMaps(study.id, leaving.signal, id));
    maps.set(id, map);
    return map;
  }

  /**
   * Which modules the trial trains in which layer, below its files.
   * @param {Study} study
   * @param {ModuleMaps} map
   * @param {Shown} own
   */
  function showLayers(study, map, own) {
    const root = make("section", { "aria-label": "Layers" });
    own.layers = [make("h3", {}, "Layers"), root];
    // A chart needs an element that is on the page.
    put(own);
    const [number] = map.numbers;
    const cells = sizesOf(map, 0);
    own.plot = createPlot(root, {
      name: `layers of trial ${number}`,
      testId: "trial-modules",
      nameOfStudy: () => study.display_name,
      size: "modules",
    });
    own.plot.picture.style.height = `${map.layers * LAYER_PX + AROUND_LAYERS_PX}px`;
    own.plot.draw((colours) => mapOfModules(map, cells, colours, { asShare: false, small: true }), {
      label: `Sizes of the modules that trial ${number} trains in each layer.`,
      note: "Numbers are ranks, widths or lengths; layer 0 is the one after the embeddings.",
      records: recordsOfMap(map, cells, "size"),
    });
  }

  /**
   * Put on the page what there is of the trial. What stands there already stays, and with it how far it was
   * scrolled and what a person has marked.
   * @param {Pick<Shown, "isChosen" | "parts" | "lost" | "layers">} own
   * @param {string} [remark]
   */
  function put({ isChosen, parts, lost, layers }, remark = "") {
    panel.toggleAttribute("data-open", isChosen);
    const begin = isChosen ? [closer] : [];
    const end = [...(remark ? [hint(remark)] : []), ...(isChosen ? [] : [hint(INVITATION)])];
    const wanted = [...begin, ...parts, ...(lost === null ? [] : [lost]), ...layers, ...end];
    arrange(panel, asTheyStand(panel, wanted));
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
      leave();
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
    update({ study, trials, front }, chosen) {
      const row = chosen ?? trials.find(({ id }) => id === front.points[0]?.trial_id) ?? null;
      const latest = JSON.stringify([row, chosen === null]);
      if (content === latest) return;
      content = latest;
      if (row !== null) show(study, row, chosen !== null);
      else {
        leave();
        put({ isChosen: false, parts: [title("Trial")], lost: null, layers: [] });
      }
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
 * Parts of one trial, each as it stands on the page already where it says the same.
 * @param {HTMLElement} panel
 * @param {HTMLElement[]} parts
 */
function asTheyStand(panel, parts) {
  const old = /** @type {HTMLElement[]} */ ([...panel.children]).filter((child) => !parts.includes(child));
  return parts.map((part) => {
    const same = part.parentElement === panel ? -1 : old.findIndex((child) => child.isEqualNode(part));
    return same < 0 ? part : old.splice(same, 1)[0];
  });
}
