/** What the address bar names, so that Back, a reload and a bookmark all find the same. Knows nothing of keys. */

/**
 * @param {string} name
 * @returns {string | null}
 */
export const inAddress = (name) => new URLSearchParams(location.hash.slice(1)).get(name);

/**
 * Name another trial of the study that the address names, as a step that Back takes back.
 * @param {number} number
 */
export function nameTrial(number) {
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (fragment.get("trial") === String(number)) return;
  fragment.set("trial", String(number));
  history.pushState(null, "", `#${fragment}`);
}
