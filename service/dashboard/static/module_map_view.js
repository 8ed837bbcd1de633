/** Which modules the front trains in which layer: the share of its members that do. */

import { counted } from "./format.js";
import { mapOfModules, recordsOfMap, sharesOf } from "./module_map.js";
import { createPlot } from "./plot.js";

/** @import {StudyData} from "./study_data.js" */
/** @import {Context, View} from "./understand.js" */

const ROW_PX = 26;
const AROUND_PX = 130;

/**
 * @param {HTMLElement} root
 * @param {Context} context
 * @returns {View}
 */
export function createModuleMapView(root, { api, nameOfStudy, signal, failed }) {
  const plot = createPlot(root, { name: "layers of the front", testId: "modules", nameOfStudy });
  let known = "";

  async function read(/** @type {StudyData} */ { study, front }, /** @type {string} */ key) {
    try {
      const maps = await api.getModuleMaps(study.id, signal);
      if (key !== known) return;
      if (!maps.modules.length) return plot.empty("No member of the front trains anything inside a layer yet.");
      const cells = sharesOf(maps);
      const members = counted(maps.numbers.length, "trial");
      plot.picture.style.height = `${maps.layers * ROW_PX + AROUND_PX}px`;
      plot.draw((colours) => mapOfModules(maps, cells, colours, { asShare: true }), {
        label: `Shares of the ${members} of the front that carry each module in each layer.`,
        note: `${members} of ${counted(front.points.length, "member")} of the front. Layer 0 is the one after the embeddings; a trial's own map stands in its drawer.`,
        records: recordsOfMap(maps, cells, "share"),
      });
    } catch (error) {
      if (signal.aborted || key !== known) return;
      // With the next news it is asked for again.
      known = "";
      failed(error);
    }
  }

  return {
    update(data) {
      const key = data.front.points.map(({ trial_id }) => trial_id).join();
      if (!data.front.points.length) return plot.empty("There is no front yet.");
      if (key === known) return;
      if (plot.library() === null) plot.empty("Reading the front");
      known = key;
      read(data, key);
    },
    close: () => plot.dispose(),
  };
}
