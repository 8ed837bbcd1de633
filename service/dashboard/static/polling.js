/** Asks again and again: while somebody looks at the tab, and until nothing more will change. */

const PERIOD_MS = 2000;

/**
 * Load now and every two seconds.
 * @param {(signal: AbortSignal) => Promise<boolean>} load says whether this was the last time
 * @param {(error: unknown) => boolean} onError says whether to give up
 */
export function startPolling(load, onError) {
  const leaving = new AbortController();
  const { signal } = leaving;
  let timer = 0;
  let busy = false;
  let finished = false;

  async function ask() {
    clearTimeout(timer);
    if (busy || finished || document.hidden || signal.aborted) return;
    busy = true;
    try {
      finished = await load(signal);
    } catch (error) {
      finished = signal.aborted || onError(error);
    }
    busy = false;
    if (!finished) timer = setTimeout(ask, PERIOD_MS);
  }

  document.addEventListener("visibilitychange", ask, { signal });
  ask();
  return {
    again() {
      finished = false;
      return ask();
    },
    stop() {
      clearTimeout(timer);
      leaving.abort();
    },
  };
}
