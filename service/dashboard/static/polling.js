/** Asks again and again: while somebody looks at the tab, and until nothing more will change. */

const PERIOD_MS = 2000;
/** Where events are heard as they happen, only what none tells of is missed. */
const PERIOD_WITH_EVENTS_MS = 30_000;
/** Events come in bunches. */
const LULL_MS = 250;

/**
 * Load now and every two seconds, or as soon as an event is heard.
 * @param {(signal: AbortSignal) => Promise<boolean>} load says whether this was the last time
 * @param {(error: unknown) => boolean} onError says whether to give up
 * @param {() => boolean} [hearsEvents]
 */
export function startPolling(load, onError, hearsEvents = () => false) {
  const leaving = new AbortController();
  const { signal } = leaving;
  let loading = new AbortController();
  let timer = 0;
  let busy = false;
  /** Something changed during a load, which may have read what was there before. */
  let isOutdated = false;
  let news = false;
  let finished = false;
  /** The load under way, with those that follow it at once because it was outdated. */
  let asking = Promise.resolve();

  /** @returns {Promise<void>} */
  function ask() {
    clearTimeout(timer);
    if (busy) return asking;
    if (finished || document.hidden || signal.aborted) return Promise.resolve();
    asking = loadNow();
    return asking;
  }

  async function loadNow() {
    busy = true;
    news = false;
    isOutdated = false;
    loading = new AbortController();
    try {
      finished = await load(loading.signal);
    } catch (error) {
      if (!isOutdated) finished = signal.aborted || onError(error);
    }
    busy = false;
    if (isOutdated) await again();
    else if (!finished) timer = setTimeout(ask, pause());
  }

  /**
   * Load anew at once: what is being loaded was asked for before something changed. Resolves after a load that
   * began since; in a hidden tab at once, for there it loads when the tab is seen.
   */
  function again() {
    finished = false;
    isOutdated = busy;
    if (busy) loading.abort();
    return ask();
  }

  const pause = () => (news ? LULL_MS : hearsEvents() ? PERIOD_WITH_EVENTS_MS : PERIOD_MS);

  for (const type of ["online", "offline"]) addEventListener(type, ask, { signal });
  document.addEventListener("visibilitychange", ask, { signal });
  ask();
  return {
    again,
    /** Something has happened: load soon, once for all that happens until then. */
    hear() {
      if (news) return;
      news = true;
      if (busy) return;
      clearTimeout(timer);
      timer = setTimeout(ask, LULL_MS);
    },
    stop() {
      clearTimeout(timer);
      leaving.abort();
      loading.abort();
    },
  };
}

/** Let the browser do what waits, and come back. */
export const nextTask = () =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve(undefined);
    };
    port2.postMessage(null);
  });
