/** What a trial leaves behind: each run of it with its worker and reason, and the files to take home. */

import { hint, make, showState } from "./elements.js";
import { asWords, formatBytes, formatDuration } from "./format.js";
import { save } from "./saving.js";

/** @import {Api} from "./api.js" */
/** @import {Run} from "./runs.js" */
/** @import {ArtifactRecord, Replicate, Study, Trial} from "./types.js" */

/**
 * Whether it was run here: a result that came from elsewhere was not.
 * @param {Trial} trial
 */
export const hasRuns = ({ replicates }) => replicates.some(({ attempt }) => attempt > 0);

/**
 * The runs, one for each seed; none for a result that came from elsewhere.
 * @param {Trial} trial
 */
export function tableOfSeeds(trial) {
  if (!hasRuns(trial)) return null;
  const heads = ["Seed", "State", "Worker", "Took"].map((text) => make("th", { scope: "col" }, text));
  return make(
    "table",
    { class: "runs", "data-testid": "runs" },
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...trial.replicates.map(runOf)),
  );
}

/** @param {Replicate} replicate */
function runOf({ seed, state, state_reason, attempt, worker, started_at, finished_at }) {
  const chip = make("span");
  showState(chip, state);
  const attempts = attempt > 1 ? hint(`attempt ${attempt}`) : "";
  const reason = state_reason ? make("p", { class: "reason", "data-state": state }, state_reason) : "";
  const seconds =
    started_at !== null && finished_at !== null ? (Date.parse(finished_at) - Date.parse(started_at)) / 1000 : null;
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, String(seed)),
    make("td", {}, chip, attempts, reason),
    make("td", {}, worker ?? ""),
    make("td", {}, seconds === null ? "" : formatDuration(seconds)),
  );
}

/**
 * Whether more was tried than the runs above show.
 * @param {Trial} trial
 */
export const hasLostAttempts = ({ attempt, replicates }) =>
  attempt > replicates.length || replicates.some((one) => one.state === "QUEUED" && one.attempt > 0);

/**
 * Attempts that ended without one of the runs above: given back, or lost with their workers.
 * @param {Run[]} attempts of the trial
 */
export function lostAttemptsOf(attempts) {
  const lost = attempts.filter(({ outcome }) => outcome === "REQUEUED");
  if (!lost.length) return null;
  const items = lost.map(({ seed, attempt, worker, reason, start, end }) => {
    const took = end === null ? "" : ` after ${formatDuration((end - start) / 1000)}`;
    return make("li", {}, `Attempt ${attempt} (replicate ${seed}) on ${worker}: given back${took}, ${reason ?? "no reason given"}.`);
  });
  return make("ul", { class: "lost", "aria-label": "Attempts that were given back" }, ...items);
}

/**
 * A button for each file; the browser cannot follow a link with a key.
 * @param {Api} api
 * @param {Study} study
 * @param {Trial} trial
 * @param {(error: unknown) => void} refused
 */
export function filesOf(api, study, trial, refused) {
  const files = trial.artifacts.map((file) => {
    const button = make("button", { type: "button" }, nameOf(file));
    button.addEventListener("click", () => {
      api.getArtifact(study.id, trial.id, file.name).then((blob) => save(blob, file.name), refused);
    });
    return make("li", {}, button);
  });
  return files.length ? make("ul", { class: "files", "aria-label": "Files" }, ...files) : null;
}

/** @param {ArtifactRecord} file */
const nameOf = ({ name, size_bytes, kind }) =>
  `${name} (${formatBytes(size_bytes)}${kind === "trained" ? "" : `, ${asWords(kind)}`})`;
