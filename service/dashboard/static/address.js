/** What the address bar names, so that Back, a reload and a bookmark all find the same. Knows nothing of keys. */

/**
 * @param {string} name
 * @returns {string | null}
 */
export const inAddress = (name) => new URLSearchParams(location.hash.slice(1)).get(name);

/**
 * Name another trial of the study that the address names, or none, as a step that Back takes back.
 * @param {number | null} number
 */
export function nameTrial(number) {
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (fragment.get("trial") === (number === null ? null : String(number))) return;
  if (number === null) fragment.delete("trial");
  else fragment.set("trial", String(number));
  history.pushState(null, "", `#${fragment}`);
}
