/** JSON merge patches (RFC 7396), made and applied: what a clone differs in. */

/**
 * Give the patch that makes one value of another.
 * @param {Object<string, any>} before
 * @param {Object<string, any>} after
 * @returns {Object<string, any>}
 */
export function patchBetween(before, after) {
  /** @type {Object<string, any>} */
  const patch = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [was, is] = [before[name], after[name]];
    if (JSON.stringify(was) === JSON.stringify(is)) continue;
    if (isObject(was) && isObject(is)) patch[name] = patchBetween(was, is);
    else patch[name] = is ?? null;
  }
  return patch;
}

/**
 * @param {any} target
 * @param {any} patch
 * @returns {any}
 */
export function patched(target, patch) {
  if (!isObject(patch)) return patch;
  const merged = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = patched(merged[name], value);
  }
  return merged;
}

/** @param {any} value */
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
