/**
 * A study's events as they happen (WHATWG HTML, section 9.2), read with `fetch`: an EventSource sends no key.
 * Tells that there is news, not which.
 */

import { isNoAnswer } from "./api.js";

/** @import {Api} from "./api.js" */

const RETRY_MS = 5000;
/** The server says every 15 s that it is still there. */
const SILENCE_MS = 40_000;

/**
 * Follow the events after a number while the tab is seen, and connect again whenever the stream ends.
 * @param {Api} api
 * @param {string} id
 * @param {number} after
 * @param {() => void} onNews called for events, and when the stream begins or ends
 */
export function followEvents(api, id, after, onNews) {
  const leaving = new AbortController();
  let last = after;
  let isOpen = false;
  let timer = 0;
  let connection = new AbortController();
  /** Of the newest connection; what an older one still does counts no more. */
  let turn = 0;

  async function connect() {
    clearTimeout(timer);
    if (document.hidden || leaving.signal.aborted) return;
    turn += 1;
    const mine = turn;
    connection = new AbortController();
    const response = await open(connection.signal);
    if (response !== null) {
      tell(true);
      await read(/** @type {ReadableStream<Uint8Array>} */ (response.body), mine);
    }
    if (mine !== turn || leaving.signal.aborted) return;
    tell(false);
    timer = setTimeout(connect, RETRY_MS);
  }

  /** @param {AbortSignal} signal */
  async function open(signal) {
    try {
      return await api.openEvents(id, last, signal);
    } catch (error) {
      // Without a stream the page asks by itself, and says there what stands in the way.
      if (signal.aborted || isNoAnswer(error)) return null;
      throw error;
    }
  }

  /**
   * @param {ReadableStream<Uint8Array>} body
   * @param {number} mine
   */
  async function read(body, mine) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const silence = setTimeout(() => connection.abort(), SILENCE_MS);
      // Rejected only where the connection was lost or left: an end like any other.
      const { done, value } = await reader.read().catch(() => ({ done: true, value: "" }));
      clearTimeout(silence);
      if (done || mine !== turn) return;
      const frames = (rest + value).split("\n\n");
      rest = frames.pop() ?? "";
      const numbers = frames.flatMap((frame) => frame.match(/^id: (\d+)$/m)?.[1] ?? []);
      if (!numbers.length) continue;
      last = Number(numbers.at(-1));
      onNews();
    }
  }

  /** @param {boolean} open */
  function tell(open) {
    if (isOpen === open) return;
    isOpen = open;
    onNews();
  }

  function disconnect() {
    turn += 1;
    clearTimeout(timer);
    connection.abort();
    isOpen = false;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()), {
    signal: leaving.signal,
  });
  connect();
  return {
    isOpen: () => isOpen,
    stop() {
      leaving.abort();
      disconnect();
    },
  };
}
