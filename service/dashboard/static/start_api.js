/** The calls of the public API that start studies and change what their owner wrote on them. */

/** @import {Send} from "./api.js" */
/** @import {Catalogue, Key, Study, StudyDraft, StudyValidation, Task, TaskFile, TaskFileHead} from "./types.js" */
/** @import {TaskPreview} from "./types.js" */

/**
 * @param {Send} send
 * @param {(id: string) => string} study the path of a study
 */
export function startCalls(send, study) {
  const json = async (/** @type {Promise<Response>} */ answer) => (await answer).json();
  return {
    /** @type {(signal: AbortSignal) => Promise<Key>} */
    getCurrentKey: (signal) => json(send("GET", "/v1/keys/current", { signal })),
    /** @type {(signal: AbortSignal) => Promise<Catalogue>} */
    getCatalogue: (signal) => json(send("GET", "/v1/catalogue", { signal })),
    /** @type {(signal: AbortSignal) => Promise<TaskFile[]>} */
    listTaskFiles: async (signal) => (await json(send("GET", "/v1/task_files", { signal }))).task_files,
    /** @type {(name: string, signal: AbortSignal) => Promise<TaskFileHead>} */
    getTaskFile: (name, signal) => json(send("GET", `/v1/task_files/${encodeURIComponent(name)}`, { signal })),
    /** @type {(name: string, file: Blob) => Promise<TaskFile>} */
    putTaskFile: (name, file) => json(send("PUT", `/v1/task_files/${encodeURIComponent(name)}`, { body: file })),
    /** @type {(task: Task, signal: AbortSignal) => Promise<TaskPreview>} */
    previewTask: (task, signal) => json(send("POST", "/v1/tasks:preview", { json: task, signal })),
    /** @type {(draft: StudyDraft, signal: AbortSignal) => Promise<StudyValidation>} */
    validateStudy: (draft, signal) => json(send("POST", "/v1/studies:validate", { json: draft, signal })),
    /** @type {(draft: StudyDraft, key: string) => Promise<Study>} */
    createStudy: (draft, key) => json(send("POST", "/v1/studies", { json: draft, headers: once(key) })),
    /** @type {(id: string, clone: {edits: object, import_trials: boolean}, key: string) => Promise<Study>} */
    cloneStudy: (id, clone, key) => json(send("POST", `${study(id)}:clone`, { json: clone, headers: once(key) })),
    /** @type {(id: string, trials: number, key: string) => Promise<Study>} */
    extendStudy: (id, trials, key) => json(send("POST", `${study(id)}:extend`, { json: { trials }, headers: once(key) })),
    /** @type {(id: string) => Promise<{study: Study, version: string}>} */
    readForChange: async (id) => {
      const answer = await send("GET", study(id));
      return { study: await answer.json(), version: answer.headers.get("ETag") ?? "" };
    },
    /** @type {(id: string, version: string, changes: object) => Promise<Study>} */
    updateStudy: (id, version, changes) =>
      json(send("PATCH", study(id), { json: changes, headers: { "If-Match": version } })),
    /** @type {(id: string) => Promise<Response>} */
    deleteStudy: (id) => send("DELETE", study(id)),
  };
}

/**
 * Repeated after a lost answer, the request has no second effect.
 * @param {string} key
 */
const once = (key) => ({ "Idempotency-Key": key });
