/** A slider through the front's history: at each accepted result, the front as it was then, beside the one of now. */

import { make } from "./elements.js";
import { counted, formatCount, formatHypervolume } from "./format.js";

/** @import {Api} from "./api.js" */
/** @import {StudyData} from "./study_data.js" */
/** @import {ParetoPoint} from "./types.js" */

/** A dragged slider asks once it rests. */
const REST_MS = 120;

/**
 * @param {HTMLElement} box
 * @param {Api} api
 * @param {{onFront: (points: ParetoPoint[] | null) => void, failed: (error: unknown) => void}} actions
 */
export function createFrontSlider(box, api, { onFront, failed }) {
  const slider = make("input", { type: "range", min: 1, step: 1, "data-testid": "front-slider" });
  const label = make("label", {}, make("span", {}, "The front after each accepted result"), slider);
  const words = make("output", { "data-testid": "front-then" });
  const now = make("button", { type: "button", class: "quiet" }, "Now");
  box.replaceChildren(label, words, now);
  /** @type {StudyData | null} */
  let data = null;
  /** @type {number | null} */
  let wanted = null;
  /** @type {number | null} how many trials the wanted front has, once that is read */
  let size = null;
  let timer = 0;
  const leaving = new AbortController();

  function say() {
    const last = data?.history.records.length ?? 0;
    const record = data?.history.records[(wanted ?? last) - 1];
    const volume = record?.hypervolume == null ? "" : `, hypervolume ${formatHypervolume(record.hypervolume)}`;
    const members = size === null ? "" : `: ${counted(size, "trial")}`;
    const text =
      wanted === null
        ? `now, after ${counted(last, "front")}`
        : `front ${formatCount(wanted)} of ${formatCount(last)}${volume}${members}`;
    words.textContent = text;
    slider.setAttribute("aria-valuetext", text);
    now.disabled = wanted === null;
  }

  async function read() {
    const sequence = data?.history.records[(wanted ?? 1) - 1]?.sequence;
    if (data === null || wanted === null || sequence === undefined) return;
    const asked = wanted;
    try {
      const front = await api.getFormerFront(data.study.id, sequence, leaving.signal);
      if (asked !== wanted) return;
      onFront(front.points);
      size = front.points.length;
      say();
    } catch (error) {
      if (!leaving.signal.aborted) failed(error);
    }
  }

  function choose(/** @type {number | null} */ position) {
    wanted = position;
    size = null;
    clearTimeout(timer);
    if (position === null) {
      slider.value = slider.max;
      onFront(null);
    } else timer = setTimeout(read, REST_MS);
    say();
  }

  slider.addEventListener("input", () => choose(slider.value === slider.max ? null : Number(slider.value)));
  now.addEventListener("click", () => {
    choose(null);
    slider.focus();
  });
  return {
    /** @param {StudyData} latest */
    update(latest) {
      data = latest;
      const count = latest.history.records.length;
      box.hidden = count < 2;
      slider.max = String(Math.max(count, 1));
      if (wanted === null) slider.value = slider.max;
      say();
    },
    close() {
      clearTimeout(timer);
      leaving.abort();
    },
  };
}
