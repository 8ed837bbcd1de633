/** The fields of the page that starts a study, and the study that they write. Asks nobody anything. */

import { make, named } from "./elements.js";
import { counted, metricFormat } from "./format.js";
import { tagsIn } from "./study_actions.js";

/** @import {Catalogue, Objective, Study, StudyDraft, Task, TaskFile} from "./types.js" */

const HUB = "hub:";
const FILE = "file:";
/** The space of the study that is cloned. */
const SAME_SPACE = "";

/** @type {[string, "maximize" | "minimize"][]} */
const OBJECTIVES = [
  ["score", "maximize"],
  ["trainable_parameters", "minimize"],
  ["adapter_bytes", "minimize"],
  ["adapter_flops", "minimize"],
  ["model_parameters", "minimize"],
  ["flops", "minimize"],
  ["latency_ms", "minimize"],
  ["peak_memory_bytes", "minimize"],
  ["training_seconds", "minimize"],
];
const CHOSEN_FIRST = ["score", "trainable_parameters"];

/** @type {Object<string, string>} */
const SPACES = {
  auto: "Every method that people use, full fine-tuning among them.",
  autopeft: "Serial and parallel adapters and a prefix, one size each, and a switch for each layer.",
  autopeft_by_layer: "Sizes layer by layer, the first active layer, and the learning rate.",
  lora: "One rank, a switch for each projection and each layer, and the learning rate.",
  lora_by_layer: "A rank for every projection of every layer, and the learning rate.",
  methods: "The method itself, the sizes that it reads, and the learning rate.",
  depth: "How many layers of the backbone stay, and which.",
  depth_width: "How many layers stay, which, and how wide their feed-forward blocks are.",
  grouped: "How many layers stay, which, and a width for each part of them.",
  joint: "A smaller backbone and every method together.",
};

/** What belongs to a table of texts and labels, by the field of the task. */
const TABULAR = ["text_column", "label_column", "text_pair_column", "group_column", "kind"];
const ROWS = ["train_rows", "validation_rows", "test_rows"];
const TRAINING = ["epochs", "batch_size", "max_length"];

/** @typedef {ReturnType<typeof createStudyForm>} StudyForm */

/**
 * @param {HTMLElement} form
 * @param {Catalogue} catalogue
 * @param {TaskFile[]} files
 * @param {Study | null} source the study that is cloned or extended
 */
