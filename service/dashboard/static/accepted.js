/** The trial that was decided for: asks why, says who took it, and gives it away with the lines that load it. */

import { find, hint, make, named } from "./elements.js";
import { formatMoment } from "./format.js";
import { asFileName, save } from "./saving.js";
import { zipOf } from "./zip.js";

/** @import {Api} from "./api.js" */
/** @import {AcceptedTrial, ParetoPoint, Study, Trial} from "./types.js" */

const ADAPTER = "adapter_config.json";

/**
 * Give a function that asks why a point is taken, and then takes it.
 * @param {HTMLElement} dialog
 * @param {(trialId: string, reason: string) => void} accept
 * @returns {(point: ParetoPoint) => void}
 */
export function createAcceptDialog(dialog, accept) {
  /** @type {ParetoPoint | null} */
  let asked = null;
  const reason = find(dialog, "textarea");
  dialog.addEventListener("close", () => {
    const { returnValue } = /** @type {HTMLDialogElement} */ (dialog);
    if (returnValue === "accept" && asked !== null) accept(asked.trial_id, reason.value.trim());
  });
  return (point) => {
    asked = point;
    reason.value = "";
    find(dialog, "h2").textContent = `Accept trial ${point.number}?`;
    const box = /** @type {HTMLDialogElement} */ (dialog);
    box.returnValue = "";
    box.showModal();
  };
}

/**
 * @param {HTMLElement} panel
 * @param {Api} api
 * @param {(error: unknown) => void} refused
 */
export function createAcceptedBox(panel, api, refused) {
  let shown = "";
  const leaving = new AbortController();

  return {
    /** @param {Study} study */
    async update(study) {
      const { accepted } = study;
      panel.hidden = accepted === null;
      const key = JSON.stringify(accepted);
      if (accepted === null || key === shown) return;
      shown = key;
      panel.replaceChildren(...sentences(accepted));
      try {
        const trial = await api.getTrial(study.id, accepted.trial_id, leaving.signal);
        if (shown === key) panel.append(...takingHome(api, study, trial, refused));
      } catch (error) {
        if (leaving.signal.aborted) return;
        shown = "";
        refused(error);
      }
    },
    close: () => leaving.abort(),
  };
}

/** @param {AcceptedTrial} accepted */
function sentences({ number, reason, accepted_by, accepted_at }) {
  const by = accepted_by ? ` by “${accepted_by}”` : "";
  return [
    make("p", {}, make("strong", {}, `Trial ${number} was accepted`), `${by} on ${formatMoment(accepted_at)}.`),
    ...(reason ? [make("p", { class: "meta" }, `Because: ${reason}`)] : []),
  ];
}

/**
 * @param {Api} api
 * @param {Study} study
 * @param {Trial} trial
 * @param {(error: unknown) => void} refused
 */
function takingHome(api, study, trial, refused) {
  if (!trial.artifacts.length) {
    return [hint("What it trained is not here: it ran, or was measured, elsewhere.")];
  }
  const folder = `${asFileName(study.display_name)}-trial-${trial.number}`;
  const button = make("button", { type: "button", class: "primary", "data-testid": "download-accepted" }, "Download as one zip");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      save(await zipped(api, study, trial, folder), `${folder}.zip`);
    } catch (error) {
      refused(error);
    }
    button.disabled = false;
  });
  const lines = make("pre", { "data-testid": "snippet" }, snippet(study, trial, folder));
  return [button, hint("Unpacked, it is loaded so:"), lines];
}

/**
 * @param {Api} api
 * @param {Study} study
 * @param {Trial} trial
 * @param {string} folder
 */
async function zipped(api, study, trial, folder) {
  const files = [];
  for (const { name } of trial.artifacts) {
    const blob = await api.getArtifact(study.id, trial.id, name);
    files.push({ name: `${folder}/${name}`, content: new Uint8Array(await blob.arrayBuffer()) });
  }
  return zipOf(files);
}

/**
 * @param {Study} study
 * @param {Trial} trial
 * @param {string} folder
 */
function snippet({ configuration }, trial, folder) {
  const own = [
    "from paretune import load_classifier",
    "",
    `classifier = load_classifier("${folder}")`,
    'print(classifier.predict(["a text"]))',
  ];
  if (!trial.artifacts.some(({ name }) => name === ADAPTER)) return own.join("\n");
  const backbone = configuration?.backbone ?? "";
  const base = backbone.startsWith("local:")
    ? `"${backbone.slice("local:".length)}"`
    : `PeftConfig.from_pretrained("${folder}").base_model_name_or_path`;
  const plain = [
    "",
    "# Or the adapter alone, with plain peft; README.md of `paretune export` adds the head:",
    "from peft import PeftConfig, PeftModel",
    "from transformers import AutoModel",
    "",
    `backbone = AutoModel.from_pretrained(${base})`,
    `model = PeftModel.from_pretrained(backbone, "${folder}")`,
  ];
  return [...own, ...plain].join("\n");
}
