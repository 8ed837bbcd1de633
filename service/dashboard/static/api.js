/** The public API, and nothing of the page: requests with the key, answers as objects, errors as problems. */

import { adminCalls } from "./admin_api.js";
import { startCalls } from "./start_api.js";

/** @import {HypervolumeHistory, Importance, ParetoFront, Problem, Recommendation} from "./types.js" */
/** @import {ModuleMaps, RunColumns, SliceAnswer, Study, StudyPage, Trial, TrialColumns, TrialLogs} from "./types.js" */

/** The service answered with an error. The message is the problem's detail, and which fields are meant. */
export class ApiProblem extends Error {
  /**
   * @param {number} status
   * @param {Problem} problem
   */
  constructor(status, problem) {
    const fields = (problem.errors ?? []).map((error) => ` ${error.pointer}: ${error.detail}`);
    super(`${problem.detail}${fields.join(";")}`);
    this.status = status;
    /** What is wrong with which field. */
    this.errors = problem.errors ?? [];
  }
}

const AWAY = "The service does not answer. Check that the server runs and that you are connected.";

/** No answer came: the server is down, or the network is. */
export class Unreachable extends Error {}

/**
 * Whether a request came to nothing, which can happen at any time; all else is a mistake of this page.
 * @param {unknown} error
 */
export const isNoAnswer = (error) => error instanceof ApiProblem || error instanceof Unreachable;

/**
 * Whether the same request may be answered a little later: the service is busy, restarts, or is out of reach.
 * @param {unknown} error
 */
export const mayPass = (error) =>
  error instanceof Unreachable || (error instanceof ApiProblem && (error.status === 429 || error.status >= 500));

/**
 * @typedef {object} Content
 * @property {any} [json] a value to send
 * @property {Blob} [body] bytes to send
 * @property {AbortSignal} [signal]
 * @property {Object<string, string>} [headers]
 */
/** @typedef {(method: string, path: string, content?: Content) => Promise<Response>} Send */
/** @typedef {ReturnType<typeof createApi>} Api */

/** @param {string | undefined} trialId */
const ofTrial = (trialId) => (trialId === undefined ? "" : `?trial_id=${encodeURIComponent(trialId)}`);

/**
 * Give the calls that the page needs, made with one key.
 * @param {string} key
 */