export function createStudyForm(form, catalogue, files, source) {
  const field = (/** @type {string} */ name) => named(form, `field-${name}`);
  const isCustom = source !== null && source.kind === "custom";
  const ownTask = source?.configuration?.task ?? null;
  let isNamed = source !== null;

  function fillChoices() {
    const task = field("task");
    const known = catalogue.tasks.map(({ name, description }) => make("option", { value: name }, `${name}: ${description}`));
    task.append(
      ...(ownTask === null || catalogue.tasks.some(({ name }) => name === ownTask.name)
        ? []
        : [make("option", { value: ownTask.name }, `${shortName(ownTask.name)}, as in the study`)]),
      make("optgroup", { label: "Comes with Paretune" }, ...known),
      make("optgroup", { label: "Your files", "data-testid": "own-files" }),
      make("option", { value: HUB }, "A data set of the Hugging Face hub"),
    );
    for (const file of files) addFile(file);
    named(form, "backbones").append(...catalogue.backbones.map((name) => make("option", { value: name })));
    const same = `As in the study: ${counted(source?.search_space.parameters.length ?? 0, "parameter")}`;
    field("space").append(
      ...(source === null ? [] : [make("option", { value: SAME_SPACE }, same)]),
      ...(isCustom ? [] : catalogue.presets.map((name) => make("option", { value: name }, name))),
    );
    named(form, "objectives").append(...OBJECTIVES.map(objectiveBox));
  }

  /** @param {[string, string]} objective */
  function objectiveBox([metric, direction]) {
    const chosen = source?.objectives.map((one) => one.metric) ?? CHOSEN_FIRST;
    const { label, unit } = metricFormat(metric);
    const box = make("input", { type: "checkbox", value: metric, checked: chosen.includes(metric) });
    const way = direction === "maximize" ? "more is better" : "less is better";
    const remark = [unit, way].filter(Boolean).join(", ");
    return make("label", { class: "check" }, box, `${label} `, make("span", { class: "hint" }, remark));
  }

  function fillValues() {
    for (const part of form.querySelectorAll("[data-part=data], [data-part=model], [data-part=objectives]")) {
      /** @type {HTMLElement} */ (part).hidden = isCustom;
    }
    if (source === null) {
      Object.entries({ backbone: catalogue.backbones[0] ?? "", trials: 24, parallelism: 1, epochs: 3, batch_size: 32, max_length: 128 })
        .forEach(([name, value]) => (field(name).value = String(value)));
      return;
    }
    field("name").value = source.display_name;
    field("trials").value = String(source.budget.trials);
    field("parallelism").value = String(source.parallelism);
    field("notes").value = source.notes;
    field("tags").value = source.tags.join(", ");
    if (source.configuration === null || ownTask === null) return;
    field("task").value = ownTask.name;
    field("backbone").value = source.configuration.backbone;
    for (const name of TRAINING) field(name).value = String(/** @type {any} */ (source.configuration.training)[name]);
    for (const name of [...TABULAR, ...ROWS, "score"]) {
      field(name).value = /** @type {any} */ (ownTask)[name] ?? "";
    }
  }

  /** @param {TaskFile} file */
  function addFile({ name, rows }) {
    const value = `${FILE}${name}`;
    const group = named(form, "own-files");
    const known = [...group.children].find((option) => option.getAttribute("value") === value);
    known?.remove();
    group.append(make("option", { value }, `${name} (${rows} rows)`));
  }

  /** Show the fields that the chosen task has, and name the study after it until it has a name. */
  function followTask() {
    const task = field("task").value;
    const isTable = task.startsWith(FILE) || task.startsWith(HUB);
    named(form, "tabular").hidden = !isTable;
    named(form, "hub-name").hidden = task !== HUB;
    named(form, "space-hint").textContent = SPACES[field("space").value] ?? "";
    if (!isNamed) field("name").value = `${field("backbone").value} on ${shortName(taskName())}`;
  }

  const taskName = () => (field("task").value === HUB ? `${HUB}${field("hub").value.trim()}` : field("task").value);

  /** @returns {Task} */
  function task() {
    const name = taskName();
    const isTable = !named(form, "tabular").hidden;
    const isOwn = ownTask !== null && name === ownTask.name;
    const kept = isOwn ? Object.fromEntries(Object.entries(ownTask).filter(([, value]) => value !== null)) : {};
    const said = texts([...(isTable ? TABULAR : []), "score"]);
    return /** @type {Task} */ ({ ...without(kept, [...TABULAR, ...ROWS, "score"]), name, ...said, ...numbers(ROWS) });
  }

  const texts = (/** @type {string[]} */ names) =>
    Object.fromEntries(names.map((name) => [name, field(name).value.trim()]).filter(([, value]) => value));

  const numbers = (/** @type {string[]} */ names) =>
    Object.fromEntries(names.filter((name) => field(name).value !== "").map((name) => [name, Number(field(name).value)]));

  /** @returns {Objective[]} */
  function objectives() {
    /** @type {NodeListOf<HTMLInputElement>} */
    const boxes = named(form, "objectives").querySelectorAll("input:checked");
    const known = new Map(source?.objectives.map((objective) => [objective.metric, objective]));
    const directions = new Map(OBJECTIVES);
    return [...boxes].map(({ value }) => {
      const direction = directions.get(value) ?? "minimize";
      return /** @type {Objective} */ (known.get(value) ?? { metric: value, direction });
    });
  }

  /** @returns {StudyDraft} the study that the fields write */
  function draft() {
    const space = field("space").value;
    const tags = tagsIn(field("tags").value);
    const notes = field("notes").value.trim();
    const parameters = { parameters: source?.search_space.parameters ?? [] };
    return {
      display_name: field("name").value.trim(),
      ...(isCustom
        ? {}
        : { configuration: { backbone: field("backbone").value.trim(), task: task(), training: numbers(TRAINING) } }),
      search_space: space === SAME_SPACE ? parameters : { preset: space, ...(source === null ? {} : { parameters: [] }) },
      ...(isCustom ? {} : { objectives: objectives() }),
      budget: numbers(["trials"]),
      ...numbers(["parallelism"]),
      ...(notes || source?.notes ? { notes } : {}),
      ...(tags.length || source?.tags.length ? { tags } : {}),
    };
  }

  fillChoices();
  fillValues();
  field("name").addEventListener("input", () => (isNamed = field("name").value !== ""));
  followTask();

  return {
    draft,
    task,
    followTask,
    /** The upload that is chosen, if one is. */
    chosenFile: () => files.find(({ name }) => `${FILE}${name}` === field("task").value) ?? null,
    /**
     * @param {TaskFile} file
     */
    choose(file) {
      files = [...files.filter(({ name }) => name !== file.name), file];
      addFile(file);
      field("task").value = `${FILE}${file.name}`;
      followTask();
    },
    /**
     * Name the columns, as a guess that can be changed.
     * @param {{text: string, label: string}} columns
     */
    nameColumns({ text, label }) {
      field("text_column").value = text;
      field("label_column").value = label;
      for (const name of ["text_pair_column", "group_column", "kind", "score", ...ROWS]) field(name).value = "";
    },
    trials: () => Number(field("trials").value),
  };
}

/**
 * A task without the place where its file lies.
 * @param {string} name
 */
const shortName = (name) => name.replace(/^(file:uploads\/[^/]*\/|file:|hub:)/, "");

/**
 * @param {Object<string, any>} values
 * @param {string[]} names
 */
const without = (values, names) =>
  Object.fromEntries(Object.entries(values).filter(([name]) => !names.includes(name)));
