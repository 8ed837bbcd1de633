/** How the models see an objective: along one parameter with a band, or over two as a map. */

import { createChooser } from "./chooser.js";
import { counted, formatMetric, formatValue, headingOf, nameOf } from "./format.js";
import { createPlot } from "./plot.js";
import { curveOption, mapOption } from "./slice_pictures.js";

/** @import {StudyData} from "./study_data.js" */
/** @import {Slice, SliceAnswer, Study} from "./types.js" */
/** @import {Context, View} from "./understand.js" */

const MEAN = "means";
const WIDTH = "width";

/**
 * @param {HTMLElement} root
 * @param {Context} context
 * @returns {View}
 */
export function createSliceView(root, { api, nameOfStudy, signal, failed }) {
  const plot = createPlot(root, { name: "model", testId: "slice", nameOfStudy });
  const objective = createChooser("Objective", "slice-objective", read);
  const parameter = createChooser("Along", "slice-parameter", read);
  const second = createChooser("and", "slice-second", read);
  const shown = createChooser("Show", "slice-shown", draw);
  shown.offer([
    { value: MEAN, text: "the mean" },
    { value: WIDTH, text: "the width of the band" },
  ]);
  plot.controls.append(objective.element, parameter.element, second.element, shown.element);
  /** @type {StudyData | null} */
  let data = null;
  /** @type {SliceAnswer | null} */
  let answer = null;
  let known = "";
  let asked = 0;

  /** What the boxes ask for; what is empty is left to the service. */
  function query() {
    const named = { objective: objective.value(), parameter: parameter.value(), second: second.value() };
    if (named.second === named.parameter) named.second = "";
    return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== ""));
  }

  async function read() {
    if (data === null) return;
    asked += 1;
    const mine = asked;
    const wanted = query();
    try {
      const found = await api.getSlice(data.study.id, wanted, signal);
      if (mine !== asked) return;
      answer = found;
      draw();
      // Of another objective other parameters matter: the boxes have moved to those that there are.
      if (found.slice === null && JSON.stringify(query()) !== JSON.stringify(wanted)) read();
    } catch (error) {
      if (signal.aborted || mine !== asked) return;
      // With the next news it is asked for again.
      known = "";
      failed(error);
    }
  }

  function draw() {
    if (data === null || answer === null) return;
    const { study } = data;
    const { slice, parameters, pairs, reason } = answer;
    for (const { element } of [parameter, second, shown]) element.hidden = !parameters.length;
    parameter.offer(parameters.map((name) => ({ value: name, text: nameOf(name) })), slice?.parameter);
    second.offer([{ value: "", text: "nothing else" }, ...pairs.map((name) => ({ value: name, text: nameOf(name) }))]);
    shown.element.hidden = slice?.second == null || slice.exact;
    if (slice === null) return plot.empty(`No slice yet: ${reason}.`);
    const isOver = slice.second !== null;
    const showsWidth = isOver && !slice.exact && shown.value() === WIDTH;
    const trials = data.trials.filter(({ state }) => state === "SUCCEEDED");
    plot.draw(
      (colours) => (isOver ? mapOption(study, slice, colours, showsWidth) : curveOption(study, slice, trials, colours)),
      { label: spoken(study, slice), note: noteOf(slice, answer), records: recordsOf(slice) },
    );
  }

  return {
    update(latest) {
      data = latest;
      objective.offer(latest.study.objectives.map(({ metric }) => ({ value: metric, text: headingOf(latest.study, metric) })));
      objective.element.hidden = latest.study.objectives.length === 1;
      // Slices change with the importance that is stored beside them.
      const key = `${latest.importance.observations} ${latest.importance.reason}`;
      if (known === key) return;
      known = key;
      if (answer === null) plot.empty("Reading the model");
      read();
    },
    close: () => plot.dispose(),
  };
}

/**
 * @param {Study} study
 * @param {Slice} slice
 */
function spoken(study, { metric, parameter, second, values, second_values, means }) {
  const name = headingOf(study, metric);
  const best = means.indexOf(Math.max(...means));
  const place = formatValue(values[best % values.length]);
  const beside = second === null ? "" : ` and ${nameOf(second)} ${formatValue(second_values[Math.floor(best / values.length)])}`;
  const along = second === null ? `along ${nameOf(parameter)}` : `over ${nameOf(parameter)} and ${nameOf(second)}`;
  return `${name} ${along}: largest, ${formatMetric(metric, means[best])}, at ${nameOf(parameter)} ${place}${beside}.`;
}

/**
 * @param {Slice} slice
 * @param {SliceAnswer} answer
 */
function noteOf({ exact, second }, { observations, through_number }) {
  const held = through_number === null ? "a measured trial" : `trial ${through_number}`;
  const all = `All other parameters are held as in ${held}.`;
  if (exact) return `Computed, not modelled: this objective is known exactly. ${all}`;
  const band = second === null ? "The band is one deviation of the model to either side. Points are measured trials, which differ in everything." : "";
  return `The model of ${counted(observations, "result")}; it knows nothing of other studies. ${all} ${band}`.trim();
}

/** @param {Slice} slice */
const recordsOf = ({ metric, parameter, second, values, second_values, means, lower, upper }) =>
  means.map((mean, position) => ({
    [parameter]: values[position % values.length],
    ...(second === null ? {} : { [second]: second_values[Math.floor(position / values.length)] }),
    [metric]: mean,
    lower: lower[position],
    upper: upper[position],
  }));
