/** Writes plain data as YAML: mappings, lists, texts, numbers, true, false and null. Reads none. */

const PLAIN = /^[A-Za-z][A-Za-z0-9_-]*$/;
/** Words that YAML may take for something else than text. */
const NOT_PLAIN = new Set(["yes", "no", "on", "off", "true", "false", "null", "y", "n"]);
const SHORT = 88;

/**
 * @param {any} value a mapping
 * @returns {string}
 */
export const asYaml = (value) => `${linesOf(value, "").join("\n")}\n`;

/**
 * @param {any} value
 * @param {string} indent
 * @returns {string[]}
 */
function linesOf(value, indent) {
  if (Array.isArray(value)) return value.flatMap((item) => listed(item, indent));
  return Object.entries(value).flatMap(([key, inner]) => entry(scalar(key), inner, indent));
}

/**
 * @param {string} key
 * @param {any} value
 * @param {string} indent
 */
function entry(key, value, indent) {
  if (isLong(value)) return [`${indent}${key}:`, ...linesOf(value, `${indent}  `)];
  return [`${indent}${key}: ${flow(value)}`];
}

/**
 * @param {any} value
 * @param {string} indent
 */
function listed(value, indent) {
  if (!isLong(value)) return [`${indent}- ${flow(value)}`];
  const [first, ...rest] = linesOf(value, `${indent}  `);
  return [`${indent}- ${first.trimStart()}`, ...rest];
}

/**
 * Whether it is written over several lines: what holds other things in it, or is too long for one.
 * @param {any} value
 */
function isLong(value) {
  if (value === null || typeof value !== "object") return false;
  const inner = Object.values(value);
  if (!inner.length) return false;
  return inner.some((one) => one !== null && typeof one === "object") || flow(value).length > SHORT || !Array.isArray(value);
}

/**
 * @param {any} value
 * @returns {string}
 */
function flow(value) {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    return `{${Object.entries(value)
      .map(([key, inner]) => `${scalar(key)}: ${flow(inner)}`)
      .join(", ")}}`;
  }
  return scalar(value);
}

/** @param {boolean | number | string | null} value */
function scalar(value) {
  if (typeof value !== "string") return String(value);
  // A text of JSON is one of YAML.
  return PLAIN.test(value) && !NOT_PLAIN.has(value.toLowerCase()) ? value : JSON.stringify(value);
}