export function createApi(key) {
  /** @type {(path: string, signal?: AbortSignal, method?: string) => Promise<any>} */
  const call = async (path, signal, method = "GET") => (await ask(key, method, path, signal)).json();
  const study = (/** @type {string} */ id) => `/v1/studies/${encodeURIComponent(id)}`;
  /** @type {Send} */
  const send = (method, path, { json, body, signal, headers } = {}) =>
    json === undefined
      ? ask(key, method, path, signal, headers, body)
      : ask(key, method, path, signal, { ...headers, "Content-Type": "application/json" }, JSON.stringify(json));
  const trial = (/** @type {string} */ id, /** @type {string} */ trialId) =>
    `${study(id)}/trials/${encodeURIComponent(trialId)}`;
  return {
    ...startCalls(send, study),
    ...adminCalls(send),
    /** @type {(wanted: Object<string, string>, token: string | null, signal: AbortSignal) => Promise<StudyPage>} */
    listStudies: (wanted, token, signal) => call(`/v1/studies${query(50, token, wanted)}`, signal),
    /** @type {(id: string, signal: AbortSignal) => Promise<Study>} */
    getStudy: (id, signal) => call(study(id), signal),
    /** @type {(id: string, after: number, signal: AbortSignal) => Promise<TrialColumns>} */
    getTrialColumns: (id, after, signal) => call(`${study(id)}/trial_columns?changed_after=${after}`, signal),
    /** @type {(id: string, trialId: string, signal: AbortSignal) => Promise<Trial>} */
    getTrial: (id, trialId, signal) => call(trial(id, trialId), signal),
    /** @type {(id: string, trialId: string, name: string) => Promise<Blob>} */
    getArtifact: async (id, trialId, name) => (await ask(key, "GET", `${trial(id, trialId)}/artifacts/${name}`)).blob(),
    /** @type {(id: string, signal: AbortSignal) => Promise<ParetoFront>} */
    getFront: (id, signal) => call(`${study(id)}/pareto_front?by=observed`, signal),
    /** @type {(id: string, signal: AbortSignal) => Promise<ParetoFront>} */
    getBelievedFront: (id, signal) => call(`${study(id)}/pareto_front?by=believed`, signal),
    /** @type {(id: string, signal: AbortSignal) => Promise<HypervolumeHistory>} */
    getHistory: (id, signal) => call(`${study(id)}/hypervolume_history`, signal),
    /** @type {(id: string, signal: AbortSignal) => Promise<Importance>} */
    getImportance: (id, signal) => call(`${study(id)}/importance`, signal),
    /** @type {(id: string, sequence: number, signal: AbortSignal) => Promise<ParetoFront>} */
    getFormerFront: (id, sequence, signal) => call(`${study(id)}/pareto_front?sequence=${sequence}`, signal),
    /** @type {(id: string, asked: Object<string, string>, signal: AbortSignal) => Promise<SliceAnswer>} */
    getSlice: (id, asked, signal) => call(`${study(id)}/slice?${new URLSearchParams(asked)}`, signal),
    /** @type {(id: string, signal: AbortSignal, trialId?: string) => Promise<RunColumns>} */
    getRuns: (id, signal, trialId) => call(`${study(id)}/runs${ofTrial(trialId)}`, signal),
    /** @type {(id: string, trialId: string, signal: AbortSignal) => Promise<TrialLogs>} */
    getLogs: (id, trialId, signal) => call(`${trial(id, trialId)}/logs`, signal),
    /** @type {(id: string, signal: AbortSignal, trialId?: string) => Promise<ModuleMaps>} */
    getModuleMaps: (id, signal, trialId) => call(`${study(id)}/module_maps${ofTrial(trialId)}`, signal),
    /** @type {(id: string, signal: AbortSignal) => Promise<Recommendation>} */
    getKnee: (id, signal) => call(`${study(id)}/recommendation`, signal),
    /** @type {(id: string, after: number, signal: AbortSignal) => Promise<Response>} */
    openEvents: (id, after, signal) =>
      ask(key, "GET", `${study(id)}/events`, signal, {
        Accept: "text/event-stream",
        "Last-Event-ID": String(after),
      }),
    /** @type {(id: string, trialId: string, reason: string) => Promise<Study>} */
    acceptTrial: async (id, trialId, reason) => {
      const body = JSON.stringify({ trial_id: trialId, reason });
      const headers = { "Content-Type": "application/json" };
      return (await ask(key, "POST", `${study(id)}:accept`, undefined, headers, body)).json();
    },
    /** @type {(id: string, verb: string) => Promise<Study>} */
    tellStudy: (id, verb) => call(`${study(id)}:${verb}`, undefined, "POST"),
  };
}

/**
 * @param {string} key
 * @param {string} method
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @param {Object<string, string>} [headers]
 * @param {string | Blob} [body]
 */
async function ask(key, method, path, signal, headers = {}, body = undefined) {
  let response;
  try {
    // "no-cache" makes the browser ask with If-None-Match and hand us its own copy after a 304.
    response = await fetch(path, {
      method,
      body,
      signal,
      cache: "no-cache",
      headers: { ...headers, Authorization: `Bearer ${key}` },
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable(AWAY, { cause: error });
  }
  if (!response.ok) throw new ApiProblem(response.status, await problemOf(response));
  return response;
}

/**
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
async function problemOf(response) {
  if (response.headers.get("Content-Type")?.startsWith("application/problem+json")) return response.json();
  // A proxy in between answers in its own way.
  return {
    title: response.statusText,
    detail: `The service answered ${response.status} ${response.statusText}.`,
  };
}

/**
 * @param {number} size
 * @param {string | null} token
 * @param {Object<string, string>} wanted
 */
function query(size, token, wanted) {
  const pairs = new URLSearchParams({ page_size: String(size), ...wanted });
  if (token !== null) pairs.set("page_token", token);
  return `?${pairs}`;
}
