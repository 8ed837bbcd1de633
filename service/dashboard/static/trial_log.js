/** The last lines of log of a trial's attempts, live while it runs. The newest attempt is open. */

import { isNoAnswer, mayPass } from "./api.js";
import { make } from "./elements.js";
import { formatCount } from "./format.js";
import { startPolling } from "./polling.js";
import { isOpen } from "./study_data.js";

/** @import {Api} from "./api.js" */
/** @import {AttemptLog, Study, Trial} from "./types.js" */

/** @typedef {{details: HTMLDetailsElement, summary: HTMLElement, note: HTMLElement, lines: HTMLElement, top: number | null}} Shown */

const AT_THE_END_PX = 4;
const NOTHING_YET = "Nothing has been said yet. Lines arrive with the heartbeats of its worker.";
const NOTHING = "No line of log was sent for this trial.";
const NOT_READ = "The log could not be read.";
const GOES_ON = "The log cannot be read at the moment; the page goes on asking.";
/** In a row; one alone is over before anybody could act on it. */
const LASTING_FAILURES = 3;

/**
 * @param {Api} api
 * @param {(error: unknown) => void} refused told of a mistake of this page
 */
export function createTrialLog(api, refused) {
  const hint = make("p", { class: "hint" });
  const root = make("section", { class: "log", "aria-label": "Log", "data-testid": "trial-log" });
  /** @type {Map<number, Shown>} by attempt */
  const shown = new Map();
  let shownId = "";
  let failures = 0;
  /** @type {ReturnType<typeof startPolling> | null} */
  let polling = null;

  /**
   * @param {AttemptLog[]} logs
   * @param {string} withoutLines
   */
  function draw(logs, withoutLines) {
    hint.textContent = logs.length ? "" : withoutLines;
    for (const log of logs) {
      let known = shown.get(log.attempt);
      if (known === undefined) {
        for (const { details } of shown.values()) details.open = false;
        known = attemptOf(log);
        shown.set(log.attempt, known);
        hint.before(known.details);
      }
      fill(known, log);
    }
  }

  /**
   * Say what stands in the way of the log, and whether to give up.
   * @param {unknown} error
   */
  function failed(error) {
    failures += 1;
    if (!isNoAnswer(error)) refused(error);
    if (!mayPass(error)) hint.textContent = NOT_READ;
    else if (failures >= LASTING_FAILURES) hint.textContent = GOES_ON;
    return !mayPass(error);
  }

  function stop() {
    polling?.stop();
    polling = null;
  }

  return {
    root,
    stop,
    /**
     * Show the lines of a trial; `root` is on the page.
     * @param {Study} study
     * @param {Trial} trial
     */
    show(study, trial) {
      stop();
      if (trial.id !== shownId) {
        shownId = trial.id;
        failures = 0;
        shown.clear();
        root.replaceChildren(make("h3", {}, "Log"), hint);
        hint.textContent = "";
      }
      // Moved on the page, an element forgets how far it was scrolled.
      for (const one of shown.values()) scroll(one);
      const runs = isOpen(trial) || trial.replicates.some(isOpen);
      const withoutLines = runs ? NOTHING_YET : NOTHING;
      polling = startPolling(async (signal) => {
        draw((await api.getLogs(study.id, trial.id, signal)).logs, withoutLines);
        failures = 0;
        return !runs;
      }, failed);
    },
  };
}

/**
 * @param {AttemptLog} log
 * @returns {Shown}
 */
function attemptOf({ attempt }) {
  const summary = make("summary", {});
  const note = make("p", { class: "hint" });
  const lines = make("pre", { tabindex: 0, "aria-label": `Last lines of attempt ${attempt}`, role: "region" });
  const details = make("details", { open: true }, summary, note, lines);
  /** @type {Shown} */
  const known = { details, summary, note, lines, top: null };
  lines.addEventListener("scroll", () => {
    const left = lines.scrollHeight - lines.clientHeight - lines.scrollTop;
    known.top = left <= AT_THE_END_PX ? null : lines.scrollTop;
  });
  details.addEventListener("toggle", () => scroll(known));
  return known;
}

/**
 * @param {Shown} known
 * @param {AttemptLog} log
 */
function fill(known, { attempt, replicate, text, omitted_lines, recorded_at }) {
  const heard = new Date(recorded_at).toLocaleString("en", { dateStyle: "medium", timeStyle: "medium" });
  known.summary.textContent = `Attempt ${attempt} (replicate ${replicate}), last heard ${heard}`;
  known.note.textContent = omitted_lines ? `${formatCount(omitted_lines)} lines before these are not kept.` : "";
  if (known.lines.textContent === text) return;
  known.lines.textContent = text;
  scroll(known);
}

/**
 * To where a person had scrolled, or to the end, which then stays in view.
 * @param {Shown} known
 */
function scroll({ lines, top }) {
  lines.scrollTop = top ?? lines.scrollHeight;
}
